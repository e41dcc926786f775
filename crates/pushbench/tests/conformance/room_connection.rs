//! Connections whose requests are partly answered by the server's own loop and partly by its HTTP
//! library. A client cannot tell which answers.

use std::time::SystemTime;

use wire::Transport;

use crate::raw::{Answer, Raw};
use crate::test_server::{StatsByTransport, TestServer};

const POST: &str = r#"{"author":1,"ordinal":1,"text":"hi"}"#;
const MESSAGE: &[u8] = b"{\"seq\":1,\"author\":1,\"ordinal\":1,\"text\":\"hi\"}\n";

/// Sends a request as it is and reads the response to it.
async fn exchange(raw: &mut Raw, request: &str) -> Answer {
    raw.send(request).await;
    let answer = raw.head().await;
    if request.starts_with("HEAD") { answer } else { raw.whole(answer).await }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_both_kinds_alternate_on_a_connection() {
    let server = TestServer::start().await;
    let mut raw = Raw::connect(server.http).await;
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{POST}\r\n0\r\n\r\n", POST.len());
    let late = format!("expect: 100-continue\r\ncontent-length: {}\r\n\r\n{POST}", POST.len());
    let whole = format!("content-length: {}\r\n\r\n{POST}", POST.len());
    let poll = "GET /rooms/lobby/polling?after=9 HTTP/1.1\r\nhost: localhost\r\n";
    for _ in 0..2 {
        for (request, status) in [
            ("GET /rooms/lobby/polling HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 204),
            ("GET /stats HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 200),
            ("GET /rooms/lobby/long-polling?hold_ms=0 HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 204),
            ("HEAD /rooms/lobby/sse HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 200),
        ] {
            // A stream ends its connection, also one that has only a head.
            let mut other = Raw::connect(server.http).await;
            let connection = if request.starts_with("HEAD") { &mut other } else { &mut raw };
            assert_eq!(exchange(connection, &request).await.status, status, "{request}");
        }
        for (transport, body) in [("sse", &whole), ("polling", &chunked), ("websocket", &whole)] {
            let request = format!("POST /rooms/{transport}/{transport} HTTP/1.1\r\nhost: localhost\r\n{body}");
            assert_eq!(exchange(&mut raw, &request).await.status, 200, "{request}");
        }
        for (request, status) in [
            ("GET http://localhost/rooms/lobby/polling HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 204),
            (format!("{poll}\r\n"), 400),
            ("GET /rooms/lobby/polling#top HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 204),
            (format!("{poll}content-length: 1\r\n\r\nx"), 400),
            (format!("{poll}content-length: 0\r\n\r\n"), 400),
            ("GET /rooms/lobby/polling HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\r\n".to_owned(), 204),
            ("GET /rooms//polling HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 400),
            ("GET /rooms/lobby/polling/ HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 404),
            ("DELETE /rooms/lobby/polling HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 405),
        ] {
            assert_eq!(exchange(&mut raw, &request).await.status, status, "{request}");
        }
    }
    let request = format!("POST /rooms/late/polling HTTP/1.1\r\nhost: localhost\r\n{late}");
    let answer = exchange(&mut raw, &request).await;
    assert!(matches!(answer.status, 100 | 200), "{answer:?}");
    drop(raw);
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_polled_may_become_a_stream_or_a_websocket() {
    let server = TestServer::start().await;
    for before in ["/rooms/lobby/polling", "/stats"] {
        let mut raw = Raw::connect(server.http).await;
        raw.ask("GET", before, "", "").await;
        assert_eq!(raw.begin("GET", "/rooms/lobby/sse", "", "").await.status, 200, "{before}");
        assert!(raw.chunk().await.starts_with(b"retry: 1000\nevent: joined\n"), "{before}");
        let mut raw = Raw::connect(server.http).await;
        raw.ask("GET", before, "", "").await;
        assert_eq!(raw.upgrade("/rooms/lobby/websocket").await.status, 101, "{before}");
        assert!(raw.frame().await.unwrap().payload.starts_with(b"{\"joined\""), "{before}");
    }
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start().await;
    let statuses = [204, 200, 200, 204, 204, 200, 200, 400, 200];
    for piece_bytes in [10_000, 1, 7, 100] {
        let poll = |rest: &str| format!("GET /rooms/in-{piece_bytes}/{rest} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let length = format!("host: localhost\r\ncontent-length: {}\r\n\r\n", POST.len());
        let requests = [
            poll("polling?after=0"),
            format!("POST /rooms/in-{piece_bytes}/sse HTTP/1.1\r\n{length}{POST}"),
            poll("long-polling?after=0"),
            poll("long-polling?hold_ms=50"),
            poll("polling?after=1"),
            "GET /stats HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
            poll("polling?after=0"),
            poll("polling?after=x"),
            poll("long-polling?after=0"),
        ];
        let mut raw = Raw::connect(server.http).await;
        for piece in requests.concat().as_bytes().chunks(piece_bytes) {
            raw.send(piece).await;
        }
        let mut found = Vec::new();
        for _ in &requests {
            let answer = raw.head().await;
            let answer = raw.whole(answer).await;
            found.push(answer.status);
        }
        assert_eq!(found, statuses, "in pieces of {piece_bytes} bytes");
    }
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_late_gets_every_response() {
    const EACH: usize = 1_500;
    let server = TestServer::start().await;
    let mut raw = Raw::connect_narrow(server.http).await;
    let stats = "GET /stats HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let poll = "GET /rooms/lobby/polling HTTP/1.1\r\nhost: localhost\r\n\r\n";
    raw.send(stats.repeat(EACH) + &poll.repeat(EACH) + stats).await;
    server.until("the server to wait for the client", |usage| usage.of_other().requests > 10).await;
    for status in [200; EACH].into_iter().chain([204; EACH]).chain([200]) {
        let answer = raw.head().await;
        assert_eq!(raw.whole(answer).await.status, status);
    }
    drop(raw);
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_the_connection_header_decide_whether_it_ends() {
    let server = TestServer::start().await;
    Raw::connect(server.http).await.ask("POST", "/rooms/lobby/polling", "", POST).await;
    for (version, headers, connection) in [
        ("1.1", "", None),
        ("1.1", "connection: keep-alive\r\n", None),
        ("1.1", "connection: close\r\n", Some("close")),
        ("1.1", "Connection: x, Close\r\n", Some("close")),
        ("1.0", "", Some("close")),
        ("1.0", "connection: keep-alive\r\n", Some("keep-alive")),
    ] {
        for target in ["polling?after=0", "long-polling?after=0", "polling?after=1", "polling?x", "polling"] {
            let mut raw = Raw::connect(server.http).await;
            let request = format!("GET /rooms/lobby/{target} HTTP/{version}\r\nhost: localhost\r\n{headers}\r\n");
            let answer = exchange(&mut raw, &request).await;
            assert_eq!(answer.header("connection"), connection, "{request}");
            assert!(answer.head.starts_with(&format!("HTTP/{version} ")), "{request}: {answer:?}");
            if connection == Some("close") {
                assert!(raw.ends().await, "{request}");
            } else {
                assert_eq!(exchange(&mut raw, &request).await.status, answer.status, "{request}");
            }
        }
    }
    // Without a host, which only HTTP/1.0 allows.
    let mut raw = Raw::connect(server.http).await;
    assert_eq!(exchange(&mut raw, "GET /rooms/lobby/polling HTTP/1.0\r\n\r\n").await.status, 204);
    drop(raw);
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_says_what_the_body_would_be_and_every_response_has_the_date() {
    let server = TestServer::start().await;
    let mut raw = Raw::connect(server.http).await;
    raw.ask("POST", "/rooms/lobby/polling", "", POST).await;
    for transport in [Transport::Polling, Transport::LongPolling] {
        let target = format!("/rooms/lobby/{transport}?after=0");
        let whole = raw.ask("GET", &target, "", "").await;
        let head = raw.begin("HEAD", &target, "", "").await;
        assert_eq!(whole.body, MESSAGE);
        for name in ["content-length", "content-type", "cache-control"] {
            assert_eq!(head.header(name), whole.header(name), "{name}");
        }
        for answer in [&whole, &head] {
            let date = httpdate::parse_http_date(answer.header("date").unwrap()).unwrap();
            let age = SystemTime::now().duration_since(date).unwrap();
            assert!(age.as_secs() < 3, "{age:?}");
        }
    }
    let without_cursor = raw.ask("GET", "/rooms/lobby/polling", "", "").await;
    assert_eq!(without_cursor.header(wire::CURSOR_HEADER), Some("1"));
    drop(raw);
    server.until_empty().await;
}
