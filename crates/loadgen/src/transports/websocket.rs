//! WebSocket: one message per item.

use std::convert::Infallible;

use results::FaultKind;
use wire::{ClientItem, Encoding, Framing, Post, decode_down, decode_json, encode_post_json, encode_up};

use super::in_band;
use super::ws_connection::{WsConnection, push_binary, push_text};
use crate::error::{Fault, SessionEnd};
use crate::protocol::ws_frame::Message;
use crate::protocol::ws_handshake::Offer;
use crate::run_context::RunContext;
use crate::session::Session;

pub(super) async fn run_session(session: &Session) -> Result<Infallible, SessionEnd> {
    let is_binary = session.run.framing == Framing::WsBinary;
    let mut socket = connect(session, if is_binary { Encoding::Binary } else { Encoding::Json }).await?;
    loop {
        socket
            .read(session, |_, message, header_bytes| {
                let item = match (message, is_binary) {
                    (Message::Text(text), false) => decode_json(text.as_bytes())?,
                    (Message::Binary(bytes), true) => decode_down(bytes)?,
                    (Message::Text(_), true) => return Err(bad("a text message where a binary one is due").into()),
                    (Message::Binary(_), false) => return Err(bad("a binary message where a text is due").into()),
                };
                session.receive(item, message.bytes().len(), header_bytes)
            })
            .await?;
        in_band::attach(session, socket.connection(), encode);
        session.send_scheduled();
    }
}

async fn connect(session: &Session, encoding: Encoding) -> Result<WsConnection, SessionEnd> {
    let offer = Offer::new(None);
    let requests = session.requests(&format!("encoding={}", encoding.name()), &offer.headers());
    let mut request = Vec::new();
    requests.read(session.client.start_at(), &mut request);
    WsConnection::open(session, &request, &offer).await
}

fn bad(what: &str) -> Fault {
    Fault::new(FaultKind::BadBytes, what)
}

pub(super) fn encode(run: &RunContext, post: &Post<'_>, out: &mut Vec<u8>) {
    let mut item = Vec::with_capacity(post.text.len() + 64);
    let (item_bytes, header) = if run.framing == Framing::WsBinary {
        encode_up(&ClientItem::Post(post.clone()), &mut item);
        (item.len(), push_binary(item, out))
    } else {
        encode_post_json(post, &mut item);
        (item.len(), push_text(item, out))
    };
    let payload = post.text.len();
    run.count_post(payload, item_bytes - payload, header);
}
