//! What the packets of a Socket.IO session mean: the same on polling and on a WebSocket.

use std::cell::Cell;

use results::{ByteClass, Direction, FaultKind, TrafficKind};
use wire::{Ack, Encoding, ErrorBody, Joined, ServerItem, StartAt, WireError, decode_down, decode_json};

use super::is_binary;
use crate::error::{Fault, SessionEnd};
use crate::protocol::socketio_packet::{Packet, decode_attachment};
use crate::run_context::RunContext;
use crate::session::Session;
use crate::transports::foreign::packets::{ForeignPackets, namespace};

/// Id of the join's acknowledgement.
const JOIN_ACK: u64 = 0;

/// The state of a session between two packets.
#[derive(Debug)]
pub(super) struct PacketReader {
    /// What packets mean on a server with a protocol of its own.
    foreign: Option<ForeignPackets>,
    /// The next packet must be the attachment of the last one.
    awaits_attachment: Cell<bool>,
}

/// A packet to be sent in answer to another one.
pub(super) struct Reply {
    pub(super) kind: TrafficKind,
    pub(super) packet: Vec<u8>,
}

impl Reply {
    fn new(kind: TrafficKind, packet: impl Into<Vec<u8>>) -> Self {
        Self { kind, packet: packet.into() }
    }

    /// The first packet of a client: it connects to the namespace.
    pub(super) fn connect(run: &RunContext) -> Self {
        let auth = run.target.token.as_ref().map(|token| serde_json::json!({ "token": token }).to_string());
        let namespace = run.protocol.as_ref().map(|protocol| namespace(protocol)).unwrap_or_default();
        Self { kind: TrafficKind::SetUp, packet: format!("40{namespace}{}", auth.unwrap_or_default()).into_bytes() }
    }
}

impl PacketReader {
    pub(super) fn new(session: &Session) -> Self {
        let foreign = session.run.protocol.as_ref().map(|protocol| ForeignPackets::new(session, protocol));
        Self { foreign, awaits_attachment: Cell::new(false) }
    }

    /// Handles a packet with `around` bytes of framing, and returns the answers to it.
    pub(super) fn receive(&self, session: &Session, bytes: &[u8], around: usize) -> Result<Vec<Reply>, SessionEnd> {
        match (&self.foreign, bytes) {
            (Some(foreign), [b'4', ..]) => {
                let answers = foreign.receive(session, bytes, around)?;
                Ok(answers.into_iter().map(|packet| Reply::new(TrafficKind::SetUp, packet)).collect())
            }
            (Some(foreign), [b'b', text @ ..]) => {
                foreign.receive_encoded(session, text, around + 1)?;
                Ok(Vec::new())
            }
            _ => self.receive_ours(session, bytes, around),
        }
    }

    /// Handles a packet as the built-in server means it; pings and the handshake mean the same on all.
    fn receive_ours(&self, session: &Session, bytes: &[u8], around: usize) -> Result<Vec<Reply>, SessionEnd> {
        let count = |kind| session.run.count_bytes(Direction::Down, kind, ByteClass::Framing, bytes.len() + around);
        // Framing around an item of this length within the packet.
        let framing = |item: usize| bytes.len() - item + around;
        match Packet::parse(bytes)? {
            Packet::Encoded(encoded) => {
                let item = decode_attachment(encoded)?;
                self.receive_attachment(session, &item, framing(item.len()))?;
                Ok(Vec::new())
            }
            _ if self.awaits_attachment.get() => Err(bad("a packet where an attachment is due").into()),
            Packet::Event { name: b"message", data } => {
                session.receive(decode_json(data)?, data.len(), framing(data.len()))?;
                Ok(Vec::new())
            }
            Packet::Event { name: b"gap", data } => {
                let gap = serde_json::from_slice(data).map_err(WireError::from)?;
                session.receive(ServerItem::Gap(gap), data.len(), framing(data.len()))?;
                Ok(Vec::new())
            }
            Packet::Announced { name: b"message" } => {
                count(TrafficKind::Delivery);
                self.awaits_attachment.set(true);
                Ok(Vec::new())
            }
            Packet::Ack { id, data } => {
                session.receive(ack(id, data)?, data.len(), framing(data.len()))?;
                Ok(Vec::new())
            }
            Packet::Ping => {
                count(TrafficKind::KeepAlive);
                Ok(vec![Reply::new(TrafficKind::KeepAlive, "3")])
            }
            Packet::Open(_) => {
                count(TrafficKind::SetUp);
                Ok(vec![Reply::connect(&session.run)])
            }
            Packet::Connected => {
                count(TrafficKind::SetUp);
                Ok(vec![Reply::new(TrafficKind::SetUp, join(session))])
            }
            Packet::Noop | Packet::Probed => {
                count(TrafficKind::Empty);
                Ok(Vec::new())
            }
            Packet::Close | Packet::Disconnected => Err(SessionEnd::Closed),
            Packet::Refused(reason) => Err(refused(reason).into()),
            Packet::Event { name: b"problem", data } => {
                let problem: ErrorBody = serde_json::from_slice(data).map_err(WireError::from)?;
                Err(Fault::new(FaultKind::Problem, problem.to_string()).into())
            }
            // External servers send events of their own.
            Packet::Event { .. } => {
                count(TrafficKind::SetUp);
                Ok(Vec::new())
            }
            Packet::Announced { .. } => Err(bad("an attachment of an unknown event").into()),
        }
    }

    /// Handles an attachment with `around` bytes of framing: a binary WebSocket message, or decoded
    /// base64.
    pub(super) fn receive_attachment(&self, session: &Session, item: &[u8], around: usize) -> Result<(), SessionEnd> {
        if let Some(foreign) = &self.foreign {
            return foreign.receive_attachment(session, item, around);
        }
        if !self.awaits_attachment.replace(false) {
            return Err(bad("an attachment that no packet announced").into());
        }
        session.receive(decode_down(item)?, item.len(), around)
    }
}

/// The item of an acknowledgement.
fn ack(id: u64, data: &[u8]) -> Result<ServerItem<'static>, WireError> {
    let item = if id == JOIN_ACK {
        serde_json::from_slice::<Joined>(data).map(ServerItem::Joined)
    } else {
        serde_json::from_slice::<Ack>(data).map(ServerItem::Ack)
    };
    item.or_else(|error| match serde_json::from_slice(data) {
        Ok(problem) => Ok(ServerItem::Error(problem)),
        Err(_) => Err(error.into()),
    })
}

fn refused(reason: &[u8]) -> Fault {
    let reason: String = String::from_utf8_lossy(reason).chars().take(200).collect();
    Fault::new(FaultKind::Problem, format!("the namespace refused: {reason}"))
}

fn bad(what: &str) -> Fault {
    Fault::new(FaultKind::BadBytes, what)
}

fn join(session: &Session) -> String {
    let mut request = serde_json::json!({ "room": session.run.plan.room_name(session.client.room) });
    if let StartAt::After(seq) = session.client.start_at() {
        request["after"] = seq.into();
    }
    if is_binary(&session.run) {
        request["encoding"] = Encoding::Binary.name().into();
    }
    format!("42{JOIN_ACK}[\"join\",{request}]")
}
