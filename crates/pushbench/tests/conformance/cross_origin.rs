//! Cross-origin requests of browsers: headers of the responses to pages of allowed origins, and
//! refusals for all other pages.

use server::Access;
use wire::{ErrorBody, Transport};

use crate::raw::{Answer, Raw};
use crate::test_server::TestServer;

const LISTED: &str = "https://chat.example";
const TOKEN: &str = "a-secret-token";
const POST: &str = r#"{"author":1,"ordinal":1,"text":"hi"}"#;

async fn server() -> TestServer {
    let access = Access { origins: vec![LISTED.to_owned()], token: Some(TOKEN.to_owned()), ..Access::default() };
    TestServer::with_access(access, |limits| limits.hold_max = std::time::Duration::from_millis(10)).await
}

fn targets() -> Vec<String> {
    let rooms = Transport::ALL.into_iter().filter(|transport| transport.has_room_url());
    let rooms = rooms.map(|transport| format!("/rooms/lobby/{transport}"));
    rooms.chain(["/socket.io/?EIO=4&transport=polling".to_owned()]).collect()
}

fn names_of_cors(answer: &Answer) -> Vec<String> {
    let names = answer.head.lines().filter_map(|line| Some(line.split_once(": ")?.0.to_lowercase()));
    names.filter(|name| name.starts_with("access-control-")).collect()
}

fn assert_readable(answer: &Answer, what: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), Some(LISTED), "{what}: {answer:?}");
    assert_eq!(answer.header("access-control-expose-headers"), Some(wire::CURSOR_HEADER), "{what}");
    assert_eq!(answer.header("vary"), Some("origin"), "{what}");
    assert_eq!(answer.header("access-control-allow-credentials"), None, "{what}: there are no cookies here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_of_a_listed_origin_succeeds_without_a_token() {
    let server = server().await;
    let mut raw = Raw::connect(server.http).await;
    for target in targets() {
        let headers = format!(
            "origin: {LISTED}\r\naccess-control-request-method: POST\r\n\
             access-control-request-headers: authorization,content-type\r\n"
        );
        let answer = raw.ask("OPTIONS", &target, &headers, "").await;
        assert_eq!((answer.status, answer.body.as_slice()), (204, &b""[..]), "{target}");
        assert_readable(&answer, &target);
        let list = |name| answer.header(name).unwrap().split(", ").map(str::to_lowercase).collect::<Vec<_>>();
        assert_eq!(list("access-control-allow-methods"), ["get", "head", "post"]);
        assert_eq!(list("access-control-allow-headers"), ["authorization", "content-type", "last-event-id"]);
        assert!(answer.header("access-control-max-age").unwrap().parse::<u32>().unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_of_another_origin_is_refused_without_cors_headers() {
    let server = server().await;
    let mut raw = Raw::connect(server.http).await;
    for target in targets() {
        for origin in ["https://evil.example", "null", "https://chat.example.evil", "http://chat.example"] {
            let headers = format!("origin: {origin}\r\naccess-control-request-method: POST\r\n");
            let answer = raw.ask("OPTIONS", &target, &headers, "").await;
            let error_body: ErrorBody = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((answer.status, error_body.field.as_str(), error_body.value.as_str()), (403, "Origin", origin));
            assert_eq!(names_of_cors(&answer), Vec::<String>::new(), "{target} {origin}");
        }
    }
    // Without the two headers the request is not a preflight.
    for headers in [format!("origin: {LISTED}\r\n"), "access-control-request-method: POST\r\n".to_owned()] {
        assert_eq!(raw.ask("OPTIONS", "/rooms/lobby/polling", &headers, "").await.status, 405);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_to_a_listed_origin_is_readable() {
    let server = server().await;
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    let long = format!(r#"{{"author":1,"ordinal":1,"text":"{}"}}"#, "x".repeat(200_000));
    let rooms = targets().into_iter().filter(|target| target.starts_with("/rooms"));
    let mut cases = vec![
        ("GET", "/socket.io/?EIO=4&transport=polling".to_owned(), "", ""),
        ("POST", "/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA".to_owned(), "", "40"),
        ("POST", "/rooms/lobby/polling".to_owned(), bearer.as_str(), long.as_str()),
        ("GET", "/nothing".to_owned(), "", ""),
        ("PUT", "/rooms/lobby/polling".to_owned(), "", ""),
        ("GET", "/rooms/lobby/polling".to_owned(), bearer.as_str(), "a body"),
    ];
    for target in rooms {
        for token in [bearer.as_str(), ""] {
            cases.push(("GET", target.clone(), token, ""));
            cases.push(("POST", target.clone(), token, POST));
            cases.push(("POST", target.clone(), token, "no post"));
        }
    }
    for (method, target, token, body) in cases {
        for (origin, listed) in [(LISTED, true), ("http://localhost", false), ("https://evil.example", false)] {
            let headers = format!("origin: {origin}\r\n{token}");
            let answer = Raw::connect(server.http).await.begin(method, &target, &headers, body).await;
            let what = format!("{method} {target} {} from {origin}", answer.status);
            if listed {
                assert_readable(&answer, &what);
            } else {
                assert_eq!(names_of_cors(&answer), Vec::<String>::new(), "{what}");
            }
        }
    }
}
