//! Forwards the batches of a reader to socketioxide, item by item, as packets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde::Serialize;
use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError, TransportType};
use wire::{ByteCounts, Encoding, Gap, ServerItem, Transport, decode_down, decode_json, split_frame, ws_header_len};

use super::backpressure::Backpressure;
use crate::counters::{Counter, Counters, TransportSlot};
use crate::hub::{Batch, Next, Reader};

/// Bytes around the data of an event in its packet, without the event's name and the namespace:
/// `42["",` … `]`.
const EVENT_BYTES: usize = 7;
/// Additional bytes of the text packet of an event with an attachment: the count and a placeholder.
const PLACEHOLDER_BYTES: usize = r#"1-{"_placeholder":true,"num":0}"#.len();

/// An attachment.
struct Attached<'a>(&'a [u8]);

impl Serialize for Attached<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Forwards to one client, as far as backpressure allows.
pub(super) struct Forwarder {
    pub(super) counters: Arc<Counters>,
    pub(super) backpressure: Arc<Backpressure>,
    pub(super) slot: TransportSlot,
    pub(super) encoding: Encoding,
    pub(super) socket: SocketRef,
    pub(super) ended: Arc<AtomicBool>,
}

/// What was queued since the last wait and is not counted yet.
#[derive(Default)]
struct Forwarded {
    messages: u64,
    frames: u64,
    byte_counts: ByteCounts,
}

impl Forwarder {
    pub(super) async fn run(&self, reader: &mut Reader) {
        // socketioxide 0.18.9 answers a CONNECT before it marks the socket as connected, and emits
        // nothing to a socket without that mark. A client may send its `join` in between.
        while !self.socket.connected() && !self.ended.load(SeqCst) {
            tokio::task::yield_now().await;
        }
        loop {
            match reader.wait().await {
                Next::Batch(batch) => {
                    if self.deliver(&batch).await.is_err() {
                        return;
                    }
                }
                Next::Closed => {
                    self.socket.clone().disconnect().ok();
                    return;
                }
            }
        }
    }

    async fn deliver(&self, batch: &Batch) -> Result<(), SendError> {
        if batch.gap {
            self.counters.add(current_slot(self.slot, &self.socket), Counter::Gaps, 1);
        }
        let (mut rest, mut forwarded) = (&batch.bytes[..], Forwarded::default());
        while !rest.is_empty() {
            let (item, decoded) = match self.encoding {
                Encoding::Json => {
                    let end = rest.iter().position(|byte| *byte == b'\n').expect("every line has an end");
                    let item = &rest[..end];
                    rest = &rest[end + 1..];
                    (item, decode_json(item))
                }
                Encoding::Binary => {
                    let frame = split_frame(rest, usize::MAX).ok().flatten().expect("the log holds complete frames");
                    rest = &rest[frame.taken..];
                    (frame.item, decode_down(frame.item))
                }
            };
            let decoded = decoded.expect("the log holds valid items");
            if futures_util::FutureExt::now_or_never(self.backpressure.has_room()).is_none() {
                self.count(&mut forwarded);
                self.backpressure.has_room().await;
            }
            if let Err(error) = self.emit(item, &decoded, &mut forwarded) {
                self.count(&mut forwarded);
                if !matches!(error, SendError::Socket(SocketError::Closed)) {
                    self.counters.add(current_slot(self.slot, &self.socket), Counter::EmitErrors, 1);
                    self.socket.clone().disconnect().ok();
                }
                return Err(error);
            }
        }
        self.count(&mut forwarded);
        Ok(())
    }

    fn emit(&self, item: &[u8], decoded: &ServerItem<'_>, forwarded: &mut Forwarded) -> Result<(), SendError> {
        let websocket = self.socket.transport_type() == TransportType::Websocket;
        let (bytes, payload, event, attached) = match decoded {
            ServerItem::Message(message) => {
                (item.len(), message.text.len(), "message", self.encoding == Encoding::Binary)
            }
            // A gap is JSON in either encoding, without the fields that the log adds.
            ServerItem::Gap(gap) => (serde_json::to_vec(gap).map_or(0, |json| json.len()), 0, "gap", false),
            other => unreachable!("the log has no {other:?}"),
        };
        let namespace = if self.socket.ns() == "/" { 0 } else { self.socket.ns().len() + 1 };
        let around = EVENT_BYTES + event.len() + namespace;
        let (text, beside) = if attached { (around + PLACEHOLDER_BYTES, bytes) } else { (around + bytes, 0) };
        self.backpressure.queued(text + beside);
        match decoded {
            ServerItem::Message(message) if !attached => self.socket.emit(event, message)?,
            ServerItem::Gap(gap) => self.socket.emit::<Gap>(event, gap)?,
            _ => self.socket.emit(event, &Attached(item))?,
        }
        let headers = match (websocket, attached) {
            (true, false) => ws_header_len(text, false),
            (true, true) => ws_header_len(text, false) + ws_header_len(beside, false),
            // The letter `b` and the growth by base64. Separators are counted with the response.
            (false, true) => 1 + beside.div_ceil(3) * 4 - beside,
            (false, false) => 0,
        };
        forwarded.messages += u64::from(matches!(decoded, ServerItem::Message(_)));
        forwarded.frames += if websocket { 1 + u64::from(attached) } else { 0 };
        let framing = text + beside - bytes + headers;
        forwarded.byte_counts +=
            ByteCounts { payload: payload as u64, envelope: (bytes - payload) as u64, framing: framing as u64 };
        Ok(())
    }

    fn count(&self, forwarded: &mut Forwarded) {
        let Forwarded { messages, frames, byte_counts } = std::mem::take(forwarded);
        let slot = current_slot(self.slot, &self.socket);
        self.counters.add_batch(slot, messages, frames, byte_counts);
        self.counters.apply_slowdown(messages);
        if self.socket.transport_type() == TransportType::Polling && messages > 0 {
            // The responses with these messages are counted as batches.
            self.counters.subtract_one(slot, Counter::Batches);
        }
    }
}

/// The transport that a session is counted for. A session that began as polling may have upgraded
/// since.
pub(super) fn current_slot(slot: TransportSlot, socket: &SocketRef) -> TransportSlot {
    let polling = slot == TransportSlot::of(Transport::SocketioPolling);
    if polling && socket.transport_type() == TransportType::Websocket {
        TransportSlot::of(Transport::Socketio)
    } else {
        slot
    }
}
