//! Every case of [`wire::websocket_cases`], from a server to the client of every transport on a
//! WebSocket: invalid bytes must be a fault, never a message, a hang or a panic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};
use wire::Encoding;
use wire::websocket_cases::{self, Case, Frame, Messages, Outcome, Receiver, Side};

use scenario::Plan;

use super::*;
use crate::error::Fault;
use crate::testing::{listener, plan, worker_of, worker_to};
use results::FaultKind;

/// Longest time of a case. No case waits for time to pass.
const CASE_MAX: Duration = Duration::from_secs(5);
/// As in `protocol/ws_frame.rs`.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// Payload of a ping after a case, which shows whether the connection goes on.
const LAST: &[u8] = b"last";

#[tokio::test]
async fn every_case_is_handled_by_every_websocket_client() {
    let failed = check_all([
        (Transport::Websocket, Encoding::Json),
        (Transport::Websocket, Encoding::Binary),
        (Transport::Stomp, Encoding::Json),
        (Transport::SocketioWebsocket, Encoding::Json),
        (Transport::Socketio, Encoding::Json),
    ])
    .await;
    assert!(failed.is_empty(), "{} cases:\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test]
async fn an_invalid_answer_to_the_probe_is_a_fault_and_the_session_stays_on_polling() {
    let listener = listener();
    let session = worker_to(&listener, Transport::Socketio).session(0);
    let server = async {
        let (_probed, upgrades) = watch::channel(false);
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let head = read_head(&mut socket).await;
            if head.contains("transport=polling") {
                tokio::task::spawn_local(answer_polls(socket, head, upgrades.clone()));
                continue;
            }
            accept_upgrade(&mut socket, &head).await;
            read_frame(&mut socket).await.unwrap();
            // A binary message in place of a text.
            socket.write_all(b"\x82\x063probe").await.unwrap();
            assert_eq!(read_frame(&mut socket).await, None);
            return;
        }
    };
    let running = async {
        tokio::select! {
            Err(end) = run_session(&session) => panic!("{end:?}"),
            () = server => {}
        }
    };
    tokio::time::timeout(CASE_MAX, LocalSet::new().run_until(running)).await.unwrap();
    assert_eq!(session.run.counters.borrow().traffic.upgrades_refused, 1);
    assert_eq!(session.run.faults.borrow().counts, BTreeMap::from([(FaultKind::BadBytes, 1)]));
}

/// Runs every case on each of these, and describes those with an unexpected outcome.
async fn check_all(receivers: impl IntoIterator<Item = (Transport, Encoding)>) -> Vec<String> {
    let mut failed = Vec::new();
    for (transport, encoding) in receivers {
        let receiver = Receiver { side: Side::Client, transport, encoding };
        let messages = Messages::of(&receiver, MESSAGE_BYTES_MAX);
        let mut plan = plan(1, 1, "");
        plan.encoding_asked = encoding;
        let plan = Arc::new(plan);
        for case in websocket_cases::all() {
            let expected = case.outcome(&receiver);
            let (tasks, running) = (LocalSet::new(), run(&plan, receiver, &case, &messages));
            let found = tokio::time::timeout(CASE_MAX, tasks.run_until(running)).await.unwrap_or(Found::Hangs);
            if !agree(&receiver, expected, &found) {
                let (name, section) = (case.name, case.section);
                failed.push(format!(
                    "{transport} {encoding:?} {name} (section {section}): {expected:?}, found {found:?}"
                ));
            }
        }
    }
    failed
}

/// What a client did in a case.
#[derive(Debug)]
enum Found {
    /// It received this many messages and goes on; whether it answered each ping.
    GoesOn {
        messages: usize,
        pings_answered: bool,
    },
    /// Its session ended; the code of the close frame that it sent before.
    Ended {
        end: SessionEnd,
        close: Option<Option<u16>>,
    },
    Hangs,
}

fn agree(receiver: &Receiver, expected: Outcome, found: &Found) -> bool {
    match (expected, found) {
        (Outcome::Accepted(expected), Found::GoesOn { messages, pings_answered }) => {
            expected == *messages && *pings_answered
        }
        (Outcome::Closed(code), Found::Ended { end, close }) => {
            let is_cut = code == Some(1001) || (code.is_none() && receiver.transport.is_socketio());
            let is_fault = matches!(end, SessionEnd::Failed(Fault { kind: FaultKind::Problem, .. }));
            *close == Some(code) && if is_cut { *end == SessionEnd::Closed } else { is_fault }
        }
        (Outcome::Failed(_), Found::Ended { end: SessionEnd::Failed(fault), close: None }) => {
            fault.kind == FaultKind::BadBytes
        }
        (Outcome::CutShort, Found::Ended { end: SessionEnd::Failed(fault), close: None }) => {
            fault.kind == FaultKind::CutShort
        }
        _ => false,
    }
}

/// Connects one client to a server that sends it a case.
async fn run(plan: &Arc<Plan>, receiver: Receiver, case: &Case, messages: &Messages) -> Found {
    let listener = listener();
    let worker = worker_of(plan, listener.local_addr().unwrap(), receiver.transport);
    let mut bytes = case.bytes(Side::Client, messages);
    let goes_on = matches!(case.outcome(&receiver), Outcome::Accepted(_));
    if goes_on {
        Frame::ping(LAST).write(Side::Client, &mut bytes);
    }
    let is_cut = case.outcome(&receiver) == Outcome::CutShort;
    let server = serve(listener, bytes, is_cut);
    let client_session = worker.session(0);
    let session = run_session(&client_session);
    tokio::pin!(server, session);
    let ended = |Err(end): Result<Infallible, SessionEnd>| {
        // As before a reconnect: nothing keeps the connection open.
        client_session.client.mark_disconnected(&worker.run);
        end
    };
    tokio::select! {
        outcome = &mut session => {
            let end = ended(outcome);
            Found::Ended { end, close: close_of(&server.await) }
        }
        // The server may notice first that the client has closed the connection.
        answers = &mut server => {
            if !goes_on {
                return Found::Ended { end: ended(session.await), close: close_of(&answers) };
            }
            let frames = case.frames(messages);
            let pings = frames.iter().filter_map(Frame::as_ping).chain([LAST]);
            let pongs = answers.iter().filter(|(opcode, _)| *opcode == OpCode::Control(Control::Pong));
            let ledger = &worker.run.counters.borrow().ledger;
            let messages = (ledger.corrupted + ledger.duplicated + ledger.unexpected) as usize;
            Found::GoesOn { messages, pings_answered: pings.eq(pongs.map(|(_, payload)| payload.as_slice())) }
        }
    }
}

type Answers = Vec<(OpCode, Vec<u8>)>;

fn close_of(answers: &Answers) -> Option<Option<u16>> {
    let (_, payload) = answers.iter().find(|(opcode, _)| *opcode == OpCode::Control(Control::Close))?;
    Some(payload.first_chunk().map(|code| u16::from_be_bytes(*code)))
}

/// Serves one client: its polls, if it has any, and then the bytes on its WebSocket. Returns the
/// frames that the client sent until it closed the connection or answered the last ping.
async fn serve(listener: TcpListener, bytes: Vec<u8>, is_cut: bool) -> Answers {
    let (probed, upgrades) = watch::channel(false);
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let head = read_head(&mut socket).await;
        if head.contains("transport=polling") {
            tokio::task::spawn_local(answer_polls(socket, head, upgrades.clone()));
            continue;
        }
        accept_upgrade(&mut socket, &head).await;
        if head.contains("&sid=") {
            assert_eq!(read_frame(&mut socket).await.unwrap().1, b"2probe");
            send_text(&mut socket, "3probe").await;
            probed.send_replace(true);
            assert_eq!(read_frame(&mut socket).await.unwrap().1, b"5");
        }
        let (mut reading, mut writing) = socket.into_split();
        let sending = async {
            // The client may close the connection before it has read everything.
            writing.write_all(&bytes).await.ok();
            if is_cut {
                writing.shutdown().await.ok();
            }
        };
        let receiving = async {
            let mut answers = Answers::new();
            while let Some(answer) = read_frame(&mut reading).await {
                answers.push(answer);
                if answers.last().is_some_and(|(_, payload)| payload == LAST) {
                    break;
                }
            }
            answers
        };
        return tokio::join!(sending, receiving).1;
    }
}

/// Answers the polls of a Socket.IO session before its upgrade.
async fn answer_polls(mut socket: TcpStream, mut head: String, mut upgrades: watch::Receiver<bool>) {
    let mut has_joined = false;
    loop {
        let body = if head.starts_with("POST") {
            let length = head.split_once("content-length: ").unwrap().1.split_once("\r\n").unwrap().0;
            socket.read_exact(&mut vec![0; length.parse().unwrap()]).await.unwrap();
            "ok"
        } else if !head.contains("&sid=") {
            r#"0{"sid":"s","upgrades":["websocket"],"pingInterval":1000,"pingTimeout":1000,"maxPayload":1000}"#
        } else if !has_joined {
            has_joined = true;
            "40{\"sid\":\"n\"}\u{1e}430[{\"after\":0}]"
        } else {
            upgrades.wait_for(|probed| *probed).await.unwrap();
            "6"
        };
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(answer.as_bytes()).await.unwrap();
        head = read_head(&mut socket).await;
        if head.is_empty() {
            return;
        }
    }
}

async fn accept_upgrade(socket: &mut TcpStream, head: &str) {
    let value = |name: &str| Some(head.split_once(name)?.1.split_once("\r\n")?.0);
    let accept = derive_accept_key(value("sec-websocket-key: ").unwrap().as_bytes());
    let protocol = value("sec-websocket-protocol: ");
    let protocol = protocol.map(|name| format!("sec-websocket-protocol: {name}\r\n")).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n{protocol}\r\n"
    );
    socket.write_all(answer.as_bytes()).await.unwrap();
}

/// The head of a request; empty at the end of the connection.
async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = socket.read_u8().await else { return String::new() };
        head.push(byte);
    }
    String::from_utf8(head).unwrap()
}

async fn send_text(socket: &mut TcpStream, text: &str) {
    socket.write_all(&[&[0x81, text.len() as u8], text.as_bytes()].concat()).await.unwrap();
}

/// A client's frame, without its mask.
async fn read_frame(socket: &mut (impl AsyncReadExt + Unpin)) -> Option<(OpCode, Vec<u8>)> {
    let (first, second) = (socket.read_u8().await.ok()?, socket.read_u8().await.ok()?);
    assert_eq!((first & 0xf0, second & 0x80), (0x80, 0x80), "the client masks its frames and does not fragment");
    let length = match second & 0x7f {
        126 => usize::from(socket.read_u16().await.ok()?),
        short => usize::from(short),
    };
    let mut mask = [0; 4];
    socket.read_exact(&mut mask).await.ok()?;
    let mut payload = vec![0; length];
    socket.read_exact(&mut payload).await.ok()?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Some((OpCode::from(first & 0x0f), payload))
}
