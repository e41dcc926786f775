//! STOMP 1.2 on a WebSocket: CONNECT, SUBSCRIBE, and then a MESSAGE an item; a SEND with a receipt a post.

use std::convert::Infallible;
use std::rc::Rc;

use wire::stomp::{DEFAULT_SUBSCRIPTION, DESTINATION, SUBPROTOCOL, StompFrame};
use wire::{Ack, Post, ServerItem, decode_json, encode_post_json};

use super::upgraded::{WsConnection, push_text, send_text};
use crate::client::Client;
use crate::error::{Fault, SessionEnd};
use crate::link::Connection;
use crate::protocol::frames::Message;
use crate::protocol::handshake::Offer;
use crate::worker::Worker;
use results::FaultKind;
use results::{ByteClass, Direction, TrafficKind};

pub(super) async fn session(worker: &Rc<Worker>, client: &Rc<Client>) -> Result<Infallible, SessionEnd> {
    let (offer, mut request) = (Offer::new(Some(SUBPROTOCOL)), Vec::new());
    worker.requests(client, "", &offer.headers()).read(client.start_at(), &mut request);
    let mut socket = WsConnection::open(worker, client, &request, &offer).await?;
    drop((request, offer));
    let beat = worker.tuning().heartbeat.unwrap_or_default().as_millis();
    let host = worker.target.http;
    let connect = format!("CONNECT\naccept-version:1.2\nhost:{host}\nheart-beat:0,{beat}\n\n\0");
    send_text(worker, socket.link(), TrafficKind::SetUp, connect.as_bytes())?;
    drop(connect);
    loop {
        socket
            .read(worker, client, |link, message, header_bytes| {
                take(worker, client, link, text_of(message)?, header_bytes)
            })
            .await?;
        worker.open_in_band(client, socket.link());
        worker.send_scheduled();
    }
}

/// STOMP comes in both kinds of message.
fn text_of(message: Message<'_>) -> Result<&str, Fault> {
    match message {
        Message::Text(text) => Ok(text),
        Message::Binary(bytes) => std::str::from_utf8(bytes).map_err(|_| bad("a frame that is not UTF-8")),
    }
}

fn take(
    worker: &Worker,
    client: &Client,
    link: &Connection,
    message: &str,
    header_bytes: usize,
) -> Result<(), SessionEnd> {
    if let Some(body) = plain_message(message.as_bytes()) {
        return worker.receive(client, decode_json(body)?, body.len(), message.len() - body.len() + header_bytes);
    }
    let Some(frame) = StompFrame::parse(message).map_err(|error| bad(&error.to_string()))? else {
        worker.count_bytes(Direction::Down, TrafficKind::KeepAlive, ByteClass::Framing, message.len() + header_bytes);
        return Ok(());
    };
    match frame.command {
        "MESSAGE" | "ERROR" => {
            let body = frame.body;
            let item = decode_json(body.as_bytes())?;
            worker.receive(client, item, body.len(), message.len() - body.len() + header_bytes)
        }
        "RECEIPT" => {
            let number = |name| frame.header(name).and_then(|value| value.parse().ok());
            let ordinal = number("receipt-id").ok_or_else(|| bad("a receipt for nothing that was sent"))?;
            let ack = Ack { ordinal, seq: number("seq").unwrap_or_default() };
            worker.receive(client, ServerItem::Ack(ack), 0, message.len() + header_bytes)
        }
        "CONNECTED" => {
            worker.count_bytes(Direction::Down, TrafficKind::SetUp, ByteClass::Framing, message.len() + header_bytes);
            let subscribe = format!("SUBSCRIBE\nid:{DEFAULT_SUBSCRIPTION}\ndestination:{DESTINATION}\n\n\0");
            Ok(send_text(worker, link, TrafficKind::SetUp, subscribe.as_bytes())?)
        }
        unknown => Err(bad(&format!("no server sends {unknown:?}")).into()),
    }
}

/// The body of a message whose headers say nothing that must be read: nearly all that ever come.
fn plain_message(message: &[u8]) -> Option<&[u8]> {
    let rest = message.strip_prefix(b"MESSAGE\n")?.strip_suffix(b"\0")?;
    let body = memchr::memmem::find(rest, b"\n\n")? + 2;
    Some(&rest[body..])
}

fn bad(what: &str) -> Fault {
    Fault::new(FaultKind::BadBytes, what)
}

pub(super) fn compose(worker: &Worker, post: &Post<'_>, out: &mut Vec<u8>) {
    let mut frame = Vec::with_capacity(post.text.len() + 160);
    let ordinal = post.ordinal;
    let head = format!("SEND\ndestination:{DESTINATION}\nreceipt:{ordinal}\ncontent-type:application/json\n\n");
    frame.extend_from_slice(head.as_bytes());
    encode_post_json(post, &mut frame);
    let (payload, item) = (post.text.len(), frame.len() - head.len());
    frame.push(0);
    let header = push_text(frame, out);
    worker.count_bytes(Direction::Up, TrafficKind::Posting, ByteClass::Payload, payload);
    worker.count_bytes(Direction::Up, TrafficKind::Posting, ByteClass::Envelope, item - payload);
    worker.count_bytes(Direction::Up, TrafficKind::Posting, ByteClass::Framing, head.len() + 1 + header);
}
