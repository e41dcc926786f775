//! Socket.IO, in the three ways its clients come: on polling, on a WebSocket, and from the one to the other.

mod polling;
mod talk;
mod upgrade;

use std::convert::Infallible;
use std::rc::Rc;

use wire::Transport;

use self::talk::{PacketReader, path};
use super::upgraded::{WsConnection, send_text};
use crate::client::Client;
use crate::error::SessionEnd;
use crate::protocol::frames::Message;
use crate::protocol::handshake::Offer;
use crate::worker::Worker;

pub(crate) use polling::PacketSender;
pub(super) use talk::compose_frames as compose;

pub(super) async fn session(worker: &Rc<Worker>, client: &Rc<Client>) -> Result<Infallible, SessionEnd> {
    if worker.transport == Transport::SocketioWebsocket {
        let offer = Offer::new(None);
        let request = request(worker, "GET", "websocket", "", &offer.headers());
        let socket = WsConnection::open(worker, client, &request, &offer).await?;
        return listen(worker, client, socket, PacketReader::default()).await;
    }
    let (socket, talk) = Box::pin(upgrade::begin(worker, client)).await?;
    listen(worker, client, socket, talk).await
}

/// A session on its WebSocket.
async fn listen(
    worker: &Worker,
    client: &Client,
    mut socket: WsConnection,
    talk: PacketReader,
) -> Result<Infallible, SessionEnd> {
    loop {
        socket
            .read(worker, client, |link, message, header_bytes| {
                let packet = match message {
                    Message::Text(packet) => packet.as_bytes(),
                    Message::Binary(item) => return talk.receive_attachment(worker, client, item, header_bytes),
                };
                match talk.receive(worker, client, packet, header_bytes)? {
                    Some(say) => Ok(send_text(worker, link, say.purpose, &say.packet)?),
                    None => Ok(()),
                }
            })
            .await?;
        worker.open_in_band(client, socket.link());
        worker.send_scheduled();
    }
}

/// The head of a request to the server's one path; a body is the caller's to announce.
fn request(worker: &Worker, method: &str, transport: &str, sid: &str, headers: &str) -> Vec<u8> {
    let (path, host) = (path(worker, transport, sid), worker.target.http);
    format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n").into_bytes()
}
