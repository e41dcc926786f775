//! The built-in HTTP client and reqwest, over each transport on HTTP requests that has both: they
//! read the same responses, and have the same limits.

use scenario::HttpClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use wire::Transport;

use crate::error::{Fault, SessionEnd};
use crate::testing::{listener, plan, session, until, worker_of};
use crate::transports::http::poller::receive_lines;
use crate::transports::run_session;
use crate::transports::sse::Events;
use results::FaultKind;

fn both_clients() -> impl Iterator<Item = (Transport, HttpClient)> {
    let transports =
        Transport::ALL.into_iter().filter(|transport| transport.has_room_url() && !transport.posts_in_band());
    transports.flat_map(|transport| [HttpClient::BuiltIn, HttpClient::Reqwest].map(|client| (transport, client)))
}

/// Runs a session of one client against a server that handles its connections with `serve`, until
/// the session ends or `serve` returns. Returns the end of the session and the number of joined
/// clients.
async fn run(
    transport: Transport,
    http_client: HttpClient,
    serve: impl AsyncFn(&mut TcpStream, String) -> bool,
) -> (Option<SessionEnd>, u32) {
    let listener = listener();
    let mut plan = plan(1, 1, "");
    plan.http_client = http_client;
    let session = worker_of(&plan.into(), listener.local_addr().unwrap(), transport).session(0);
    let serving = async {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            while let Ok(n @ 1..) = socket.read(&mut request).await {
                let head = String::from_utf8_lossy(&request[..n]).into_owned();
                if !serve(&mut socket, head).await {
                    break;
                }
            }
        }
    };
    let joined = until(|| session.client.joined.get());
    let running = LocalSet::new();
    let end = running
        .run_until(async {
            tokio::select! {
                Err(end) = run_session(&session) => Some(end),
                () = serving => None,
                () = joined => None,
            }
        })
        .await;
    (end, session.run.population.joined.get())
}

/// The bytes of a body that lets a client join: heartbeats for polls, the first item for streams.
fn joining_body(transport: Transport) -> &'static str {
    match transport {
        Transport::Sse => "data:{\"joined\":{\"after\":0}}\n\n",
        Transport::HttpStreaming => "{\"joined\":{\"after\":0}}\n",
        _ => "\n\n",
    }
}

#[tokio::test]
async fn every_form_of_a_response_is_read() {
    for (transport, client) in both_clients() {
        let body = joining_body(transport);
        let (length, half) = (body.len(), body.len() / 2);
        let (first, second) = body.split_at(half);
        let head = "pushbench-cursor: 0\r\ncontent-type: x/y\r\n";
        let chunked = "transfer-encoding: chunked";
        for response in [
            format!("HTTP/1.1 200 OK\r\n{head}content-length: {length}\r\n\r\n{body}"),
            format!("HTTP/1.1 200 OK\r\n{head}Content-Length:  {length} \r\n\r\n{body}"),
            format!("HTTP/1.0 200 OK\r\n{head}content-length: {length}\r\n\r\n{body}"),
            format!("HTTP/1.1 200 OK\r\n{head}connection: close\r\n\r\n{body}"),
            format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n{head}content-length: {length}\r\n\r\n{body}"),
            format!("HTTP/1.1 200 OK\r\n{head}{chunked}\r\n\r\n{length:x};a=b\r\n{body}\r\n0\r\nx: y\r\n\r\n"),
            format!(
                "HTTP/1.1 200 OK\r\n{head}{chunked}\r\n\r\n{half:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
                length - half
            ),
        ] {
            let serve = async |socket: &mut TcpStream, _: String| {
                socket.write_all(response.as_bytes()).await.unwrap();
                false
            };
            let (end, joined) = run(transport, client, serve).await;
            assert!(joined == 1 || end == Some(SessionEnd::Closed), "{transport} {client:?} {response:?}: {end:?}");
        }
    }
}

#[tokio::test]
async fn invalid_responses_are_faults() {
    for (transport, client) in both_clients() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for response in [
            "SSH-2.0-OpenSSH\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi".to_owned(),
            format!("{chunked}zz\r\n"),
            format!("{chunked}4\r\n{{\"x\n\r\n"),
            format!("{chunked}2\r\n1"),
        ] {
            let serve = async |socket: &mut TcpStream, _: String| {
                socket.write_all(response.as_bytes()).await.unwrap();
                false
            };
            let (end, joined) = run(transport, client, serve).await;
            let Some(SessionEnd::Failed(fault)) = end else {
                panic!("{transport} {client:?} {response:?}: {end:?}, {joined} joined")
            };
            let is_right = matches!(fault.kind, FaultKind::BadBytes | FaultKind::CutShort);
            assert!(is_right, "{transport} {client:?} {response:?}: {fault}");
        }
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_a_fault() {
    for (transport, client) in both_clients() {
        let serve = async |socket: &mut TcpStream, _: String| {
            socket.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.unwrap();
            while socket.write_all(&[b'x'; 1 << 16]).await.is_ok() {}
            false
        };
        let (end, _) = run(transport, client, serve).await;
        let Some(SessionEnd::Failed(fault)) = end else { panic!("{transport} {client:?}: {end:?}") };
        assert_eq!(fault.kind, FaultKind::BadBytes, "{transport} {client:?}: {fault}");
    }
}

/// Both clients read lines and events with the same code.
#[test]
fn lines_and_events_without_an_end_are_faults() {
    let session = session(1, 1, "");
    let endless = [b"data:".as_slice(), &vec![b'x'; 8 << 20]].concat();
    let is_fault = |end: SessionEnd| matches!(end, SessionEnd::Failed(Fault { kind: FaultKind::BadBytes, .. }));
    assert!(is_fault(receive_lines(&session, &endless).unwrap_err()));
    assert!(is_fault(Events::new().receive(&session, &endless).unwrap_err()));
}

#[tokio::test]
async fn the_cursor_is_sent_again_after_a_disconnect() {
    for (transport, client) in both_clients() {
        let listener = listener();
        let mut plan = plan(1, 1, "");
        plan.http_client = client;
        let session = worker_of(&plan.into(), listener.local_addr().unwrap(), transport).session(0);
        session.join(7);
        session.client.mark_disconnected(&session.run);
        let serving = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let n = socket.read(&mut request).await.unwrap();
            String::from_utf8_lossy(&request[..n]).into_owned()
        };
        let request = LocalSet::new()
            .run_until(async {
                tokio::select! {
                    Err(end) = run_session(&session) => panic!("{end:?}"),
                    request = serving => request,
                }
            })
            .await;
        let is_sse = transport == Transport::Sse;
        assert!(request.contains("after=7"), "{transport} {client:?} {request}");
        assert_eq!(request.contains("last-event-id: 7\r\n"), is_sse, "{transport} {client:?} {request}");
        assert_eq!(request.contains("accept: text/event-stream\r\n"), is_sse, "{transport} {client:?} {request}");
    }
}

/// A poll has the size in the settings, and no post does.
#[tokio::test]
async fn polls_are_padded_to_the_size_in_the_settings() {
    for client in [HttpClient::BuiltIn, HttpClient::Reqwest] {
        let listener = listener();
        let mut plan = plan(1, 1, "[tuning.polling]\nrequest_bytes = 700\n");
        plan.http_client = client;
        let session = worker_of(&plan.into(), listener.local_addr().unwrap(), Transport::Polling).session(0);
        let serving = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.read(&mut vec![0; 4096]).await.unwrap()
        };
        let bytes = LocalSet::new()
            .run_until(async {
                tokio::select! {
                    Err(end) = run_session(&session) => panic!("{end:?}"),
                    bytes = serving => bytes,
                }
            })
            .await;
        assert_eq!(bytes, 700, "{client:?}");
    }
}
