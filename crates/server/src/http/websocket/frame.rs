//! The frames of a client that need no WebSocket library: final ones, with a mask, of a bounded
//! size.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING_BYTE: u8 = 0x89;
const PONG_BYTE: u8 = 0x8a;
/// Set in the second byte of every frame of a client.
const MASKED: u8 = 0x80;
const MASK_BYTES: usize = 4;
/// Maximum payload of a control frame.
const CONTROL_BYTES_MAX: usize = 125;
/// A ping without payload.
pub(super) const PING: [u8; 2] = [PING_BYTE, 0];

/// What the bytes from a client begin with.
#[derive(Debug, PartialEq)]
pub(super) enum ClientFrame {
    /// A whole message, and the bytes of its frame.
    Message(Message, usize),
    Incomplete,
    /// A frame that the library has to read: a fragment, a close frame, or an invalid one.
    Unusual,
}

impl ClientFrame {
    pub(super) fn first(bytes: &[u8], payload_bytes_max: usize) -> Self {
        let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) else { return Self::Incomplete };
        let is_control = matches!(first, PING_BYTE | PONG_BYTE);
        if !(is_control || matches!(first, TEXT | BINARY)) || second & MASKED == 0 {
            return Self::Unusual;
        }
        let (payload_bytes, length_end) = match second & !MASKED {
            126 => match bytes.get(2..4) {
                Some(length) => (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 4),
                None => return Self::Incomplete,
            },
            127 => match bytes.get(2..10) {
                // A length of more than 32 bits is beyond every limit.
                Some([0, 0, 0, 0, length @ ..]) => {
                    (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 10)
                }
                Some(_) => return Self::Unusual,
                None => return Self::Incomplete,
            },
            short => (usize::from(short), 2),
        };
        if payload_bytes > if is_control { CONTROL_BYTES_MAX } else { payload_bytes_max } {
            return Self::Unusual;
        }
        let begin = length_end + MASK_BYTES;
        let (Some(mask), Some(masked)) = (bytes.get(length_end..begin), bytes.get(begin..begin + payload_bytes)) else {
            return Self::Incomplete;
        };
        let payload = unmasked(masked, mask);
        let message = match first {
            TEXT => match Utf8Bytes::try_from(payload) {
                Ok(text) => Message::Text(text),
                Err(_) => return Self::Unusual,
            },
            BINARY => Message::Binary(payload),
            PING_BYTE => Message::Ping(payload),
            _ => Message::Pong(payload),
        };
        Self::Message(message, begin + payload_bytes)
    }
}

/// A payload in the buffer of this thread, which is used again when its messages are dropped.
fn unmasked(masked: &[u8], mask: &[u8]) -> Bytes {
    thread_local!(static PAYLOADS: RefCell<BytesMut> = RefCell::default());
    PAYLOADS.with_borrow_mut(|payloads| {
        payloads.reserve(masked.len());
        payloads.extend_from_slice(masked);
        for chunk in payloads.chunks_mut(MASK_BYTES) {
            chunk.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
        payloads.split().freeze()
    })
}

/// The answer to a ping with this payload.
pub(super) fn pong(payload: &[u8]) -> Vec<u8> {
    [&[PONG_BYTE, payload.len() as u8], payload].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
    use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

    use super::*;

    fn frame(payload: &[u8], opcode: OpCode, is_final: bool) -> Vec<u8> {
        let header = FrameHeader { is_final, opcode, mask: Some([1, 2, 3, 4]), ..FrameHeader::default() };
        let frame = Frame::from_payload(header, payload.to_vec().into());
        let mut out = Vec::new();
        frame.format(&mut out).unwrap();
        out
    }

    #[test]
    fn whole_messages_of_every_length_are_read() {
        for len in [0, 1, 5, 125, 126, 65_535, 65_536, 70_000] {
            let bytes = frame(&vec![b'x'; len], OpCode::Data(Data::Text), true);
            let expected = ClientFrame::Message(Message::text("x".repeat(len)), bytes.len());
            assert_eq!(ClientFrame::first(&[&bytes, &b"rest"[..]].concat(), 70_000), expected);
            for end in [0, 1, 2, 3, 5, 9, bytes.len() - 1].into_iter().filter(|end| *end < bytes.len()) {
                assert_eq!(ClientFrame::first(&bytes[..end], 70_000), ClientFrame::Incomplete, "{len}: {end}");
            }
        }
    }

    #[test]
    fn other_kinds_of_whole_messages_are_read() {
        for (opcode, message) in [
            (OpCode::Data(Data::Binary), Message::binary(vec![0xff])),
            (OpCode::Control(Control::Ping), Message::Ping(vec![0xff].into())),
            (OpCode::Control(Control::Pong), Message::Pong(vec![0xff].into())),
        ] {
            assert_eq!(ClientFrame::first(&frame(&[0xff], opcode, true), 9), ClientFrame::Message(message, 7));
        }
        assert_eq!(pong(b"x"), [0x8a, 1, b'x']);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_no_more_is_taken_than_there_is(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            max in 0_usize..400,
        ) {
            if let ClientFrame::Message(message, taken) = ClientFrame::first(&bytes, max) {
                prop_assert!(taken <= bytes.len() && message.len() <= max.max(CONTROL_BYTES_MAX));
            }
        }
    }

    #[test]
    fn the_rest_is_left_to_the_library() {
        let text = OpCode::Data(Data::Text);
        let mut unmasked = frame(b"x", text, true);
        unmasked[1] &= !MASKED;
        let mut reserved = frame(b"x", text, true);
        reserved[0] |= 0x40;
        let mut huge = frame(&[b'x'; 70_000], text, true);
        huge[2] = 1;
        for bytes in [
            frame(b"x", text, false),
            frame(b"x", OpCode::Data(Data::Continue), true),
            frame(&[3, 0xe8], OpCode::Control(Control::Close), true),
            frame(&[0xff], text, true),
            frame(&[b'x'; 10], text, true),
            frame(&[b'x'; 126], OpCode::Control(Control::Ping), true),
            unmasked,
            reserved,
            huge,
        ] {
            assert_eq!(ClientFrame::first(&bytes, 9), ClientFrame::Unusual, "{:?}", &bytes[..bytes.len().min(10)]);
        }
    }
}
