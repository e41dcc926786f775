//! Socket.IO with each of its transports: polling, WebSocket, and the upgrade from the one to the
//! other.

mod packet_reader;
mod packet_sender;
mod poll_connection;
mod post_packets;
mod upgrade;

use std::convert::Infallible;
use std::rc::Rc;

use scenario::Request;
use wire::{Framing, Transport};

use self::packet_reader::PacketReader;
use self::post_packets::Frames;
use super::in_band;
use super::ws_connection::{WsConnection, send_text};
use crate::error::SessionEnd;
use crate::protocol::ws_frame::Message;
use crate::protocol::ws_handshake::Offer;
use crate::run_context::RunContext;
use crate::session::Session;
use crate::transports::foreign::posts;
use crate::transports::foreign::requests::Speaker;

pub(super) async fn run_session(session: &Session) -> Result<Infallible, SessionEnd> {
    if session.run.transport == Transport::SocketioWebsocket {
        let offer = Offer::new(None);
        let request = request(session, "GET", "websocket", "", &offer.headers());
        let socket = WsConnection::open(session, &request, &offer).await?;
        return read_websocket(session, socket, PacketReader::new(session)).await;
    }
    let (socket, reader) = Box::pin(upgrade::run_polling(session)).await?;
    attach(session, || in_band::attach(session, socket.connection(), Frames));
    read_websocket(session, socket, reader).await
}

/// Reads a session on its WebSocket.
async fn read_websocket(
    session: &Session,
    mut socket: WsConnection,
    reader: PacketReader,
) -> Result<Infallible, SessionEnd> {
    loop {
        socket
            .read(session, |connection, message, header_bytes| {
                let packet = match message {
                    Message::Text(packet) => packet.as_bytes(),
                    Message::Binary(item) => return reader.receive_attachment(session, item, header_bytes),
                };
                for reply in reader.receive(session, packet, header_bytes)? {
                    send_text(&session.run, connection, reply.kind, &reply.packet)?;
                }
                Ok(())
            })
            .await?;
        attach(session, || in_band::attach(session, socket.connection(), Frames));
        session.send_scheduled();
    }
}

/// Sends the posts of a client that has joined: in the session, as `in_session` says, or as requests
/// where a protocol posts by requests.
fn attach(session: &Session, in_session: impl FnOnce()) {
    match session.run.protocol.as_ref().filter(|protocol| protocol.post.request.is_some()) {
        None => in_session(),
        Some(protocol) if session.needs_sender() => posts::attach(session, &Rc::new(Speaker::new(session, protocol))),
        Some(_) => {}
    }
}

/// The head of a request to the server's path. The caller appends a body and its length.
fn request(session: &Session, method: &str, transport: &str, sid: &str, headers: &str) -> Vec<u8> {
    let run = &session.run;
    let host = session.client.node(run).http;
    // Lets the server count sessions that will upgrade apart from those that stay on polling.
    let upgrade = if run.transport == Transport::Socketio { "&upgrade=1" } else { "" };
    let sid = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
    let query = format!("EIO=4&transport={transport}{upgrade}{sid}");
    if let Some(protocol) = &run.protocol {
        let learned = session.client.learned.borrow();
        let form = Request { method: Some(method.to_owned()), ..protocol.read.clone() };
        return Speaker::new(session, protocol).session_head(&learned, &form, &query, headers);
    }
    let path = format!("/socket.io/?{query}");
    format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n").into_bytes()
}

fn is_binary(run: &RunContext) -> bool {
    run.framing == Framing::LengthPrefixed
}
