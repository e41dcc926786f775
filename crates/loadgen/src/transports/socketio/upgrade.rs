//! A session that begins on polling; and, for a client that means to, its way to a WebSocket: probe, let the question that is held come
//! back, tell the server, go on there. Where the server refuses, the client stays where it is, and the record says so.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;
use wire::Transport;

use super::polling::{Downlink, Uplink};
use super::request;
use super::talk::{Say, Talk};
use crate::fault::{End, Fault};
use crate::lean::frames::Message;
use crate::lean::handshake::Offer;
use crate::lean::packets::{Open, Packet};
use crate::seat::{Seat, Way};
use crate::transports::exchange::{Exchange, Request, Wanted, keep};
use crate::transports::upgraded::{Upgraded, send_text};
use crate::worker::Worker;
use results::{ByteClass, Direction, FaultKind, TrafficKind};

/// A session on polling: what its halves share.
struct Session<'a> {
    worker: &'a Rc<Worker>,
    seat: &'a Rc<Seat>,
    sid: String,
    talk: Talk,
    uplink: Rc<Uplink>,
    /// The server has answered the probe: no question after the one that is held.
    probed: Cell<bool>,
    in_room: Notify,
}

/// Comes back with a WebSocket, or not at all while the session stays on polling.
pub(super) async fn begin(worker: &Rc<Worker>, seat: &Rc<Seat>) -> Result<(Upgraded, Talk), End> {
    let mut exchange = Exchange::new(true);
    let open = handshake(worker, seat, &mut exchange).await?;
    let opened_us = worker.clock.run_us();
    let uplink = Uplink::new(worker, &open.sid);
    let downlink = Downlink::new(exchange, worker, &open.sid);
    uplink.say(worker, Say::connect(worker))?;
    let may_upgrade = worker.transport == Transport::Socketio;
    let offered = open.upgrades.iter().any(|name| name == "websocket");
    let session = Session {
        worker,
        seat,
        sid: open.sid,
        talk: Talk::default(),
        uplink,
        probed: Cell::new(false),
        in_room: Notify::new(),
    };
    let socket = {
        let polling = session.poll(downlink);
        let probing = async {
            if may_upgrade && offered {
                session.in_room.notified().await;
                if let Some(socket) = session.probe().await {
                    return Ok(socket);
                }
            } else if may_upgrade {
                session.stay(Fault::new(FaultKind::Problem, "the server offers no upgrade"));
            }
            std::future::pending::<Result<Upgraded, End>>().await
        };
        let both = async { tokio::try_join!(polling, probing) };
        tokio::select! {
            upgraded = both => upgraded?.1,
            end = session.uplink.serve(worker, seat) => match end? {},
        }
    };
    send_text(worker, socket.link(), TrafficKind::SetUp, b"5")?;
    worker.upgraded(opened_us);
    *seat.link.borrow_mut() = Some(Rc::clone(socket.link()));
    worker.open_in_band(seat, socket.link());
    Ok((socket, session.talk))
}

async fn handshake(worker: &Worker, seat: &Seat, exchange: &mut Exchange) -> Result<Open, End> {
    let (ask, mut body) = (request(worker, "GET", "polling", "", ""), Vec::new());
    exchange.ask(worker, seat, &Request::get(&ask, Wanted::SET_UP), |bytes| Ok(keep(bytes, &mut body)?)).await?;
    worker.count(Direction::Down, TrafficKind::SetUp, ByteClass::Framing, body.len());
    match Packet::parse(&body)? {
        Packet::Open(open) => Ok(serde_json::from_slice(open).map_err(wire::WireError::from)?),
        other => Err(Fault::new(FaultKind::BadBytes, format!("a session begins with {other:?}")).into()),
    }
}

impl Session<'_> {
    /// Asks until the session has moved on.
    async fn poll(&self, mut downlink: Downlink) -> Result<(), End> {
        let (worker, seat) = (self.worker, self.seat);
        while !self.probed.get() {
            let before = seat.ledger.borrow().seen;
            downlink.ask(worker, seat, &self.talk, &self.uplink).await?;
            if worker.transport == Transport::Socketio {
                let seen = seat.ledger.borrow().seen - before;
                worker.hot.borrow_mut().tally.delivered_on_polling += u64::from(seen);
            }
            if seat.joined.get() && !self.probed.get() && matches!(*seat.way.borrow(), Way::None) {
                *seat.way.borrow_mut() = Way::Packets(Rc::clone(&self.uplink));
                self.in_room.notify_one();
                worker.flush(seat);
            }
            worker.pace();
        }
        Ok(())
    }

    /// Opens a WebSocket for the session and asks whether it works.
    async fn probe(&self) -> Option<Upgraded> {
        match self.try_probe().await {
            Ok(socket) => Some(socket),
            Err(End::Fault(fault)) => {
                // To refuse is the server's right; what no server may send is not.
                if fault.kind == FaultKind::BadBytes {
                    self.worker.fault(fault.clone());
                }
                self.stay(fault);
                None
            }
            Err(End::Cut) => {
                self.stay(Fault::cut_short("the probe"));
                None
            }
        }
    }

    async fn try_probe(&self) -> Result<Upgraded, End> {
        let (worker, seat) = (self.worker, self.seat);
        let offer = Offer::new(None);
        let ask = request(worker, "GET", "websocket", &self.sid, &offer.headers());
        let mut socket = Upgraded::open(worker, seat, &ask, &offer).await?;
        send_text(worker, socket.link(), TrafficKind::SetUp, b"2probe")?;
        let answered = Cell::new(false);
        while !answered.get() {
            socket
                .read(worker, seat, |_, message, around| {
                    let Message::Text(packet) = message else {
                        return Err(Fault::new(FaultKind::BadBytes, "an attachment in answer to the probe").into());
                    };
                    worker.count(Direction::Down, TrafficKind::SetUp, ByteClass::Framing, packet.len() + around);
                    answered.set(Packet::parse(packet.as_bytes())? == Packet::Probed);
                    Ok(())
                })
                .await?;
        }
        // Posts wait from here on; what was said must have arrived before the server looks elsewhere for us.
        self.probed.set(true);
        *seat.way.borrow_mut() = Way::None;
        self.uplink.is_quiet().await;
        Ok(socket)
    }

    /// Stays on polling.
    fn stay(&self, why: Fault) {
        self.worker.stays_on_polling(&why.to_string());
    }
}
