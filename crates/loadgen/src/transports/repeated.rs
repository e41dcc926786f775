//! A WebSocket at a server that only repeats: whoever has connected has joined.

use std::convert::Infallible;
use std::rc::Rc;

use super::upgraded::Upgraded;
use crate::fault::End;
use crate::lean::handshake::Offer;
use crate::seat::Seat;
use crate::worker::Worker;

pub(super) async fn session(worker: &Rc<Worker>, seat: &Rc<Seat>, path: &str) -> Result<Infallible, End> {
    let path = path.replace("{room}", &worker.plan.room_name(seat.room).to_string());
    let (host, offer) = (worker.target.http, Offer::new(None));
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{}\r\n", offer.headers());
    let mut socket = Upgraded::open(worker, seat, request.as_bytes(), &offer).await?;
    worker.join(seat, 0);
    worker.open_in_band(seat, socket.link());
    loop {
        socket.read(worker, seat, |_, message, header_bytes| worker.hear(seat, message.bytes(), header_bytes)).await?;
        worker.pace();
    }
}
