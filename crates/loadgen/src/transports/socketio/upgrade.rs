//! A session that begins on polling; and, for a client that means to, its way to a WebSocket: probe, let the question that is held come
//! back, tell the server, go on there. Where the server refuses, the client stays where it is, and the record says so.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;
use wire::Transport;

use super::polling::{PacketSender, PollConnection};
use super::request;
use super::talk::{PacketReader, Reply};
use crate::client::{Client, Way};
use crate::error::{Fault, SessionEnd};
use crate::protocol::frames::Message;
use crate::protocol::handshake::Offer;
use crate::protocol::packets::{Open, Packet};
use crate::transports::exchange::{Expected, Request, Requester, append_body};
use crate::transports::upgraded::{WsConnection, send_text};
use crate::worker::Worker;
use results::{ByteClass, Direction, FaultKind, TrafficKind};

/// A session on polling: what its halves share.
struct Session<'a> {
    worker: &'a Rc<Worker>,
    client: &'a Rc<Client>,
    sid: String,
    talk: PacketReader,
    uplink: Rc<PacketSender>,
    /// The server has answered the probe: no question after the one that is held.
    probed: Cell<bool>,
    in_room: Notify,
}

/// Comes back with a WebSocket, or not at all while the session stays on polling.
pub(super) async fn begin(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
) -> Result<(WsConnection, PacketReader), SessionEnd> {
    let mut exchange = Requester::new(true);
    let open = handshake(worker, client, &mut exchange).await?;
    let opened_us = worker.clock.run_us();
    let uplink = PacketSender::new(worker, &open.sid);
    let downlink = PollConnection::new(exchange, worker, &open.sid);
    uplink.send_packet(worker, Reply::connect(worker))?;
    let may_upgrade = worker.transport == Transport::Socketio;
    let offered = open.upgrades.iter().any(|name| name == "websocket");
    let session = Session {
        worker,
        client,
        sid: open.sid,
        talk: PacketReader::default(),
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
            std::future::pending::<Result<WsConnection, SessionEnd>>().await
        };
        let both = async { tokio::try_join!(polling, probing) };
        tokio::select! {
            upgraded = both => upgraded?.1,
            end = session.uplink.serve(worker, client) => match end? {},
        }
    };
    send_text(worker, socket.link(), TrafficKind::SetUp, b"5")?;
    worker.count_upgrade(opened_us);
    *client.connection.borrow_mut() = Some(Rc::clone(socket.link()));
    worker.open_in_band(client, socket.link());
    Ok((socket, session.talk))
}

async fn handshake(worker: &Worker, client: &Client, exchange: &mut Requester) -> Result<Open, SessionEnd> {
    let (ask, mut body) = (request(worker, "GET", "polling", "", ""), Vec::new());
    exchange
        .request(worker, client, &Request::get(&ask, Expected::SET_UP), |bytes| Ok(append_body(bytes, &mut body)?))
        .await?;
    worker.count_bytes(Direction::Down, TrafficKind::SetUp, ByteClass::Framing, body.len());
    match Packet::parse(&body)? {
        Packet::Open(open) => Ok(serde_json::from_slice(open).map_err(wire::WireError::from)?),
        other => Err(Fault::new(FaultKind::BadBytes, format!("a session begins with {other:?}")).into()),
    }
}

impl Session<'_> {
    /// Asks until the session has moved on.
    async fn poll(&self, mut downlink: PollConnection) -> Result<(), SessionEnd> {
        let (worker, client) = (self.worker, self.client);
        while !self.probed.get() {
            let before = client.ledger.borrow().received;
            downlink.poll(worker, client, &self.talk, &self.uplink).await?;
            if worker.transport == Transport::Socketio {
                let seen = client.ledger.borrow().received - before;
                worker.counters.borrow_mut().traffic.delivered_on_polling += u64::from(seen);
            }
            if client.joined.get() && !self.probed.get() && matches!(*client.sender.borrow(), Way::None) {
                *client.sender.borrow_mut() = Way::Packets(Rc::clone(&self.uplink));
                self.in_room.notify_one();
                worker.flush(client);
            }
            worker.send_scheduled();
        }
        Ok(())
    }

    /// Opens a WebSocket for the session and asks whether it works.
    async fn probe(&self) -> Option<WsConnection> {
        match self.try_probe().await {
            Ok(socket) => Some(socket),
            Err(SessionEnd::Failed(fault)) => {
                // To refuse is the server's right; what no server may send is not.
                if fault.kind == FaultKind::BadBytes {
                    self.worker.fault(fault.clone());
                }
                self.stay(fault);
                None
            }
            Err(SessionEnd::Closed) => {
                self.stay(Fault::cut_short("the probe"));
                None
            }
        }
    }

    async fn try_probe(&self) -> Result<WsConnection, SessionEnd> {
        let (worker, client) = (self.worker, self.client);
        let offer = Offer::new(None);
        let ask = request(worker, "GET", "websocket", &self.sid, &offer.headers());
        let mut socket = WsConnection::open(worker, client, &ask, &offer).await?;
        send_text(worker, socket.link(), TrafficKind::SetUp, b"2probe")?;
        let answered = Cell::new(false);
        while !answered.get() {
            socket
                .read(worker, client, |_, message, around| {
                    let Message::Text(packet) = message else {
                        return Err(Fault::new(FaultKind::BadBytes, "an attachment in answer to the probe").into());
                    };
                    worker.count_bytes(Direction::Down, TrafficKind::SetUp, ByteClass::Framing, packet.len() + around);
                    answered.set(Packet::parse(packet.as_bytes())? == Packet::Probed);
                    Ok(())
                })
                .await?;
        }
        // Posts wait from here on; what was said must have arrived before the server looks elsewhere for us.
        self.probed.set(true);
        *client.sender.borrow_mut() = Way::None;
        self.uplink.wait_idle().await;
        Ok(socket)
    }

    /// Stays on polling.
    fn stay(&self, why: Fault) {
        self.worker.count_upgrade_refused(&why.to_string());
    }
}
