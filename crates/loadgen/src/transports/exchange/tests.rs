//! Requests at servers that end connections, answer twice, or answer something else: what is made again, what is a fault, and that every
//! byte is counted.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;
use crate::worker::tests::worker_to;

/// What a server does on a connection, one thing after the other; at the end it closes it.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Waits for a request; each is one write and comes as one read.
    Hears,
    Says(&'static str),
    /// Waits until the client has taken an answer.
    Waits,
    /// Breaks the connection.
    Resets,
}

use Does::{Hears, Resets, Says, Waits};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

/// Serves connections in order, a script each, and returns what it heard on each of them.
async fn serve(listener: TcpListener, scripts: &[&[Does]], answered: &Notify) -> Vec<Vec<String>> {
    let mut heard = Vec::new();
    for script in scripts {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut requests = Vec::new();
        for does in *script {
            match does {
                Hears => {
                    let mut request = vec![0; 4096];
                    let n = socket.read(&mut request).await.unwrap();
                    requests.push(String::from_utf8(request[..n].to_vec()).unwrap());
                }
                Waits => answered.notified().await,
                Says(words) => socket.write_all(words.as_bytes()).await.unwrap(),
                Resets => socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap(),
            }
        }
        heard.push(requests);
    }
    heard
}

const GET: Request<'static> = Request::get(b"GET / HTTP/1.1\r\n\r\n", Expected::SET_UP);
const POST: Request<'static> = Request::post(b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\nx", 1, 1);

/// What came of requests that were made one after the other, and what of them reached the server.
#[derive(Debug)]
struct Came {
    /// Of each the body of its answer, or what was wrong.
    answers: Vec<Result<String, String>>,
    heard: Vec<Vec<String>>,
    tally: results::TrafficCounts,
}

impl Came {
    /// How many requests came on each connection.
    fn requests(&self) -> Vec<usize> {
        self.heard.iter().map(Vec::len).collect()
    }
}

/// Whether the next request is made at once, or when the server has ended the kept connection or said something on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    AtOnce,
    WhenSomethingComes,
}

async fn make(requests: &[Request<'_>], next: Next, scripts: &[&[Does]]) -> Came {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let worker = worker_to(&listener, wire::Transport::Polling);
    listener.set_nonblocking(true).unwrap();
    let answered = Notify::new();
    let serving = serve(TcpListener::from_std(listener).unwrap(), scripts, &answered);
    let asking = async {
        let (mut exchange, mut answers) = (Requester::new(true), Vec::new());
        for request in requests {
            if let Some(kept) = exchange.kept.as_ref().filter(|_| next == Next::WhenSomethingComes) {
                kept.reading.readable().await;
            }
            let mut body = Vec::new();
            let asked =
                exchange.request(&worker, worker.client(0), request, |bytes| Ok(append_body(bytes, &mut body)?)).await;
            answered.notify_one();
            answers.push(match asked {
                Ok(_) => Ok(String::from_utf8(body).unwrap()),
                Err(SessionEnd::Failed(fault)) => Err(fault.to_string()),
                Err(SessionEnd::Closed) => panic!("nothing here is a cut"),
            });
        }
        answers
    };
    let (answers, heard) = tokio::join!(asking, serving);
    let tally = worker.counters.borrow().traffic;
    Came { answers, heard, tally }
}

fn hi() -> Result<String, String> {
    Ok("hi".to_owned())
}

fn fault(text: &str) -> Result<String, String> {
    Err(text.to_owned())
}

#[tokio::test]
async fn a_connection_is_kept_while_both_sides_want_to() {
    const CLOSES: &str = "HTTP/1.1 200 OK\r\nconnection: x, close\r\ncontent-length: 2\r\n\r\nhi";
    const OLD: &str = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    const OLD_KEPT: &str = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi";
    const UNTIL_CLOSE: &str = "HTTP/1.0 200 OK\r\n\r\nhi";
    for (answer, kept) in [(OK, true), (CLOSES, false), (OLD, false), (OLD_KEPT, true), (UNTIL_CLOSE, false)] {
        let twice = [Hears, Says(answer), Hears, Says(answer)];
        let scripts: &[&[Does]] = if kept { &[&twice] } else { &[&twice[..2], &twice[..2]] };
        let came = make(&[GET, POST], Next::AtOnce, scripts).await;
        assert_eq!((came.answers, came.tally.requests), (vec![hi(), hi()], 2), "{answer:?}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_no_fault() {
    for ends in [&[Hears, Says(OK)][..], &[Hears, Says(OK), Resets]] {
        for request in [GET, POST] {
            let came = make(&[GET, request], Next::WhenSomethingComes, &[ends, &[Hears, Says(OK)]]).await;
            assert_eq!(came.answers, [hi(), hi()], "{ends:?}");
            assert_eq!((came.requests(), came.tally.requests, came.tally.connections), (vec![1, 1], 2, 2), "{ends:?}");
            assert_eq!(came.heard[1][0].as_bytes(), request.bytes);
        }
    }
}

#[tokio::test]
async fn a_question_without_any_answer_is_asked_again_on_a_new_connection_and_a_post_is_not() {
    let ends: &[Does] = &[Hears, Says(OK), Hears];
    let came = make(&[GET, GET], Next::AtOnce, &[ends, &[Hears, Says(OK)]]).await;
    assert_eq!((came.answers, came.heard.iter().map(Vec::len).sum::<usize>()), (vec![hi(), hi()], 3));
    // The server may have it: twice would be once too often.
    let came = make(&[GET, POST], Next::AtOnce, &[ends]).await;
    assert_eq!(came.answers, [hi(), fault("cut short: the connection ended during an answer")]);
    assert_eq!(came.requests(), [2]);
}

#[tokio::test]
async fn a_question_is_asked_again_once() {
    let (kept, refuses): (&[Does], &[Does]) = (&[Hears, Says(OK), Hears], &[Hears]);
    let gone = fault("cut short: the connection ended during an answer");
    let came = make(&[GET, GET], Next::AtOnce, &[kept, refuses]).await;
    assert_eq!((came.answers.as_slice(), came.tally.connections), (&[hi(), gone.clone()][..], 2));
    // Nor is it where a part of an answer has come.
    let came = make(&[GET, GET], Next::AtOnce, &[&[Hears, Says(OK), Hears, Says("HTTP/1.1 2")]]).await;
    assert_eq!(came.answers, [hi(), gone]);
}

#[tokio::test]
async fn bytes_behind_an_answer_are_a_fault_and_are_counted() {
    const TWICE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n";
    const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello";
    for (answer, bytes, body) in [(TWICE, 19, 2), (NO_CONTENT, 5, 0)] {
        let came = make(&[GET], Next::AtOnce, &[&[Hears, Says(answer)]]).await;
        assert_eq!(came.answers, [fault(&format!("bad bytes: {bytes} bytes behind an answer"))]);
        // The body is its reader's to count.
        assert_eq!(came.tally.total(Direction::Down) as usize, answer.len() - body);
    }
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_are_a_fault_and_are_counted() {
    const TIMEOUT: &str = "HTTP/1.1 408 Request Timeout\r\n\r\n";
    let came = make(&[GET, GET], Next::WhenSomethingComes, &[&[Hears, Says(OK), Waits, Says(TIMEOUT)]]).await;
    assert_eq!(came.answers, [hi(), fault("bad bytes: 32 bytes that nobody asked for")]);
    assert_eq!(came.tally.total(Direction::Down) as usize, OK.len() - 2 + TIMEOUT.len());
}

#[tokio::test]
async fn another_status_is_told_with_its_words_whatever_the_body_is() {
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
        let came = make(&[GET], Next::AtOnce, &[&[Hears, Says(answer)]]).await;
        assert_eq!(came.answers, [fault(text)]);
    }
    // A body without end is left where enough of it has come.
    let endless = format!("HTTP/1.1 500 Oops\r\n\r\n{}", "x".repeat(REFUSAL_BYTES_MAX + 1)).leak();
    let came = make(&[GET], Next::AtOnce, &[&[Hears, Says(endless)]]).await;
    assert_eq!(came.tally.total(Direction::Down) as usize, endless.len());
    let said = "x".repeat(REFUSAL_BYTES_MAX);
    assert_eq!(came.answers, [fault(&format!("server error: status 500 instead of 200: {said}"))]);
    let busy = status_fault(503, Some(Duration::from_secs(1)), &[200], b"");
    assert_eq!((busy.kind, busy.pause()), (FaultKind::RetryLater, Duration::from_secs(1)));
    let never = status_fault(429, Some(Duration::from_secs(86_400)), &[200], b"");
    assert_eq!(never.pause(), Duration::from_secs(5), "a run has an end");
}

#[test]
fn an_answer_that_is_taken_as_a_whole_has_a_limit() {
    let mut answer = Vec::new();
    assert_eq!(append_body(&vec![0; ANSWER_BYTES_MAX], &mut answer), Ok(()));
    assert_eq!(append_body(b"x", &mut answer).unwrap_err().kind, FaultKind::BadBytes);
}

/// The fault of a client whose first request gets these bytes; the connection stays open behind them.
async fn refused(transport: wire::Transport, answer: &[u8]) -> Fault {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let worker = worker_to(&listener, transport);
    let listener = TcpListener::from_std(listener).unwrap();
    let answering = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(answer).await.unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = crate::transports::session(&worker, worker.client(0)) => match ended {
            Err(SessionEnd::Failed(fault)) => fault,
            ended => panic!("{transport}: {ended:?}"),
        },
        () = answering => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn a_refusal_has_its_status_and_body_on_every_transport() {
    let sized = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 15\r\n\r\nno \x1b[31m\r\nentry";
    let chunked = b"HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n4\r\nno \x1b\r\n4\r\n[31m\r\n7\r\n\r\nentry\r\n0\r\n\r\n";
    for transport in wire::Transport::ALL.into_iter().filter(|transport| transport.is_http()) {
        for answer in [&sized[..], chunked] {
            let Fault { kind, detail, .. } = refused(transport, answer).await;
            let expected = detail.strip_prefix("status 403 instead of ").and_then(|rest| rest.split_once(": "));
            let (expected, body) = expected.unwrap_or_else(|| panic!("{transport}: {detail}"));
            assert!(matches!(expected, "101" | "200" | "200 or 204"), "{transport}: {detail}");
            assert_eq!((kind, body), (FaultKind::BadStatus, "no \\u{1b}[31m\\r\\nentry"), "{transport}");
        }
    }
}

#[tokio::test]
async fn the_body_of_a_refusal_is_bounded_in_time_and_bytes() {
    let silent = refused(wire::Transport::Websocket, b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n").await;
    assert_eq!(silent.detail, "status 404 instead of 101");
    let answer = format!("HTTP/1.1 500 Oops\r\ncontent-length: 99999\r\n\r\n{}", "x".repeat(10_000));
    let fault = refused(wire::Transport::Sse, answer.as_bytes()).await;
    assert_eq!(fault.detail, format!("status 500 instead of 200: {}", "x".repeat(REFUSAL_BYTES_MAX)));
    assert_eq!(fault.kind, FaultKind::ServerError);
}
