//! What a Socket.IO client makes of a packet, and what it says: the same on polling and on a WebSocket.

use std::cell::Cell;
use std::io::Write;

use wire::{
    Ack, ClientItem, Encoding, ErrorBody, Framing, Joined, Post, ServerItem, StartAt, Transport, WireError,
    decode_down, decode_json, encode_post_json, encode_up,
};

use crate::client::Client;
use crate::error::{Fault, SessionEnd};
use crate::protocol::packets::{PLACEHOLDER, Packet, SEPARATOR, decode_attachment, push_attachment};
use crate::transports::upgraded::{push_binary, push_text};
use crate::worker::Worker;
use results::FaultKind;
use results::{ByteClass, Direction, TrafficKind};

/// Acknowledgement of the join; a post's is its ordinal and one.
const JOIN_ACK: u64 = 0;

/// A session in the middle of it.
#[derive(Debug, Default)]
pub(super) struct PacketReader {
    /// An attachment is due: what its packet was taken for.
    awaits_attachment: Cell<bool>,
}

/// An answer that a packet asks for.
pub(super) struct Reply {
    pub(super) purpose: TrafficKind,
    pub(super) packet: Vec<u8>,
}

impl Reply {
    fn new(purpose: TrafficKind, packet: impl Into<Vec<u8>>) -> Option<Self> {
        Some(Self { purpose, packet: packet.into() })
    }

    /// What a client says first, once it has a session.
    pub(super) fn connect(worker: &Worker) -> Self {
        let auth = worker.target.token.as_ref().map(|token| serde_json::json!({ "token": token }).to_string());
        Self { purpose: TrafficKind::SetUp, packet: format!("40{}", auth.unwrap_or_default()).into_bytes() }
    }
}

/// Where requests go; a client that means to upgrade says so, for the server's counting.
pub(super) fn path(worker: &Worker, transport: &str, sid: &str) -> String {
    let means_to = if worker.transport == Transport::Socketio { "&upgrade=1" } else { "" };
    let session = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
    format!("/socket.io/?EIO=4&transport={transport}{means_to}{session}")
}

impl PacketReader {
    /// Takes a packet with `around` bytes of framing, and gives back what is to be said to it.
    pub(super) fn receive(
        &self,
        worker: &Worker,
        client: &Client,
        bytes: &[u8],
        around: usize,
    ) -> Result<Option<Reply>, SessionEnd> {
        let count = |purpose| worker.count_bytes(Direction::Down, purpose, ByteClass::Framing, bytes.len() + around);
        match Packet::parse(bytes)? {
            Packet::Encoded(encoded) => {
                let item = decode_attachment(encoded)?;
                self.receive_attachment(worker, client, &item, bytes.len() - item.len() + around)?;
                Ok(None)
            }
            _ if self.awaits_attachment.get() => Err(bad("a packet where its attachment is due").into()),
            Packet::Event { name: b"message", data } => {
                worker.receive(client, decode_json(data)?, data.len(), bytes.len() - data.len() + around)?;
                Ok(None)
            }
            Packet::Event { name: b"gap", data } => {
                let gap = serde_json::from_slice(data).map_err(WireError::from)?;
                worker.receive(client, ServerItem::Gap(gap), data.len(), bytes.len() - data.len() + around)?;
                Ok(None)
            }
            Packet::Announced { name: b"message" } => {
                count(TrafficKind::Delivery);
                self.awaits_attachment.set(true);
                Ok(None)
            }
            Packet::Ack { id, data } => {
                self.receive_ack(worker, client, id, data, bytes.len() - data.len() + around)?;
                Ok(None)
            }
            Packet::Ping => {
                count(TrafficKind::KeepAlive);
                Ok(Reply::new(TrafficKind::KeepAlive, "3"))
            }
            Packet::Open(_) => {
                count(TrafficKind::SetUp);
                Ok(Some(Reply::connect(worker)))
            }
            Packet::Connected => {
                count(TrafficKind::SetUp);
                Ok(Reply::new(TrafficKind::SetUp, join(worker, client)))
            }
            Packet::Noop | Packet::Probed => {
                count(TrafficKind::Empty);
                Ok(None)
            }
            Packet::Close | Packet::Disconnected => Err(SessionEnd::Closed),
            Packet::Refused(why) => {
                let why: String = String::from_utf8_lossy(why).chars().take(200).collect();
                Err(Fault::new(FaultKind::Problem, format!("the namespace refused: {why}")).into())
            }
            Packet::Event { name: b"problem", data } => {
                let problem: ErrorBody = serde_json::from_slice(data).map_err(WireError::from)?;
                Err(Fault::new(FaultKind::Problem, problem.to_string()).into())
            }
            // Other people's servers have more to say than we asked for.
            Packet::Event { .. } => {
                count(TrafficKind::SetUp);
                Ok(None)
            }
            Packet::Announced { .. } => Err(bad("an attachment that nobody expects").into()),
        }
    }

    /// Takes an attachment with `around` bytes of framing: a binary message of a WebSocket, or what base64 held.
    pub(super) fn receive_attachment(
        &self,
        worker: &Worker,
        client: &Client,
        item: &[u8],
        around: usize,
    ) -> Result<(), SessionEnd> {
        if !self.awaits_attachment.replace(false) {
            return Err(bad("an attachment that nobody expects").into());
        }
        worker.receive(client, decode_down(item)?, item.len(), around)
    }

    fn receive_ack(
        &self,
        worker: &Worker,
        client: &Client,
        id: u64,
        data: &[u8],
        around: usize,
    ) -> Result<(), SessionEnd> {
        let refused = |error: serde_json::Error| match serde_json::from_slice::<ErrorBody>(data) {
            Ok(problem) => Fault::new(FaultKind::Problem, problem.to_string()),
            Err(_) => WireError::from(error).into(),
        };
        let item = if id == JOIN_ACK {
            ServerItem::Joined(serde_json::from_slice::<Joined>(data).map_err(refused)?)
        } else {
            ServerItem::Ack(serde_json::from_slice::<Ack>(data).map_err(refused)?)
        };
        worker.receive(client, item, data.len(), around)
    }
}

fn bad(what: &str) -> Fault {
    Fault::new(FaultKind::BadBytes, what)
}

fn join(worker: &Worker, client: &Client) -> String {
    let mut wish = serde_json::json!({ "room": worker.plan.room_name(client.room) });
    if let StartAt::After(seq) = client.start_at() {
        wish["after"] = seq.into();
    }
    if is_binary(worker) {
        wish["encoding"] = Encoding::Binary.name().into();
    }
    format!("42{JOIN_ACK}[\"join\",{wish}]")
}

fn is_binary(worker: &Worker) -> bool {
    worker.framing == Framing::LengthPrefixed
}

/// Appends a post as frames of a WebSocket.
pub(in crate::transports) fn compose_frames(worker: &Worker, post: &Post<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    let (text, item) = packet(worker, post);
    push_text(text, out);
    let item_bytes = item.bytes();
    if let Item::Attached(bytes) = item {
        push_binary(bytes, out);
    }
    count(worker, post, item_bytes, out.len() - start);
}

/// Appends a post as packets of a polling client's body.
pub(super) fn push_packets(worker: &Worker, post: &Post<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    if !out.is_empty() {
        out.push(SEPARATOR);
    }
    let (text, item) = packet(worker, post);
    out.extend_from_slice(&text);
    let item_bytes = item.bytes();
    if let Item::Attached(bytes) = item {
        out.push(SEPARATOR);
        push_attachment(&bytes, out);
    }
    count(worker, post, item_bytes, out.len() - start);
}

/// A post's item: in its packet, or beside it.
enum Item {
    Within(usize),
    Attached(Vec<u8>),
}

impl Item {
    const fn bytes(&self) -> usize {
        match self {
            Self::Within(bytes) => *bytes,
            Self::Attached(bytes) => bytes.len(),
        }
    }
}

fn packet(worker: &Worker, post: &Post<'_>) -> (Vec<u8>, Item) {
    let ack = post.ordinal + 1;
    let mut text = Vec::with_capacity(post.text.len() + 96);
    let write = |text: &mut Vec<u8>, head: std::fmt::Arguments<'_>| {
        text.write_fmt(head).expect("memory does not refuse a write");
    };
    if is_binary(worker) {
        write(&mut text, format_args!("451-{ack}[\"post\",{PLACEHOLDER}]"));
        let mut item = Vec::with_capacity(post.text.len() + 16);
        encode_up(&ClientItem::Post(post.clone()), &mut item);
        return (text, Item::Attached(item));
    }
    write(&mut text, format_args!("42{ack}[\"post\","));
    let start = text.len();
    encode_post_json(post, &mut text);
    let item = text.len() - start;
    text.push(b']');
    (text, Item::Within(item))
}

fn count(worker: &Worker, post: &Post<'_>, item: usize, all: usize) {
    let payload = post.text.len();
    worker.count_bytes(Direction::Up, TrafficKind::Posting, ByteClass::Payload, payload);
    worker.count_bytes(Direction::Up, TrafficKind::Posting, ByteClass::Envelope, item - payload);
    worker.count_bytes(Direction::Up, TrafficKind::Posting, ByteClass::Framing, all - item);
}
