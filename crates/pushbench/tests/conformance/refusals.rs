//! Refused requests: a table of bad input with the status and the field of the error body.

use server::Access;
use wire::{ErrorBody, Transport};

use crate::clients::{ClientOptions, read_refusal};
use crate::raw::Raw;
use crate::test_server::{TestServer, within};

const TOKEN: &str = "a-secret-token";

fn on_http() -> impl Iterator<Item = Transport> {
    Transport::ALL.into_iter().filter(|transport| transport.has_room_url())
}

fn is_websocket(transport: Transport) -> bool {
    matches!(transport, Transport::Websocket | Transport::Stomp)
}

/// Sends a request that is refused, for WebSockets as a handshake, and returns status and error
/// body.
async fn refusal(
    server: &TestServer,
    transport: Transport,
    target: &str,
    header: &str,
) -> (u16, ErrorBody, Option<String>) {
    let mut raw = Raw::connect(server.http).await;
    let upgrade = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = match transport {
        Transport::Websocket => upgrade.to_owned(),
        Transport::Stomp => format!("{upgrade}sec-websocket-protocol: v12.stomp\r\n"),
        _ => String::new(),
    };
    let answer = raw.ask("GET", target, &format!("{upgrade}{header}"), "").await;
    let error_body = serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{target} was answered {}: {error}", answer.status));
    let authenticate = answer.header("www-authenticate").map(str::to_owned);
    (answer.status, error_body, authenticate)
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters_are_400_and_named() {
    let server = TestServer::start().await;
    let long = "r".repeat(65);
    for transport in on_http() {
        let rooms = ["a%20b", "a+b", "%C3%A4", long.as_str(), "~"];
        for room in rooms {
            let (status, error_body, _) = refusal(&server, transport, &format!("/rooms/{room}/{transport}"), "").await;
            assert_eq!((status, error_body.field.as_str()), (400, "room"), "{transport} {room}");
            assert_eq!((error_body.value.as_str(), error_body.hint.contains("1 to 64")), (room, true));
        }
        for room in [".", "..", "%2e", "%2E%2e"] {
            let (status, error_body, _) = refusal(&server, transport, &format!("/rooms/{room}/{transport}"), "").await;
            assert_eq!(
                (status, error_body.field.as_str(), error_body.value.as_str()),
                (400, "room", room),
                "{transport}"
            );
        }
        for after in ["", "x", "-1", "1.5", "+1", "18446744073709551616", "%31"] {
            let target = format!("/rooms/lobby/{transport}?after={after}");
            let (status, error_body, _) = refusal(&server, transport, &target, "").await;
            assert_eq!(
                (status, error_body.field.as_str(), error_body.value.as_str()),
                (400, "after", after),
                "{transport}"
            );
        }
        for (query, field) in [("afer=1", "afer"), ("after", "after"), ("hold_ms=1&encoding=xml", "")] {
            let target = format!("/rooms/lobby/{transport}?{query}");
            let (status, error_body, _) = refusal(&server, transport, &target, "").await;
            assert_eq!(status, 400, "{target}");
            assert!(field.is_empty() || error_body.field == field, "{target}: {error_body}");
        }
        let usage = server.stats_of(transport).await;
        assert_eq!((usage.malformed, usage.refused), (19, 0), "{transport}");
    }
    for hold in ["-1", "soon", "25001", "99999999999999999999"] {
        let target = format!("/rooms/lobby/long-polling?hold_ms={hold}");
        let (status, error_body, _) = refusal(&server, Transport::LongPolling, &target, "").await;
        assert_eq!((status, error_body.field.as_str(), error_body.value.as_str()), (400, "hold_ms", hold));
    }
    let (status, error_body, _) = refusal(&server, Transport::Sse, "/rooms/lobby/sse", "last-event-id: x\r\n").await;
    assert_eq!((status, error_body.field.as_str(), error_body.value.as_str()), (400, "Last-Event-ID", "x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_beyond_the_end_is_refused_and_not_held() {
    let server = TestServer::start().await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    author.post("the only one").await;
    for options in ClientOptions::all("lobby") {
        for seq in [2, u64::MAX] {
            // A browser that reconnects to its stream gets another answer: see `resets`.
            let returning = Some(options.clone().resuming(seq)).filter(|options| options.transport != Transport::Sse);
            for options in returning.into_iter().chain([options.clone().after(seq)]) {
                let refused = options.try_join(&server).await.err().unwrap();
                assert_eq!(refused.status, options.transport.has_room_url().then_some(400), "{options:?}");
                assert_eq!((refused.error_body.field.as_str(), refused.error_body.value), ("after", seq.to_string()));
                assert!(refused.error_body.hint.contains("the newest message is 1"), "{}", refused.error_body.hint);
            }
        }
    }
    drop(author);
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_are_404_and_unknown_methods_405_with_allow() {
    let server = TestServer::start().await;
    let mut raw = Raw::connect(server.http).await;
    for path in [
        "/page",
        "/rooms",
        "/rooms/lobby",
        "/rooms/lobby/tcp",
        "/rooms/lobby/polling/",
        "/rooms//polling",
        "/control",
        "/x/../stats",
    ] {
        let answer = raw.ask("GET", path, "", "").await;
        let error_body: ErrorBody = serde_json::from_slice(&answer.body).unwrap();
        let expected = if path == "/rooms//polling" { answer.status } else { 404 };
        assert_eq!(answer.status, expected, "{path}");
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        assert!(!error_body.hint.is_empty());
    }
    let paths = on_http().map(|transport| (format!("/rooms/lobby/{transport}"), "GET,HEAD,POST"));
    for (path, allowed) in paths.chain([("/stats".to_owned(), "GET,HEAD")]) {
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer = raw.ask(method, &path, "", "").await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {path}");
            let error_body: ErrorBody = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((error_body.field.as_str(), error_body.value.as_str()), ("method", method));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_answered_like_get_without_a_body_and_holds_nothing() {
    let server = TestServer::start().await;
    ClientOptions::new(Transport::Polling, "lobby").join(&server).await.post("hello").await;
    for transport in on_http() {
        let mut raw = Raw::connect(server.http).await;
        let target = format!("/rooms/lobby/{transport}?after=0");
        let answer = raw.begin("HEAD", &target, "connection: close\r\n", "").await;
        let expected = if is_websocket(transport) { 426 } else { 200 };
        assert_eq!((answer.status, raw.rest().await), (expected, vec![]), "{transport}");
        server.until_readers(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_handshake_is_426_and_names_the_protocol() {
    let server = TestServer::start().await;
    let right = [
        "upgrade: websocket",
        "connection: keep-alive, Upgrade",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let mut raw = Raw::connect(server.http).await;
    for (wrong, instead, status) in [
        (0, "x: y", 426),
        (0, "upgrade: h2c", 426),
        (1, "connection: keep-alive", 426),
        (2, "sec-websocket-version: 8", 426),
        (2, "x: y", 426),
        (3, "sec-websocket-key: short", 400),
        (3, "x: y", 400),
    ] {
        let mut lines = right;
        lines[wrong] = instead;
        let answer = raw.ask("GET", "/rooms/lobby/websocket", &(lines.join("\r\n") + "\r\n"), "").await;
        assert_eq!(answer.status, status, "{instead}");
        if status == 426 {
            // RFC 9110 §15.5.22 and RFC 6455 §4.2.2.
            assert_eq!(answer.header("upgrade"), Some("websocket"), "{instead}");
            assert_eq!(answer.header("sec-websocket-version"), Some("13"), "{instead}");
        }
    }
    raw.send(format!("GET /rooms/lobby/websocket HTTP/1.1\r\nhost: localhost\r\n{}\r\n\r\n", right.join("\r\n"))).await;
    assert_eq!(raw.head().await.status, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_need_the_own_or_a_listed_origin() {
    let listed = "https://chat.example";
    let access = Access { origins: vec![listed.to_owned()], ..Access::default() };
    let server = TestServer::with_access(access, |limits| limits.hold_max = std::time::Duration::from_millis(10)).await;
    for transport in on_http() {
        let target = format!("/rooms/lobby/{transport}");
        for origin in ["http://evil.example", "null", "http://localhost:81", "https://chat.example.evil", "http://", ""]
        {
            let (status, error_body, _) = refusal(&server, transport, &target, &format!("origin: {origin}\r\n")).await;
            assert_eq!(
                (status, error_body.field.as_str(), error_body.value.as_str()),
                (403, "Origin", origin),
                "{transport}"
            );
            let mut raw = Raw::connect(server.http).await;
            let post = r#"{"author":1,"ordinal":1,"text":"hi"}"#;
            assert_eq!(raw.ask("POST", &target, &format!("origin: {origin}\r\n"), post).await.status, 403);
        }
        for (origin, allowed) in [("http://localhost", None), (listed, Some(listed))] {
            let header = format!("origin: {origin}\r\n");
            let mut raw = Raw::connect(server.http).await;
            let answer = match transport {
                _ if is_websocket(transport) => raw.ask("GET", &target, &header, "").await,
                _ => raw.begin("GET", &target, &header, "").await,
            };
            let expected: &[u16] = if is_websocket(transport) { &[426] } else { &[200, 204] };
            assert!(expected.contains(&answer.status), "{transport} from {origin}: {answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), allowed, "{transport}");
        }
    }
    assert_eq!(server.stats().await.hub.log_messages, 0, "a refused post is not in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_token_is_401_everywhere() {
    let access = Access { token: Some(TOKEN.to_owned()), ..Access::default() };
    let server = TestServer::with_access(access, |_| {}).await;
    for options in ClientOptions::all("lobby") {
        for wrong in [None, Some("another-token".to_owned()), Some(String::new())] {
            let refused = ClientOptions { token: wrong, ..options.clone() }.try_join(&server).await.err().unwrap();
            assert_eq!(refused.status, options.transport.has_room_url().then_some(401), "{options:?}");
            assert_eq!(
                (refused.error_body.field.as_str(), refused.error_body.value.as_str()),
                ("token", ""),
                "{options:?}"
            );
        }
        let mut inside = ClientOptions { token: Some(TOKEN.to_owned()), ..options.clone() }.join(&server).await;
        inside.post("accepted").await;
        assert_eq!(inside.next_message().await.text, "accepted", "{options:?}");
    }
    for transport in on_http() {
        let target = format!("/rooms/lobby/{transport}");
        let (status, _, authenticate) = refusal(&server, transport, &target, "authorization: Basic eDp5\r\n").await;
        assert_eq!((status, authenticate.as_deref()), (401, Some("Bearer")), "{transport}");
    }
    let web = reqwest::Client::builder().no_proxy().build().unwrap();
    let control = format!("http://{}/stats", server.http);
    let answer = within("an answer", web.get(&control).send()).await.unwrap();
    assert_eq!(read_refusal(answer).await.status, Some(401));
    let answer = within("an answer", web.get(format!("{control}?token={TOKEN}")).send()).await.unwrap();
    assert_eq!(answer.status(), 200);
}
