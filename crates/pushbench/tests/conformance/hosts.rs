//! The host that a request names: protection against web pages of other hosts (DNS rebinding).

use server::Access;
use wire::{ErrorBody, Transport};

use crate::raw::{Answer, Raw};
use crate::test_server::TestServer;

const POST: &str = r#"{"author":1,"ordinal":1,"text":"hi"}"#;
const UPGRADE: &str = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: v12.stomp\r\n";
const EVIL: &str = "evil.example:8080";

/// One request of each kind: method, target, further header lines, body.
fn requests() -> Vec<(&'static str, String, &'static str, &'static str)> {
    let of_room = Transport::ALL.into_iter().filter(|transport| transport.has_room_url()).flat_map(|transport| {
        let target = format!("/rooms/lobby/{transport}");
        let is_websocket = matches!(transport, Transport::Websocket | Transport::Stomp);
        let get = ("GET", target.clone(), if is_websocket { UPGRADE } else { "" }, "");
        [get, ("HEAD", target.clone(), "", ""), ("POST", target, "", POST)]
    });
    let socketio = "/socket.io/?EIO=4&transport=";
    let others = [
        ("GET", format!("{socketio}polling"), "", ""),
        ("GET", format!("{socketio}websocket"), UPGRADE, ""),
        ("POST", format!("{socketio}polling&sid=AAAAAAAAAAAAAAAA"), "", "40"),
        ("GET", "/stats".to_owned(), "", ""),
        ("GET", "/".to_owned(), "", ""),
        ("POST", "/rooms/lobby/presence".to_owned(), "", r#"{"author":1}"#),
        ("GET", "/nothing".to_owned(), "", ""),
        ("PUT", "/rooms/lobby/polling".to_owned(), "", POST),
        (
            "OPTIONS",
            "/rooms/lobby/polling".to_owned(),
            "origin: http://evil.example:8080\r\naccess-control-request-method: POST\r\n",
            "",
        ),
    ];
    of_room.chain(others).collect()
}

/// Sends a request with exactly these header lines on a new connection, and reads the head of the
/// response.
async fn ask(server: &TestServer, request: &str, headers: &str, body: &str) -> (Answer, Raw) {
    let mut raw = Raw::connect(server.http).await;
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    raw.send(format!("{request}\r\n{headers}{length}\r\n{body}")).await;
    (raw.head().await, raw)
}

fn error_body(answer: &Answer) -> ErrorBody {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_requests_to_a_foreign_host_are_refused() {
    let access = Access {
        origins: vec!["https://chat.example".to_owned()],
        hosts: vec!["chat.internal".to_owned()],
        ..Access::default()
    };
    let server = TestServer::with_access(access, |limits| limits.hold_max = std::time::Duration::from_millis(10)).await;
    let own = ["localhost", "127.0.0.1:8080", "[::1]:8080", "chat.example:1", "CHAT.internal"];
    for (method, target, headers, body) in requests() {
        let with_host = |host: &str| (format!("{method} {target} HTTP/1.1"), format!("host: {host}\r\n{headers}"));
        // The host of the target overrides the header.
        let absolute = (format!("{method} http://{EVIL}{target} HTTP/1.1"), format!("host: localhost\r\n{headers}"));
        for (request, headers) in [with_host(EVIL), absolute] {
            let (answer, mut raw) = ask(&server, &request, &headers, body).await;
            assert_eq!(answer.status, 403, "{request}");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{request}");
            if method != "HEAD" {
                let error_body = error_body(&raw.whole(answer).await);
                assert_eq!((error_body.field.as_str(), error_body.value.as_str()), ("Host", EVIL), "{request}");
                assert!(error_body.hint.contains("--allow-host"), "{error_body}");
            }
        }
        if headers.is_empty() {
            for host in own {
                let (request, headers) = with_host(host);
                assert_ne!(ask(&server, &request, &headers, body).await.0.status, 403, "{request} {headers}");
            }
        }
    }
    let hub = server.until_readers(0).await.hub;
    assert_eq!(hub.log_messages, 5 * 6, "posts for other hosts are not accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_any_host_is_accepted() {
    let access = Access { token: Some("a-secret-token".to_owned()), ..Access::default() };
    let server = TestServer::with_access(access, |_| {}).await;
    for (token, status) in [("", 401), ("authorization: bearer a-secret-token\r\n", 204)] {
        let headers = format!("host: {EVIL}\r\n{token}");
        assert_eq!(ask(&server, "GET /rooms/lobby/polling HTTP/1.1", &headers, "").await.0.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_exactly_one_host() {
    let server = TestServer::start().await;
    let twice = "host: localhost\r\nhost: localhost\r\n";
    for target in ["/rooms/lobby/polling", "/stats", "/socket.io/?EIO=4&transport=polling", "http://localhost/"] {
        for (version, headers) in
            [("1.1", ""), ("1.1", twice), ("1.0", twice), ("1.1", "host: a\r\nHOST: localhost\r\n")]
        {
            let (answer, mut raw) = ask(&server, &format!("GET {target} HTTP/{version}"), headers, "").await;
            assert_eq!(answer.status, 400, "{target} {version} {headers}");
            assert_eq!(error_body(&raw.whole(answer).await).field, "Host", "{target} {version} {headers}");
        }
    }
    for (headers, status) in [("", 204), ("host: localhost\r\n", 204), ("host: evil.example\r\n", 403)] {
        let (answer, _) = ask(&server, "GET /rooms/lobby/polling HTTP/1.0", headers, "").await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_s_origin_is_compared_with_the_host_that_counts() {
    let server = TestServer::start().await;
    let request = "POST http://localhost:8080/rooms/lobby/polling HTTP/1.1";
    for (origin, status) in
        [("http://localhost:8080", 200), ("http://evil.example", 403), ("http://127.0.0.1:8080", 403)]
    {
        let headers = format!("host: evil.example\r\norigin: {origin}\r\n");
        let (answer, mut raw) = ask(&server, request, &headers, POST).await;
        assert_eq!(answer.status, status, "{origin}");
        if status == 403 {
            assert_eq!(error_body(&raw.whole(answer).await).field, "Origin");
        }
    }
}
