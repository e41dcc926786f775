//! WebSocket: an item a message.

use std::convert::Infallible;
use std::rc::Rc;

use wire::{ClientItem, Encoding, Framing, Post, decode_down, decode_json, encode_post_json, encode_up};

use super::upgraded::{WsConnection, push_binary, push_text};
use crate::client::Client;
use crate::error::{Fault, SessionEnd};
use crate::protocol::frames::Message;
use crate::protocol::handshake::Offer;
use crate::worker::Worker;
use results::{ByteClass, Direction, FaultKind, TrafficKind};

pub(super) async fn session(worker: &Rc<Worker>, client: &Rc<Client>) -> Result<Infallible, SessionEnd> {
    let binary = worker.framing == Framing::WsBinary;
    let mut socket = connect(worker, client, if binary { Encoding::Binary } else { Encoding::Json }).await?;
    loop {
        socket
            .read(worker, client, |_, message, header_bytes| {
                let item = match (message, binary) {
                    (Message::Text(text), false) => decode_json(text.as_bytes())?,
                    (Message::Binary(bytes), true) => decode_down(bytes)?,
                    _ => return Err(Fault::new(FaultKind::BadBytes, "text for binary, or binary for text").into()),
                };
                worker.receive(client, item, message.bytes().len(), header_bytes)
            })
            .await?;
        worker.open_in_band(client, socket.link());
        worker.send_scheduled();
    }
}

async fn connect(worker: &Worker, client: &Client, encoding: Encoding) -> Result<WsConnection, SessionEnd> {
    let offer = Offer::new(None);
    let requests = worker.requests(client, &format!("encoding={}", encoding.name()), &offer.headers());
    let mut request = Vec::new();
    requests.read(client.start_at(), &mut request);
    WsConnection::open(worker, client, &request, &offer).await
}

pub(super) fn compose(worker: &Worker, post: &Post<'_>, out: &mut Vec<u8>) {
    let mut item = Vec::with_capacity(post.text.len() + 64);
    let (item_bytes, header) = if worker.framing == Framing::WsBinary {
        encode_up(&ClientItem::Post(post.clone()), &mut item);
        (item.len(), push_binary(item, out))
    } else {
        encode_post_json(post, &mut item);
        (item.len(), push_text(item, out))
    };
    let payload = post.text.len();
    worker.count_bytes(Direction::Up, TrafficKind::Posting, ByteClass::Payload, payload);
    worker.count_bytes(Direction::Up, TrafficKind::Posting, ByteClass::Envelope, item_bytes - payload);
    worker.count_bytes(Direction::Up, TrafficKind::Posting, ByteClass::Framing, header);
}
