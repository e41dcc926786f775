//! Requests to servers that close connections, send too much or something else: what is repeated,
//! what is a fault, and that every byte is counted.

use std::time::Duration;

use results::Direction;
use scenario::HttpClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use wire::Transport;

use super::*;
use crate::testing::{listener, plan, worker_of, worker_to};
use crate::transports::http::connection::{ERROR_BODY_BYTES_MAX, status_fault};

/// What a server does on a connection, in order; then it closes it.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Reads a request. Each is one write of the client and arrives as one read.
    Read,
    Write(&'static str),
    /// Wait until the client has read a response.
    Wait,
    /// Closes with a reset.
    Reset,
}

use Step::{Read, Reset, Wait, Write};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

/// Serves one connection per script, and returns the requests read on each.
async fn serve(listener: TcpListener, scripts: &[&[Step]], answered: &Notify) -> Vec<Vec<String>> {
    let mut read = Vec::new();
    for script in scripts {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut requests = Vec::new();
        for step in *script {
            match step {
                Read => {
                    let mut request = vec![0; 4096];
                    let n = socket.read(&mut request).await.unwrap();
                    requests.push(String::from_utf8(request[..n].to_vec()).unwrap());
                }
                Wait => answered.notified().await,
                Write(bytes) => socket.write_all(bytes.as_bytes()).await.unwrap(),
                Reset => socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap(),
            }
        }
        read.push(requests);
    }
    read
}

const GET: Request<'static> = Request::get(b"GET / HTTP/1.1\r\n\r\n", Expected::SET_UP);
const POST: Request<'static> = Request::post(b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\nx", 1, 1);

/// The outcome of consecutive requests.
#[derive(Debug)]
struct Outcome {
    /// The body of each response, or its fault.
    answers: Vec<Result<String, String>>,
    /// The requests that the server read on each connection.
    read: Vec<Vec<String>>,
    traffic: results::TrafficCounts,
}

impl Outcome {
    /// Number of requests on each connection.
    fn requests(&self) -> Vec<usize> {
        self.read.iter().map(Vec::len).collect()
    }
}

/// Whether the next request is made at once, or after the server has closed the kept connection or
/// sent bytes on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    AtOnce,
    AfterServer,
}

async fn make(requests: &[Request<'_>], next: Next, scripts: &[&[Step]]) -> Outcome {
    let listener = listener();
    let session = worker_to(&listener, Transport::Polling).session(0);
    let answered = Notify::new();
    let serving = serve(listener, scripts, &answered);
    let requesting = async {
        let (mut requester, mut answers) = (Requester::new(true), Vec::new());
        for request in requests {
            if let Some(kept) = requester.kept.as_ref().filter(|_| next == Next::AfterServer) {
                kept.half.readable().await;
            }
            let mut body = Vec::new();
            let made = requester.request(&session, request, |bytes| Ok(append_body(bytes, &mut body)?)).await;
            answered.notify_one();
            answers.push(match made {
                Ok(_) => Ok(String::from_utf8(body).unwrap()),
                Err(SessionEnd::Failed(fault)) => Err(fault.to_string()),
                Err(SessionEnd::Closed) => panic!("no response here ends a session"),
            });
        }
        answers
    };
    let (answers, read) = tokio::join!(requesting, serving);
    let traffic = session.run.counters.borrow().traffic;
    Outcome { answers, read, traffic }
}

fn hi() -> Result<String, String> {
    Ok("hi".to_owned())
}

fn fault(text: &str) -> Result<String, String> {
    Err(text.to_owned())
}

#[tokio::test]
async fn a_connection_is_kept_while_both_sides_allow_it() {
    const CLOSES: &str = "HTTP/1.1 200 OK\r\nconnection: x, close\r\ncontent-length: 2\r\n\r\nhi";
    const OLD: &str = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    const OLD_KEPT: &str = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi";
    const UNTIL_CLOSE: &str = "HTTP/1.0 200 OK\r\n\r\nhi";
    for (answer, kept) in [(OK, true), (CLOSES, false), (OLD, false), (OLD_KEPT, true), (UNTIL_CLOSE, false)] {
        let twice = [Read, Write(answer), Read, Write(answer)];
        let scripts: &[&[Step]] = if kept { &[&twice] } else { &[&twice[..2], &twice[..2]] };
        let outcome = make(&[GET, POST], Next::AtOnce, scripts).await;
        assert_eq!((outcome.answers, outcome.traffic.requests), (vec![hi(), hi()], 2), "{answer:?}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_no_fault() {
    for ends in [&[Read, Write(OK)][..], &[Read, Write(OK), Reset]] {
        for request in [GET, POST] {
            let outcome = make(&[GET, request], Next::AfterServer, &[ends, &[Read, Write(OK)]]).await;
            assert_eq!(outcome.answers, [hi(), hi()], "{ends:?}");
            assert_eq!(
                (outcome.requests(), outcome.traffic.requests, outcome.traffic.connections),
                (vec![1, 1], 2, 2),
                "{ends:?}"
            );
            assert_eq!(outcome.read[1][0].as_bytes(), request.bytes);
        }
    }
}

#[tokio::test]
async fn a_get_without_a_response_is_repeated_on_a_new_connection_and_a_post_is_not() {
    let ends: &[Step] = &[Read, Write(OK), Read];
    let outcome = make(&[GET, GET], Next::AtOnce, &[ends, &[Read, Write(OK)]]).await;
    assert_eq!((outcome.answers, outcome.read.iter().map(Vec::len).sum::<usize>()), (vec![hi(), hi()], 3));
    // The server may have the post.
    let outcome = make(&[GET, POST], Next::AtOnce, &[ends]).await;
    assert_eq!(outcome.answers, [hi(), fault("cut short: the connection ended during a response")]);
    assert_eq!(outcome.requests(), [2]);
}

#[tokio::test]
async fn a_get_is_repeated_once() {
    let (kept, refuses): (&[Step], &[Step]) = (&[Read, Write(OK), Read], &[Read]);
    let gone = fault("cut short: the connection ended during a response");
    let outcome = make(&[GET, GET], Next::AtOnce, &[kept, refuses]).await;
    assert_eq!((outcome.answers.as_slice(), outcome.traffic.connections), (&[hi(), gone.clone()][..], 2));
    // Nor is it repeated after a part of a response.
    let outcome = make(&[GET, GET], Next::AtOnce, &[&[Read, Write(OK), Read, Write("HTTP/1.1 2")]]).await;
    assert_eq!(outcome.answers, [hi(), gone]);
}

#[tokio::test]
async fn bytes_after_a_response_are_a_fault_and_are_counted() {
    const TWICE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n";
    const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello";
    for (answer, bytes, body) in [(TWICE, 19, 2), (NO_CONTENT, 5, 0)] {
        let outcome = make(&[GET], Next::AtOnce, &[&[Read, Write(answer)]]).await;
        assert_eq!(outcome.answers, [fault(&format!("bad bytes: {bytes} bytes after a response"))]);
        // The caller counts the body.
        assert_eq!(outcome.traffic.total(Direction::Down) as usize, answer.len() - body);
    }
}

#[tokio::test]
async fn bytes_without_a_request_are_a_fault_and_are_counted() {
    const TIMEOUT: &str = "HTTP/1.1 408 Request Timeout\r\n\r\n";
    let outcome = make(&[GET, GET], Next::AfterServer, &[&[Read, Write(OK), Wait, Write(TIMEOUT)]]).await;
    assert_eq!(outcome.answers, [hi(), fault("bad bytes: 32 bytes without a request")]);
    assert_eq!(outcome.traffic.total(Direction::Down) as usize, OK.len() - 2 + TIMEOUT.len());
}

#[tokio::test]
async fn an_unexpected_status_is_a_fault_with_its_body() {
    for (answer, text) in [
        ("HTTP/1.1 404 No\r\ncontent-length: 3\r\n\r\nno\n", "bad status: status 404 instead of 200: no"),
        ("HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops", "server error: status 500 instead of 200: oops"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n<html>\nwhy\n", "server error: status 502 instead of 200: <html>\\nwhy"),
        ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", "server error: status 503 instead of 200"),
        (
            "HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
            "asked to come later: status 503 instead of 200",
        ),
        ("HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n", "asked to come later: status 429 instead of 200"),
        ("HTTP/1.1 101 Switch\r\nupgrade: x\r\n\r\n\x01", "bad status: status 101 instead of 200"),
    ] {
        let outcome = make(&[GET], Next::AtOnce, &[&[Read, Write(answer)]]).await;
        assert_eq!(outcome.answers, [fault(text)]);
    }
    // A body without an end is read up to the limit.
    let endless = format!("HTTP/1.1 500 Oops\r\n\r\n{}", "x".repeat(ERROR_BODY_BYTES_MAX + 1)).leak();
    let outcome = make(&[GET], Next::AtOnce, &[&[Read, Write(endless)]]).await;
    assert_eq!(outcome.traffic.total(Direction::Down) as usize, endless.len());
    let text = "x".repeat(ERROR_BODY_BYTES_MAX);
    assert_eq!(outcome.answers, [fault(&format!("server error: status 500 instead of 200: {text}"))]);
    let busy = status_fault(503, Some(Duration::from_secs(1)), &[200], b"");
    assert_eq!((busy.kind, busy.pause()), (FaultKind::RetryLater, Duration::from_secs(1)));
    let never = status_fault(429, Some(Duration::from_secs(86_400)), &[200], b"");
    assert_eq!(never.pause(), Duration::from_secs(5), "the wait is limited, because a run ends");
}

#[test]
fn a_body_that_is_read_as_a_whole_has_a_limit() {
    let mut answer = Vec::new();
    assert_eq!(append_body(&vec![0; BODY_BYTES_MAX], &mut answer), Ok(()));
    assert_eq!(append_body(b"x", &mut answer).unwrap_err().kind, FaultKind::BadBytes);
}

/// The fault of a client whose first request gets this response. The connection stays open after
/// it.
async fn refused(transport: Transport, http_client: HttpClient, response: &[u8]) -> Fault {
    let listener = listener();
    let mut plan = plan(1, 1, "");
    plan.http_client = http_client;
    let worker = worker_of(&plan.into(), listener.local_addr().unwrap(), transport);
    let session = worker.session(0);
    let answering = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
        socket.write_all(response).await.unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = crate::transports::run_session(&session) => match ended {
            Err(SessionEnd::Failed(fault)) => fault,
            ended => panic!("{transport}: {ended:?}"),
        },
        () = answering => unreachable!("the server does not stop"),
    }
}

/// Every transport on HTTP with every HTTP client it has.
fn http_clients() -> impl Iterator<Item = (Transport, HttpClient)> {
    let has_both = |transport: Transport| transport.has_room_url() && !transport.posts_in_band();
    let built_in = Transport::ALL.into_iter().filter(|transport| transport.is_http());
    let reqwest = Transport::ALL.into_iter().filter(move |transport| has_both(*transport));
    built_in.map(|transport| (transport, HttpClient::BuiltIn)).chain(reqwest.map(|it| (it, HttpClient::Reqwest)))
}

#[tokio::test]
async fn a_refusal_has_its_status_and_body_on_every_transport() {
    let sized = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 15\r\n\r\nno \x1b[31m\r\nentry";
    let chunked = b"HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n4\r\nno \x1b\r\n4\r\n[31m\r\n7\r\n\r\nentry\r\n0\r\n\r\n";
    for (transport, client) in http_clients() {
        for response in [&sized[..], chunked] {
            let Fault { kind, detail, .. } = refused(transport, client, response).await;
            let expected = detail.strip_prefix("status 403 instead of ").and_then(|rest| rest.split_once(": "));
            let (expected, body) = expected.unwrap_or_else(|| panic!("{transport} {client:?}: {detail}"));
            assert!(matches!(expected, "101" | "200" | "200 or 204"), "{transport} {client:?}: {detail}");
            assert_eq!((kind, body), (FaultKind::BadStatus, "no \\u{1b}[31m\\r\\nentry"), "{transport} {client:?}");
        }
    }
}

#[tokio::test]
async fn the_body_of_a_refusal_is_bounded_in_time_and_bytes() {
    for (transport, client) in http_clients() {
        let silent = b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n";
        let fault = refused(transport, client, silent).await;
        assert!(fault.detail.starts_with("status 404 instead of ") && !fault.detail.contains(':'), "{fault}");
        let long = format!("HTTP/1.1 500 Oops\r\ncontent-length: 99999\r\n\r\n{}", "x".repeat(10_000));
        let fault = refused(transport, client, long.as_bytes()).await;
        assert!(fault.detail.ends_with(&format!(": {}", "x".repeat(ERROR_BODY_BYTES_MAX))), "{fault}");
        assert_eq!(fault.kind, FaultKind::ServerError, "{transport} {client:?}");
    }
}
