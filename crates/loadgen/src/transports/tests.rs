//! Every case of [`wire::websocket_cases`] from a server to every client that has a WebSocket: what is wrong is a fault, never a message,
//! a hang or a panic.

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

use super::*;
use crate::error::Fault;
use crate::worker::tests::{plan, worker_of};
use results::FaultKind;

/// How long a case may take: nothing in any of them waits for time to pass.
const CASE_MAX: Duration = Duration::from_secs(5);
/// As `lean/frames.rs` has it.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// Asks, behind a case, whether the connection goes on.
const LAST: &[u8] = b"the last of all";

#[tokio::test]
async fn every_case_to_websocket_in_json() {
    run_all(Transport::Websocket, Encoding::Json).await;
}

#[tokio::test]
async fn every_case_to_websocket_in_binary() {
    run_all(Transport::Websocket, Encoding::Binary).await;
}

#[tokio::test]
async fn every_case_to_stomp() {
    run_all(Transport::Stomp, Encoding::Json).await;
}

#[tokio::test]
async fn every_case_to_socketio_on_a_websocket() {
    run_all(Transport::SocketioWebsocket, Encoding::Json).await;
}

#[tokio::test]
async fn every_case_to_socketio_after_its_upgrade() {
    run_all(Transport::Socketio, Encoding::Json).await;
}

#[tokio::test]
async fn what_is_wrong_in_answer_to_a_probe_is_a_fault_and_the_session_stays_on_polling() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let worker = worker_of(&Arc::new(plan(1, 1, "")), listener.local_addr().unwrap(), Transport::Socketio);
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
            Err(end) = session(&worker, worker.client(0)) => panic!("{end:?}"),
            () = server => {}
        }
    };
    tokio::time::timeout(CASE_MAX, LocalSet::new().run_until(running)).await.unwrap();
    assert_eq!(worker.counters.borrow().traffic.upgrades_refused, 1);
    assert_eq!(worker.faults.borrow().counts, BTreeMap::from([(FaultKind::BadBytes, 1)]));
}

async fn run_all(transport: Transport, encoding: Encoding) {
    let receiver = Receiver { side: Side::Client, transport, encoding };
    let messages = Messages::of(&receiver, MESSAGE_BYTES_MAX);
    let mut plan = plan(1, 1, "");
    plan.encoding_asked = encoding;
    let plan = Arc::new(plan);
    let mut wrong = Vec::new();
    for case in websocket_cases::all() {
        let expected = case.outcome(&receiver);
        let (tasks, running) = (LocalSet::new(), run(&plan, receiver, &case, &messages));
        let found = tokio::time::timeout(CASE_MAX, tasks.run_until(running)).await.unwrap_or(Found::Hangs);
        if !agree(&receiver, expected, &found) {
            wrong.push(format!("{} (section {}): {expected:?}, found {found:?}", case.name, case.section));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a client made of a case.
#[derive(Debug)]
enum Found {
    /// It took so many messages and goes on; whether each ping has its pong.
    GoesOn {
        messages: usize,
        pings_answered: bool,
    },
    /// Its session is over, and this is what it sent back before it closed the connection.
    Over {
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
        (Outcome::Closed(code), Found::Over { end, close }) => {
            let is_cut = code == Some(1001) || (code.is_none() && receiver.transport.is_socketio());
            let is_fault = matches!(end, SessionEnd::Failed(Fault { kind: FaultKind::Problem, .. }));
            *close == Some(code) && if is_cut { *end == SessionEnd::Closed } else { is_fault }
        }
        (Outcome::Failed(_), Found::Over { end: SessionEnd::Failed(fault), close: None }) => {
            fault.kind == FaultKind::BadBytes
        }
        (Outcome::CutShort, Found::Over { end: SessionEnd::Failed(fault), close: None }) => {
            fault.kind == FaultKind::CutShort
        }
        _ => false,
    }
}

/// Lets one client meet a server that sends it a case.
async fn run(plan: &Arc<Plan>, receiver: Receiver, case: &Case, messages: &Messages) -> Found {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let worker = worker_of(plan, listener.local_addr().unwrap(), receiver.transport);
    let mut bytes = case.bytes(Side::Client, messages);
    let goes_on = matches!(case.outcome(&receiver), Outcome::Accepted(_));
    if goes_on {
        Frame::ping(LAST).write(Side::Client, &mut bytes);
    }
    let is_cut = case.outcome(&receiver) == Outcome::CutShort;
    let server = serve(listener, bytes, is_cut);
    let session = session(&worker, worker.client(0));
    tokio::pin!(server, session);
    let ended = |Err(end): Result<Infallible, SessionEnd>| {
        // As whoever comes back does it: nothing holds the connection any more.
        worker.mark_disconnected(worker.client(0));
        end
    };
    tokio::select! {
        outcome = &mut session => {
            let end = ended(outcome);
            Found::Over { end, close: close_of(&server.await) }
        }
        // The server may hear first that the client has gone.
        answers = &mut server => {
            if !goes_on {
                return Found::Over { end: ended(session.await), close: close_of(&answers) };
            }
            let frames = case.frames(messages);
            let pings = frames.iter().filter_map(Frame::as_ping).chain([LAST]);
            let pongs = answers.iter().filter(|(opcode, _)| *opcode == OpCode::Control(Control::Pong));
            let ledger = &worker.counters.borrow().ledger;
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

/// Serves one client: its requests on polling, if it makes any, and then the bytes on its WebSocket. Comes back with what the client
/// answered, when it closed the connection or answered the last ping.
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
            // A client that hangs up does not read to the end.
            writing.write_all(&bytes).await.ok();
            if is_cut {
                writing.shutdown().await.ok();
            }
        };
        let listening = async {
            let mut answers = Answers::new();
            while let Some(answer) = read_frame(&mut reading).await {
                answers.push(answer);
                if answers.last().is_some_and(|(_, payload)| payload == LAST) {
                    break;
                }
            }
            answers
        };
        return tokio::join!(sending, listening).1;
    }
}

/// A session of Socket.IO before its upgrade.
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

/// A request's head; empty when there is none.
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

/// A client's frame, unmasked.
async fn read_frame(socket: &mut (impl AsyncReadExt + Unpin)) -> Option<(OpCode, Vec<u8>)> {
    let (first, second) = (socket.read_u8().await.ok()?, socket.read_u8().await.ok()?);
    assert_eq!((first & 0xf0, second & 0x80), (0x80, 0x80), "a client of ours masks and does not fragment");
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
