//! Socket.IO, in the three ways its clients come: on polling, on a WebSocket, and from the one to the other.

mod polling;
mod talk;
mod upgrade;

use std::convert::Infallible;
use std::rc::Rc;

use wire::Transport;

use self::talk::{Talk, path};
use super::upgraded::{Upgraded, send_text};
use crate::fault::End;
use crate::lean::frames::Message;
use crate::lean::handshake::Offer;
use crate::seat::Seat;
use crate::worker::Worker;

pub(crate) use polling::Uplink;
pub(super) use talk::compose_frames as compose;

pub(super) async fn session(worker: &Rc<Worker>, seat: &Rc<Seat>) -> Result<Infallible, End> {
    if worker.transport == Transport::SocketioWebsocket {
        let offer = Offer::new(None);
        let request = request(worker, "GET", "websocket", "", &offer.headers());
        let socket = Upgraded::open(worker, seat, &request, &offer).await?;
        return listen(worker, seat, socket, Talk::default()).await;
    }
    let (socket, talk) = Box::pin(upgrade::begin(worker, seat)).await?;
    listen(worker, seat, socket, talk).await
}

/// A session on its WebSocket.
async fn listen(worker: &Worker, seat: &Seat, mut socket: Upgraded, talk: Talk) -> Result<Infallible, End> {
    loop {
        socket
            .read(worker, seat, |link, message, header_bytes| {
                let packet = match message {
                    Message::Text(packet) => packet.as_bytes(),
                    Message::Binary(item) => return talk.take_attachment(worker, seat, item, header_bytes),
                };
                match talk.take(worker, seat, packet, header_bytes)? {
                    Some(say) => Ok(send_text(worker, link, say.purpose, &say.packet)?),
                    None => Ok(()),
                }
            })
            .await?;
        worker.open_in_band(seat, socket.link());
        worker.pace();
    }
}

/// The head of a request to the server's one path; a body is the caller's to announce.
fn request(worker: &Worker, method: &str, transport: &str, sid: &str, headers: &str) -> Vec<u8> {
    let (path, host) = (path(worker, transport, sid), worker.target.http);
    format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n").into_bytes()
}
