//! The chat page and the presence of people. What the page does is tested in a browser
//! (`scripts/browser`).

use server::{Access, Config, Log, ServerLimits};
use wire::{ErrorBody, NOTICE_AUTHOR, People, Transport};

use crate::clients::ClientOptions;
use crate::raw::{Answer, Raw};
use crate::test_server::TestServer;

const ANNA: &str = r#"{"author":7,"name":"Anna"}"#;
const PRESENCE: &str = "/rooms/lobby/presence";

async fn ask(server: &TestServer, method: &str, target: &str, headers: &str, body: &str) -> Answer {
    Raw::connect(server.http).await.ask(method, target, headers, body).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

fn people(answer: &Answer) -> People {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_needs_no_token_and_every_file_that_it_names_exists() {
    let access = Access { token: Some("a-secret-token".to_owned()), ..Access::default() };
    let server = TestServer::with_access(access, |_| {}).await;
    let page = ask(&server, "GET", "/", "", "").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap().to_owned();
    assert!(policy.contains("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    let mut unread = vec![text(&page)];
    let mut found = std::collections::BTreeSet::new();
    while let Some(source) = unread.pop() {
        let paths = source.split('"').filter(|path| path.starts_with("/page/") || path.starts_with("/socket.io/s"));
        let modules = source.split('"').filter_map(|path| path.strip_prefix("./")).map(|name| format!("/page/{name}"));
        let named: Vec<_> = paths.map(str::to_owned).chain(modules).collect();
        for path in named.into_iter().filter(|path| found.insert(path.clone())) {
            let file = ask(&server, "GET", &path, "", "").await;
            assert_eq!(file.status, 200, "{path}");
            assert_eq!(
                file.header("x-content-type-options"),
                Some("nosniff").filter(|_| path != "/page/ports"),
                "{path}"
            );
            unread.push(text(&file));
        }
    }
    assert!(found.len() > 10, "{found:?}");
    let head = Raw::connect(server.http).await.begin("HEAD", "/", "", "").await;
    assert_eq!(head.status, 200);
    assert_eq!(ask(&server, "POST", "/", "", "x").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_reported_and_their_notices_are_messages() {
    let server = TestServer::start().await;
    let came = people(&ask(&server, "POST", PRESENCE, "", ANNA).await);
    assert_eq!(came.people.len(), 1);
    let left = people(&ask(&server, "POST", PRESENCE, "", r#"{"author":7}"#).await);
    assert_eq!((left.people.len(), left.server), (0, came.server));
    let mut reader = ClientOptions::new(Transport::Polling, "lobby").after(0).join(&server).await;
    let authors: Vec<_> = reader.next_messages(2).await.iter().map(|message| message.author).collect();
    assert_eq!(authors, [NOTICE_AUTHOR, NOTICE_AUTHOR]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_report_is_refused_with_the_reason() {
    let access = Access { token: Some("a-secret-token".to_owned()), ..Access::default() };
    let server = TestServer::with_access(access, |_| {}).await;
    let token = "authorization: Bearer a-secret-token\r\n";
    let foreign = format!("{token}origin: https://evil.example\r\n");
    let long = format!(r#"{{"author":7,"name":"{}"}}"#, "n".repeat(200_000));
    let cases = [
        (PRESENCE, "", ANNA, 401, "token"),
        (PRESENCE, foreign.as_str(), ANNA, 403, "Origin"),
        ("/rooms/no%20room/presence", token, ANNA, 400, "room"),
        ("/rooms/lobby/presence?after=1", token, ANNA, 400, "after"),
        (PRESENCE, token, "", 400, "body"),
        (PRESENCE, token, "{}", 400, "body"),
        (PRESENCE, token, r#"{"author":7,"name":" "}"#, 400, "body"),
        (PRESENCE, token, r#"{"author":-1,"name":"Anna"}"#, 400, "body"),
        (PRESENCE, token, &long, 413, "text"),
    ];
    for (target, headers, body, status, field) in cases {
        let answer = ask(&server, "POST", target, headers, body).await;
        let error_body: ErrorBody = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, error_body.field.as_str()), (status, field), "{target} {error_body}");
    }
    assert_eq!(ask(&server, "GET", PRESENCE, token, "").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_use_the_other_ports_of_its_server() {
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        listen: any,
        tcp_listen: any,
        page_ports: 2,
        limits: ServerLimits::default(),
        access: Access::default(),
        log: Log::Memory,
        slowdown: None,
    };
    let running = server::start(config).await.unwrap();
    let origin = format!("http://localhost:{}", running.page[0].port());
    for address in [running.http, running.page[1]] {
        let answer = Raw::connect(address).await.ask("POST", PRESENCE, &format!("origin: {origin}\r\n"), ANNA).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, Some(origin.as_str())),
            "{answer:?}"
        );
    }
    let ports = Raw::connect(running.http).await.ask("GET", "/page/ports", "", "").await;
    let ports: Vec<u16> = serde_json::from_slice(&ports.body).unwrap();
    assert_eq!(ports, [running.http.port(), running.page[0].port(), running.page[1].port()]);
    running.shutdown().await;
}
