//! A session on Socket.IO polling and, where the client asks for it, its upgrade to a WebSocket:
//! probe, wait for the held poll to return, send the upgrade packet, continue on the WebSocket.
//!
//! If the server refuses the upgrade, the session stays on polling, and the run's record counts it.

use std::cell::Cell;
use std::rc::Rc;

use results::{ByteClass, Direction, FaultKind, TrafficKind};
use tokio::sync::Notify;
use wire::{Transport, WireError};

use super::packet_reader::{PacketReader, Reply};
use super::packet_sender::PacketSender;
use super::poll_connection::PollConnection;
use super::{attach, request};
use crate::error::{Fault, SessionEnd};
use crate::protocol::socketio_packet::{Open, Packet};
use crate::protocol::ws_frame::Message;
use crate::protocol::ws_handshake::Offer;
use crate::session::Session;
use crate::transports::http::connection::{Expected, Request};
use crate::transports::http::requester::{Requester, append_body};
use crate::transports::ws_connection::{WsConnection, send_text};

struct PollingSession<'a> {
    session: &'a Session,
    sid: String,
    reader: PacketReader,
    sender: Rc<PacketSender>,
    /// The server has answered the probe: no poll follows the one that is held.
    probed: Cell<bool>,
    joined: Notify,
}

/// Runs a session on polling. Returns its WebSocket after an upgrade; without one it ends only with
/// the session.
pub(super) async fn run_polling(session: &Session) -> Result<(WsConnection, PacketReader), SessionEnd> {
    let run = &*session.run;
    let mut requester = Requester::new(true);
    let open = handshake(session, &mut requester).await?;
    let opened_us = run.clock.run_us();
    let connection = PollConnection::new(requester, session, &open.sid);
    let sender = PacketSender::new(session, &open.sid);
    sender.send_packet(run, &Reply::connect(run))?;
    let offers_upgrade = open.upgrades.iter().any(|name| name == "websocket");
    let polling = PollingSession {
        session,
        sid: open.sid,
        reader: PacketReader::new(session),
        sender,
        probed: Cell::new(false),
        joined: Notify::new(),
    };
    let socket = {
        let both = async { tokio::try_join!(polling.poll(connection), polling.upgrade(offers_upgrade)) };
        tokio::select! {
            upgraded = both => upgraded?.1,
            end = polling.sender.run(session) => match end? {},
        }
    };
    send_text(run, socket.connection(), TrafficKind::SetUp, b"5")?;
    run.count_upgrade(opened_us);
    session.set_connection(socket.connection());
    Ok((socket, polling.reader))
}

async fn handshake(session: &Session, requester: &mut Requester) -> Result<Open, SessionEnd> {
    let (request, mut body) = (request(session, "GET", "polling", "", ""), Vec::new());
    let request = Request::get(&request, Expected::SET_UP);
    requester.request(session, &request, |bytes| Ok(append_body(bytes, &mut body)?)).await?;
    session.run.count_bytes(Direction::Down, TrafficKind::SetUp, ByteClass::Framing, body.len());
    match Packet::parse(&body)? {
        Packet::Open(open) => Ok(serde_json::from_slice(open).map_err(WireError::from)?),
        other => Err(Fault::new(FaultKind::BadBytes, format!("a session that begins with {other:?}")).into()),
    }
}

impl PollingSession<'_> {
    /// Polls until the session has moved to its WebSocket.
    async fn poll(&self, mut connection: PollConnection) -> Result<(), SessionEnd> {
        let (session, run) = (self.session, &*self.session.run);
        while !self.probed.get() {
            let before = session.client.ledger.borrow().received;
            connection.poll(session, &self.reader, &self.sender).await?;
            if run.transport == Transport::Socketio {
                let received = session.client.ledger.borrow().received - before;
                run.counters.borrow_mut().traffic.delivered_on_polling += u64::from(received);
            }
            if session.needs_sender() && !self.probed.get() {
                self.joined.notify_one();
                attach(session, || session.attach(Rc::<PacketSender>::clone(&self.sender)));
            }
            session.send_scheduled();
        }
        Ok(())
    }

    /// Upgrades after the join. Does not return while the session stays on polling.
    async fn upgrade(&self, is_offered: bool) -> Result<WsConnection, SessionEnd> {
        if self.session.run.transport == Transport::Socketio {
            if is_offered {
                self.joined.notified().await;
                if let Some(socket) = self.probe().await {
                    return Ok(socket);
                }
            } else {
                self.session.run.count_upgrade_refused("the server offers no upgrade");
            }
        }
        std::future::pending().await
    }

    /// Opens a WebSocket for the session and checks that it works.
    async fn probe(&self) -> Option<WsConnection> {
        let run = &self.session.run;
        let fault = match self.try_probe().await {
            Ok(socket) => return Some(socket),
            Err(SessionEnd::Failed(fault)) => fault,
            Err(SessionEnd::Closed) => Fault::cut_short("the probe"),
        };
        // A server may refuse an upgrade, but it may not send bytes that no server may send.
        if fault.kind == FaultKind::BadBytes {
            run.fault(fault.clone());
        }
        run.count_upgrade_refused(&fault.to_string());
        None
    }

    async fn try_probe(&self) -> Result<WsConnection, SessionEnd> {
        let (session, run) = (self.session, &*self.session.run);
        let offer = Offer::new(None);
        let request = request(session, "GET", "websocket", &self.sid, &offer.headers());
        let mut socket = WsConnection::open(session, &request, &offer).await?;
        send_text(run, socket.connection(), TrafficKind::SetUp, b"2probe")?;
        let answered = Cell::new(false);
        while !answered.get() {
            socket
                .read(session, |_, message, around| {
                    let Message::Text(packet) = message else {
                        return Err(Fault::new(FaultKind::BadBytes, "a binary message in answer to the probe").into());
                    };
                    run.count_bytes(Direction::Down, TrafficKind::SetUp, ByteClass::Framing, packet.len() + around);
                    answered.set(Packet::parse(packet.as_bytes())? == Packet::Probed);
                    Ok(())
                })
                .await?;
        }
        // From here on posts wait for the WebSocket. Requests must be answered before the server
        // moves the session.
        self.probed.set(true);
        *session.client.sender.borrow_mut() = None;
        self.sender.wait_idle().await;
        Ok(socket)
    }
}
