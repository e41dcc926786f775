//! Builders of valid and invalid frames, and of the messages in them.

use super::{Receiver, Side};
use crate::{ClientItem, Encoding, Post, Transport, encode_post_json, encode_up};
use crate::{Message, ServerItem, encode_down, encode_json};

const FIN: u8 = 0x80;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
const CONTINUATION: u8 = 0;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Encoding of the length of a frame.
#[derive(Debug, Clone, Copy)]
enum Length {
    Shortest,
    In16,
    In64,
    /// This length in 64 bits, whatever the payload is.
    Announced(u64),
}

/// A WebSocket frame, valid or not.
#[derive(Debug, Clone)]
pub struct Frame {
    /// FIN, reserved bits and opcode.
    first: u8,
    payload: Vec<u8>,
    length: Length,
    mask: [u8; 4],
    /// Masked although it must not be, or the reverse.
    masked_wrongly: bool,
}

impl Frame {
    pub(super) fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        let (length, mask) = (Length::Shortest, MASK);
        Self { first: FIN | opcode, payload: payload.into(), length, mask, masked_wrongly: false }
    }

    pub(super) fn continuation(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(CONTINUATION, payload)
    }

    pub(super) fn close(code: u16, reason: &[u8]) -> Self {
        Self::close_with([&code.to_be_bytes()[..], reason].concat())
    }

    pub(super) fn close_with(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(CLOSE, payload)
    }

    /// A ping.
    pub fn ping(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(PING, payload)
    }

    pub(super) fn pong(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(PONG, payload)
    }

    /// More fragments follow.
    pub(super) fn not_final(mut self) -> Self {
        self.first &= !FIN;
        self
    }

    pub(super) fn reserved(mut self, bits: u8) -> Self {
        self.first |= bits << 4;
        self
    }

    pub(super) fn in_16_bits(self) -> Self {
        Self { length: Length::In16, ..self }
    }

    pub(super) fn in_64_bits(self) -> Self {
        Self { length: Length::In64, ..self }
    }

    pub(super) fn announcing(self, bytes: u64) -> Self {
        Self { length: Length::Announced(bytes), ..self }
    }

    pub(super) fn masked_by(self, mask: [u8; 4]) -> Self {
        Self { mask, ..self }
    }

    pub(super) fn masked_wrongly(self) -> Self {
        Self { masked_wrongly: true, ..self }
    }

    /// Payload of the expected pong.
    pub fn as_ping(&self) -> Option<&[u8]> {
        (self.first & 0x0f == PING).then_some(&self.payload)
    }

    /// Appends the frame as this side receives it.
    pub fn write(&self, to: Side, out: &mut Vec<u8>) {
        let masked = (to == Side::Server) != self.masked_wrongly;
        let bit = u8::from(masked) << 7;
        let bytes = self.payload.len();
        out.push(self.first);
        match (self.length, bytes) {
            (Length::Shortest, 0..=125) => out.push(bit | bytes as u8),
            (Length::Shortest, 126..=0xffff) | (Length::In16, _) => {
                out.push(bit | 126);
                out.extend_from_slice(&(bytes as u16).to_be_bytes());
            }
            (length, _) => {
                let announced = if let Length::Announced(announced) = length { announced } else { bytes as u64 };
                out.push(bit | 127);
                out.extend_from_slice(&announced.to_be_bytes());
            }
        }
        if masked {
            out.extend_from_slice(&self.mask);
            out.extend(self.payload.iter().zip(self.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            out.extend_from_slice(&self.payload);
        }
    }
}

/// The messages of a receiver: the bytes before and after a text.
#[derive(Debug)]
pub struct Messages {
    /// Opcode: text or binary.
    pub(super) opcode: u8,
    pub(super) head: Vec<u8>,
    tail: Vec<u8>,
    /// Maximum size of a message.
    pub(super) bytes_max: usize,
}

impl Messages {
    /// A post (to a server) or a message (to a client).
    pub fn of(receiver: &Receiver, bytes_max: usize) -> Self {
        // Placeholder for the text.
        const MARK: &str = "\u{1f4cd}";
        let (author, ordinal, text) = (0, 1, MARK.into());
        let (mut item, binary) = (Vec::new(), receiver.encoding == Encoding::Binary);
        match (receiver.side, binary) {
            (Side::Server, true) => encode_up(&ClientItem::Post(Post { author, ordinal, text }), &mut item),
            (Side::Server, false) => encode_post_json(&Post { author, ordinal, text }, &mut item),
            (Side::Client, true) => {
                encode_down(&ServerItem::Message(Message { seq: 1, author, ordinal, text }), &mut item)
            }
            (Side::Client, false) => {
                encode_json(&ServerItem::Message(Message { seq: 1, author, ordinal, text }), &mut item)
            }
        }
        let (before, after) = around(receiver);
        let at = item.windows(MARK.len()).position(|found| found == MARK.as_bytes()).unwrap_or_default();
        let head = [before, &item[..at]].concat();
        let tail = [&item[at + MARK.len()..], after].concat();
        Self { opcode: if binary { BINARY } else { TEXT }, head, tail, bytes_max }
    }

    /// The message with this text, which may be invalid.
    pub(super) fn with(&self, text: &[u8]) -> Vec<u8> {
        [&self.head, text, &self.tail].concat()
    }

    /// A message of this size.
    pub(super) fn long(&self, bytes: usize) -> Vec<u8> {
        self.with(&vec![b'x'; bytes - self.head.len() - self.tail.len()])
    }

    /// A message in one frame.
    pub(super) fn whole(&self, text: &[u8]) -> Frame {
        self.frame(self.with(text))
    }

    /// A frame with the opcode of messages.
    pub(super) fn frame(&self, payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(self.opcode, payload)
    }

    /// The message with this text, split into frames at these offsets of the text.
    pub(super) fn cut(&self, text: &[u8], cuts: &[usize]) -> Vec<Frame> {
        let message = self.with(text);
        let ends: Vec<usize> = cuts.iter().map(|cut| self.head.len() + cut).chain([message.len()]).collect();
        let begins = std::iter::once(0).chain(ends.iter().copied());
        let pieces = begins.zip(&ends).map(|(begin, end)| message[begin..*end].to_vec());
        in_frames(self.opcode, pieces)
    }
}

/// The frames of one message.
pub(super) fn in_frames(opcode: u8, pieces: impl IntoIterator<Item = Vec<u8>>) -> Vec<Frame> {
    let mut frames: Vec<_> = pieces.into_iter().map(|piece| Frame::continuation(piece).not_final()).collect();
    if let Some(first) = frames.first_mut() {
        first.first |= opcode;
    }
    if let Some(last) = frames.last_mut() {
        last.first |= FIN;
    }
    frames
}

/// The bytes around an item in a message.
fn around(receiver: &Receiver) -> (&'static [u8], &'static [u8]) {
    match (receiver.transport, receiver.side) {
        (Transport::Stomp, Side::Server) => (b"SEND\ndestination:/messages\nreceipt:1\n\n", b"\0"),
        (Transport::Stomp, Side::Client) => (b"MESSAGE\n\n", b"\0"),
        (Transport::SocketioWebsocket | Transport::Socketio, Side::Server) => (b"421[\"post\",", b"]"),
        (Transport::SocketioWebsocket | Transport::Socketio, Side::Client) => (b"42[\"message\",", b"]"),
        _ => (b"", b""),
    }
}
