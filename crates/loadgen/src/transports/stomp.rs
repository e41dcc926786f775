//! STOMP 1.2 on a WebSocket: CONNECT, SUBSCRIBE, then one MESSAGE per item. A post is a SEND that
//! asks for a receipt.

use std::convert::Infallible;

use results::{ByteClass, Direction, FaultKind, TrafficKind};
use wire::stomp::{DEFAULT_SUBSCRIPTION, DESTINATION, SUBPROTOCOL, StompFrame};
use wire::{Ack, Post, ServerItem, decode_json, encode_post_json};

use super::in_band;
use super::ws_connection::{WsConnection, push_text, send_text};
use crate::error::{Fault, SessionEnd};
use crate::net::connection::Connection;
use crate::protocol::ws_frame::Message;
use crate::protocol::ws_handshake::Offer;
use crate::run_context::RunContext;
use crate::session::Session;

pub(super) async fn run_session(session: &Session) -> Result<Infallible, SessionEnd> {
    let mut socket = connect(session).await?;
    loop {
        socket
            .read(session, |connection, message, header_bytes| {
                receive(session, connection, text_of(message)?, header_bytes)
            })
            .await?;
        in_band::attach(session, socket.connection(), encode);
        session.send_scheduled();
    }
}

async fn connect(session: &Session) -> Result<WsConnection, SessionEnd> {
    let (offer, mut request) = (Offer::new(Some(SUBPROTOCOL)), Vec::new());
    session.requests("", &offer.headers()).read(session.client.start_at(), &mut request);
    let socket = WsConnection::open(session, &request, &offer).await?;
    let heartbeat_ms = session.run.tuning().heartbeat.unwrap_or_default().as_millis();
    let host = session.client.node(&session.run).http;
    let connect = format!("CONNECT\naccept-version:1.2\nhost:{host}\nheart-beat:0,{heartbeat_ms}\n\n\0");
    send_text(&session.run, socket.connection(), TrafficKind::SetUp, connect.as_bytes())?;
    Ok(socket)
}

/// A frame may be in either kind of message.
fn text_of(message: Message<'_>) -> Result<&str, Fault> {
    match message {
        Message::Text(text) => Ok(text),
        Message::Binary(bytes) => std::str::from_utf8(bytes).map_err(|_| bad("a frame that is not UTF-8")),
    }
}

fn receive(session: &Session, connection: &Connection, message: &str, header_bytes: usize) -> Result<(), SessionEnd> {
    if let Some(body) = plain_message(message.as_bytes()) {
        return session.receive(decode_json(body)?, body.len(), message.len() - body.len() + header_bytes);
    }
    let run = &*session.run;
    let Some(frame) = StompFrame::parse(message).map_err(|error| bad(&error.to_string()))? else {
        run.count_bytes(Direction::Down, TrafficKind::KeepAlive, ByteClass::Framing, message.len() + header_bytes);
        return Ok(());
    };
    match frame.command {
        "MESSAGE" | "ERROR" => {
            let body = frame.body;
            let item = decode_json(body.as_bytes())?;
            session.receive(item, body.len(), message.len() - body.len() + header_bytes)
        }
        "RECEIPT" => {
            let number = |name| frame.header(name).and_then(|value| value.parse().ok());
            let ordinal = number("receipt-id").ok_or_else(|| bad("a receipt without a numeric receipt-id"))?;
            let ack = Ack { ordinal, seq: number("seq").unwrap_or_default() };
            session.receive(ServerItem::Ack(ack), 0, message.len() + header_bytes)
        }
        "CONNECTED" => {
            run.count_bytes(Direction::Down, TrafficKind::SetUp, ByteClass::Framing, message.len() + header_bytes);
            let subscribe = format!("SUBSCRIBE\nid:{DEFAULT_SUBSCRIPTION}\ndestination:{DESTINATION}\n\n\0");
            Ok(send_text(run, connection, TrafficKind::SetUp, subscribe.as_bytes())?)
        }
        unknown => Err(bad(&format!("a frame with the command {unknown:?}, which no server sends")).into()),
    }
}

/// The body of a MESSAGE, found without reading its headers: nearly all frames take this path.
fn plain_message(message: &[u8]) -> Option<&[u8]> {
    let rest = message.strip_prefix(b"MESSAGE\n")?.strip_suffix(b"\0")?;
    let body = memchr::memmem::find(rest, b"\n\n")? + 2;
    Some(&rest[body..])
}

fn bad(what: &str) -> Fault {
    Fault::new(FaultKind::BadBytes, what)
}

fn encode(run: &RunContext, post: &Post<'_>, out: &mut Vec<u8>) {
    let mut frame = Vec::with_capacity(post.text.len() + 160);
    let ordinal = post.ordinal;
    let head = format!("SEND\ndestination:{DESTINATION}\nreceipt:{ordinal}\ncontent-type:application/json\n\n");
    frame.extend_from_slice(head.as_bytes());
    encode_post_json(post, &mut frame);
    let (payload, item) = (post.text.len(), frame.len() - head.len());
    frame.push(0);
    let header = push_text(frame, out);
    run.count_post(payload, item - payload, head.len() + 1 + header);
}
