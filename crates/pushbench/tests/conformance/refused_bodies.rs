//! Requests that are refused before their body was read. Each is answered for any length and any
//! way of sending the body, and either the connection continues or the response announces its end.

use server::Access;
use wire::Transport;

use crate::clients::ClientOptions;
use crate::raw::{Answer, Raw};
use crate::test_server::TestServer;

const TOKEN: &str = "a-secret-token";
const ORIGIN: &str = "origin: http://evil.example\r\n";
const BEARER: &str = "authorization: Bearer a-secret-token\r\n";

/// Method, target, header lines and the expected status, for any body.
const REFUSED: [(&str, &str, &str, u16); 11] = [
    ("POST", "/rooms/%41/polling", BEARER, 400),
    ("POST", "/rooms/lobby/polling", "origin: http://evil.example\r\nauthorization: Bearer a-secret-token\r\n", 403),
    ("POST", "/rooms/lobby/sse?x=1", BEARER, 400),
    ("POST", "/rooms/lobby/websocket", "", 401),
    ("POST", "/nothing", BEARER, 404),
    ("PUT", "/rooms/lobby/stomp", BEARER, 405),
    ("POST", "/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", "", 400),
    ("POST", "/socket.io/?EIO=4&transport=polling", ORIGIN, 403),
    ("GET", "/rooms/lobby/polling", BEARER, 400),
    ("GET", "/rooms/lobby/http-streaming", BEARER, 400),
    ("OPTIONS", "/rooms/lobby/polling", "origin: http://evil.example\r\naccess-control-request-method: POST\r\n", 403),
];

/// How the body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// Together with its head, by a client that reads nothing before it has sent everything.
    Whole,
    /// The same in chunks.
    Chunked,
    /// After the response, which does not wait for a body of this length.
    Late,
}

async fn server() -> TestServer {
    TestServer::with_access(Access { token: Some(TOKEN.to_owned()), ..Access::default() }, |_| {}).await
}

/// Sends a request on a new connection. Checks that it is answered, and that the connection
/// continues or ends as announced.
async fn ask(server: &TestServer, (method, target, headers): (&str, &str, &str), body: &[u8], sent: Sent) -> Answer {
    let mut raw = Raw::connect(server.http).await;
    let length = match sent {
        Sent::Chunked => "transfer-encoding: chunked\r\n".to_owned(),
        Sent::Whole | Sent::Late => format!("content-length: {}\r\n", body.len()),
    };
    let host = if headers.contains("host: ") { "" } else { "host: localhost\r\n" };
    let head = format!("{method} {target} HTTP/1.1\r\n{host}{headers}{length}\r\n");
    let body = match sent {
        Sent::Chunked => [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat(),
        Sent::Whole | Sent::Late => body.to_vec(),
    };
    let answer = if sent == Sent::Late {
        raw.send(head).await;
        let answer = raw.head().await;
        raw.send(&body).await;
        answer
    } else {
        raw.send([head.as_bytes(), &body].concat()).await;
        raw.head().await
    };
    let answer = raw.whole(answer).await;
    if answer.header("connection") == Some("close") {
        assert_eq!(raw.rest().await, b"", "{method} {target}");
    } else {
        let next = raw.ask("GET", "/rooms/lobby/polling", BEARER, "").await;
        assert_eq!(next.status, 204, "{method} {target}: the connection goes on");
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_answered_for_any_body() {
    let server = server().await;
    for (method, target, headers, status) in REFUSED {
        for (size, sent, goes_on) in [
            (35, Sent::Whole, true),
            (35, Sent::Chunked, true),
            (100_000, Sent::Late, false),
            (5_000_000, Sent::Whole, false),
            (5_000_000, Sent::Chunked, false),
            (5_000_000, Sent::Late, false),
        ] {
            let answer = ask(&server, (method, target, headers), &vec![b'x'; size], sent).await;
            assert_eq!(answer.status, status, "{method} {target}, {size} bytes {sent:?}");
            let closes = answer.header("connection") == Some("close");
            assert_eq!(closes, !goes_on, "{method} {target}, {size} bytes {sent:?}");
        }
    }
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_body_that_does_not_arrive_is_timed_out() {
    let access = Access { token: Some(TOKEN.to_owned()), ..Access::default() };
    let server =
        TestServer::with_access(access, |limits| limits.header_timeout = std::time::Duration::from_millis(100)).await;
    for (method, target, headers, status) in REFUSED {
        let mut raw = Raw::connect(server.http).await;
        let length = "host: localhost\r\ncontent-length: 35\r\n";
        raw.send(format!("{method} {target} HTTP/1.1\r\n{headers}{length}\r\n{{")).await;
        let answer = raw.head().await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{method} {target}");
        raw.whole(answer).await;
        assert_eq!(raw.rest().await, b"", "{method} {target}");
    }
    let usage = server.until_empty().await;
    assert_eq!(usage.transports.values().map(|one| one.timed_out).sum::<u64>(), 0, "each was answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_is_refused_by_its_body_is_answered_too() {
    let server = server().await;
    for transport in Transport::ALL.into_iter().filter(|transport| transport.has_room_url()) {
        let request = ("POST", &*format!("/rooms/lobby/{transport}"), BEARER);
        for sent in [Sent::Whole, Sent::Chunked] {
            assert_eq!(ask(&server, request, &[b'x'; 35], sent).await.status, 400, "{transport} {sent:?}");
            assert_eq!(ask(&server, request, &vec![b'x'; 5_000_000], sent).await.status, 413, "{transport} {sent:?}");
        }
        assert_eq!(ask(&server, request, &vec![b'x'; 5_000_000], Sent::Late).await.status, 413, "{transport}");
    }
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_host_and_a_full_server_are_no_exception() {
    let server = TestServer::start().await;
    let foreign = ("POST", "/rooms/lobby/polling", "host: evil.example\r\n");
    for sent in [Sent::Whole, Sent::Chunked, Sent::Late] {
        let answer = ask(&server, foreign, &vec![b'x'; 5_000_000], sent).await;
        assert_eq!((answer.status, answer.header("connection")), (403, Some("close")), "{sent:?}");
    }
    server.until_empty().await;
    let server = TestServer::with_limits(|limits| limits.connections_max = 1).await;
    let _only_place = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    for sent in [Sent::Whole, Sent::Chunked, Sent::Late] {
        let answer = ask(&server, ("POST", "/rooms/lobby/polling", ""), &vec![b'x'; 5_000_000], sent).await;
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")), "{sent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_100_continue_gets_it_only_where_its_body_is_read() {
    let server = server().await;
    let too_large = ("POST", "/rooms/lobby/polling", BEARER, 413);
    for (method, target, headers, status) in REFUSED.into_iter().chain([too_large]) {
        let mut raw = Raw::connect(server.http).await;
        let expects = "host: localhost\r\nexpect: 100-continue\r\ncontent-length: 5000000\r\n";
        raw.send(format!("{method} {target} HTTP/1.1\r\n{headers}{expects}\r\n")).await;
        let answer = raw.head().await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{method} {target}");
        raw.whole(answer).await;
        assert_eq!(raw.rest().await, b"", "{method} {target}");
    }
    let mut raw = Raw::connect(server.http).await;
    let post = r#"{"author":1,"ordinal":1,"text":"hi"}"#;
    let expects = format!("host: localhost\r\nexpect: 100-continue\r\ncontent-length: {}\r\n", post.len());
    raw.send(format!("POST /rooms/lobby/polling HTTP/1.1\r\n{BEARER}{expects}\r\n")).await;
    assert_eq!(raw.head().await.status, 100);
    raw.send(post).await;
    assert_eq!(raw.head().await.status, 200);
    drop(raw);
    server.until_empty().await;
}
