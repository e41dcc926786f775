//! WebSocket: an item a message.

use std::convert::Infallible;
use std::rc::Rc;

use wire::{ClientItem, Encoding, Framing, Post, decode_down, decode_json, encode_post_json, encode_up};

use super::upgraded::{Upgraded, push_binary, push_text};
use crate::fault::{End, Fault};
use crate::lean::frames::Message;
use crate::lean::handshake::Offer;
use crate::seat::Seat;
use crate::worker::Worker;
use results::{ByteClass, Direction, FaultKind, TrafficKind};

pub(super) async fn session(worker: &Rc<Worker>, seat: &Rc<Seat>) -> Result<Infallible, End> {
    let binary = worker.form == Framing::WsBinary;
    let mut socket = connect(worker, seat, if binary { Encoding::Binary } else { Encoding::Json }).await?;
    loop {
        socket
            .read(worker, seat, |_, message, header_bytes| {
                let item = match (message, binary) {
                    (Message::Text(text), false) => decode_json(text.as_bytes())?,
                    (Message::Binary(bytes), true) => decode_down(bytes)?,
                    _ => return Err(Fault::new(FaultKind::BadBytes, "text for binary, or binary for text").into()),
                };
                worker.take(seat, item, message.bytes().len(), header_bytes)
            })
            .await?;
        worker.open_in_band(seat, socket.link());
        worker.pace();
    }
}

async fn connect(worker: &Worker, seat: &Seat, encoding: Encoding) -> Result<Upgraded, End> {
    let offer = Offer::new(None);
    let requests = worker.requests(seat, &format!("encoding={}", encoding.name()), &offer.headers());
    let mut request = Vec::new();
    requests.read(seat.start(), &mut request);
    Upgraded::open(worker, seat, &request, &offer).await
}

pub(super) fn compose(worker: &Worker, post: &Post<'_>, out: &mut Vec<u8>) {
    let mut item = Vec::with_capacity(post.text.len() + 64);
    let (item_bytes, header) = if worker.form == Framing::WsBinary {
        encode_up(&ClientItem::Post(post.clone()), &mut item);
        (item.len(), push_binary(item, out))
    } else {
        encode_post_json(post, &mut item);
        (item.len(), push_text(item, out))
    };
    let payload = post.text.len();
    worker.count(Direction::Up, TrafficKind::Posting, ByteClass::Payload, payload);
    worker.count(Direction::Up, TrafficKind::Posting, ByteClass::Envelope, item_bytes - payload);
    worker.count(Direction::Up, TrafficKind::Posting, ByteClass::Framing, header);
}
