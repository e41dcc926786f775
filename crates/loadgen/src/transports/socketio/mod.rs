//! Socket.IO with each of its transports: polling, WebSocket, and the upgrade from the one to the
//! other.

mod packet_reader;
mod packet_sender;
mod poll_connection;
mod post_packets;
mod upgrade;

use std::convert::Infallible;

use wire::{Framing, Transport};

use self::packet_reader::PacketReader;
use self::post_packets::encode_frames;
use super::in_band;
use super::ws_connection::{WsConnection, send_text};
use crate::error::SessionEnd;
use crate::protocol::ws_frame::Message;
use crate::protocol::ws_handshake::Offer;
use crate::run_context::RunContext;
use crate::session::Session;

pub(super) async fn run_session(session: &Session) -> Result<Infallible, SessionEnd> {
    if session.run.transport == Transport::SocketioWebsocket {
        let offer = Offer::new(None);
        let request = request(&session.run, "GET", "websocket", "", &offer.headers());
        let socket = WsConnection::open(session, &request, &offer).await?;
        return read_websocket(session, socket, PacketReader::default()).await;
    }
    let (socket, reader) = Box::pin(upgrade::run_polling(session)).await?;
    in_band::attach(session, socket.connection(), encode_frames);
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
                match reader.receive(session, packet, header_bytes)? {
                    Some(reply) => Ok(send_text(&session.run, connection, reply.kind, &reply.packet)?),
                    None => Ok(()),
                }
            })
            .await?;
        in_band::attach(session, socket.connection(), encode_frames);
        session.send_scheduled();
    }
}

/// The head of a request to the server's path. The caller appends a body and its length.
fn request(run: &RunContext, method: &str, transport: &str, sid: &str, headers: &str) -> Vec<u8> {
    let host = run.target.http;
    // Lets the server count sessions that will upgrade apart from those that stay on polling.
    let upgrade = if run.transport == Transport::Socketio { "&upgrade=1" } else { "" };
    let sid = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
    let path = format!("/socket.io/?EIO=4&transport={transport}{upgrade}{sid}");
    format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n").into_bytes()
}

fn is_binary(run: &RunContext) -> bool {
    run.framing == Framing::LengthPrefixed
}
