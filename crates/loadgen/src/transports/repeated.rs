//! A WebSocket at a server that only repeats: whoever has connected has joined.

use std::convert::Infallible;
use std::rc::Rc;

use super::upgraded::WsConnection;
use crate::client::Client;
use crate::error::SessionEnd;
use crate::protocol::handshake::Offer;
use crate::worker::Worker;

pub(super) async fn session(worker: &Rc<Worker>, client: &Rc<Client>, path: &str) -> Result<Infallible, SessionEnd> {
    let path = path.replace("{room}", &worker.plan.room_name(client.room).to_string());
    let (host, offer) = (worker.target.http, Offer::new(None));
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{}\r\n", offer.headers());
    let mut socket = WsConnection::open(worker, client, request.as_bytes(), &offer).await?;
    worker.join(client, 0);
    worker.open_in_band(client, socket.link());
    loop {
        socket
            .read(worker, client, |_, message, header_bytes| worker.receive_text(client, message.bytes(), header_bytes))
            .await?;
        worker.send_scheduled();
    }
}
