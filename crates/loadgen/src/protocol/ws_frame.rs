//! WebSocket frames (RFC 6455), client side. Headers, masks and codes are tungstenite's. Reading is
//! our own, because all clients of a thread share one buffer and an idle client keeps none.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use crate::error::Fault;
use results::FaultKind;

/// Largest accepted message.
const MESSAGE_BYTES_MAX: u64 = 8 << 20;
const CONTROL_BYTES_MAX: u64 = 125;
/// Registered with IANA for gateways. tungstenite 0.30.0 treats it as forbidden.
const CODE_BAD_GATEWAY: u16 = 1014;

/// A complete message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload of either kind.
    pub(crate) const fn bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// What a frame means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    Message(Message<'a>),
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    /// The code, if there is one, and the whole payload.
    Close(Option<u16>, &'a [u8]),
}

/// Reads frames and joins fragmented messages. It has no buffer while there are none.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    fragments: Vec<u8>,
    /// Bytes of the fragments' headers.
    header_bytes: usize,
    /// Kind of the fragmented message.
    unfinished: Option<Data>,
}

impl FrameReader {
    /// Reads complete frames from the start of `bytes`, and returns how many bytes they were.
    /// `on_frame` receives messages and control frames, each with the bytes of its headers.
    pub(crate) fn feed<E: From<Fault>>(
        &mut self,
        bytes: &[u8],
        mut on_frame: impl FnMut(Incoming<'_>, usize) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut parsed = 0;
        loop {
            let mut cursor = Cursor::new(&bytes[parsed..]);
            let header = FrameHeader::parse(&mut cursor).map_err(|error| bad(error.to_string()))?;
            let Some((header, length)) = header else { return Ok(parsed) };
            let header_bytes = cursor.position() as usize;
            self.check(&header, header_bytes, length)?;
            let from = parsed + header_bytes;
            let Some(payload) = bytes.get(from..from + length as usize) else { return Ok(parsed) };
            match header.opcode {
                OpCode::Data(kind) => self.read_data(kind, header.is_final, payload, header_bytes, &mut on_frame)?,
                OpCode::Control(kind) => on_frame(control(kind, payload)?, header_bytes)?,
            }
            parsed = from + length as usize;
        }
    }

    /// Rejects what a server may not send as soon as the header is complete, because the payload
    /// may never arrive.
    fn check(&self, header: &FrameHeader, header_bytes: usize, length: u64) -> Result<(), Fault> {
        if header.mask.is_some() || header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(bad("a frame with a mask or reserved bits from a server"));
        }
        if header_bytes != header.len(length) {
            return Err(bad(format!("a length of {length} that is not in its shortest encoding")));
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final => Err(bad("a control frame in fragments")),
            OpCode::Control(_) if length > CONTROL_BYTES_MAX => Err(bad(format!("a control frame of {length} bytes"))),
            OpCode::Control(_) => Ok(()),
            OpCode::Data(Data::Continue) if self.unfinished.is_none() => Err(bad("a continuation of nothing")),
            OpCode::Data(Data::Text | Data::Binary) if self.unfinished.is_some() => {
                Err(bad("a message inside a message"))
            }
            OpCode::Data(_) if length.saturating_add(self.fragments.len() as u64) > MESSAGE_BYTES_MAX => {
                Err(bad(format!("a message of more than {MESSAGE_BYTES_MAX} bytes")))
            }
            OpCode::Data(_) => Ok(()),
        }
    }

    fn read_data<E: From<Fault>>(
        &mut self,
        kind: Data,
        is_final: bool,
        payload: &[u8],
        header_bytes: usize,
        on_frame: &mut impl FnMut(Incoming<'_>, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        if is_final && self.unfinished.is_none() {
            return on_frame(message(kind, payload)?, header_bytes);
        }
        let kind = *self.unfinished.get_or_insert(kind);
        self.fragments.extend_from_slice(payload);
        self.header_bytes += header_bytes;
        if !is_final {
            return Ok(());
        }
        let whole = std::mem::take(self);
        on_frame(message(kind, &whole.fragments)?, whole.header_bytes)
    }
}

fn message(kind: Data, payload: &[u8]) -> Result<Incoming<'_>, Fault> {
    if kind == Data::Binary {
        return Ok(Incoming::Message(Message::Binary(payload)));
    }
    let text = std::str::from_utf8(payload).map_err(|_| bad("a text message that is not UTF-8"))?;
    Ok(Incoming::Message(Message::Text(text)))
}

fn control(kind: Control, payload: &[u8]) -> Result<Incoming<'_>, Fault> {
    match kind {
        Control::Ping => Ok(Incoming::Ping(payload)),
        Control::Pong => Ok(Incoming::Pong(payload)),
        Control::Close => Ok(Incoming::Close(close_code(payload)?, payload)),
        Control::Reserved(opcode) => Err(bad(format!("a frame of the reserved opcode {opcode}"))),
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, Fault> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(bad("a close frame of one byte")) };
    };
    let code = u16::from_be_bytes(*code);
    if !CloseCode::from(code).is_allowed() && code != CODE_BAD_GATEWAY {
        return Err(bad(format!("a close frame with the forbidden code {code}")));
    }
    std::str::from_utf8(reason).map_err(|_| bad("a close frame whose reason is not UTF-8"))?;
    Ok(Some(code))
}

/// Appends a masked frame, and returns the bytes of its header.
pub(crate) fn push_frame(opcode: OpCode, payload: Vec<u8>, mask: [u8; 4], out: &mut Vec<u8>) -> usize {
    let length = payload.len();
    let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
    let frame = Frame::from_payload(header, payload.into());
    let start = out.len();
    frame.format(out).expect("writing to memory does not fail");
    out.len() - start - length
}

fn bad(what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::BadBytes, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::read_frames as read;
    use proptest::prelude::*;
    use wire::websocket_cases::{self, Messages, Outcome, Receiver, Side};

    /// A text, a fragmented text with a ping between the fragments, a close.
    const STREAM: &[u8] = b"\x81\x02hi\x01\x04frag\x89\x01p\x80\x02me\x88\x02\x03\xe9";

    #[test]
    fn fragments_and_controls() {
        let whole = read(&[STREAM]).unwrap();
        let expected = [
            "Message(Text(\"hi\")) 2",
            "Ping([112]) 2",
            "Message(Text(\"fragme\")) 4",
            "Close(Some(1001), [3, 233]) 2",
        ];
        assert_eq!(whole, expected);
        for cut in 0..STREAM.len() {
            assert_eq!(read(&[&STREAM[..cut], &STREAM[cut..]]).unwrap(), whole, "split at {cut}");
        }
    }

    /// As one chunk, and byte by byte. Sessions are tested with them too, in `transports/tests.rs`.
    #[test]
    fn every_case_whatever_the_chunks() {
        for receiver in Receiver::all(Side::Client) {
            let messages = Messages::of(&receiver, MESSAGE_BYTES_MAX as usize);
            for case in websocket_cases::all() {
                let bytes = case.bytes(Side::Client, &messages);
                let whole = read(&[&bytes]);
                let is_right = !matches!(case.outcome(&receiver), Outcome::Failed(_));
                assert!(whole.is_ok() || !is_right, "{} for {receiver:?}: {whole:?}", case.name);
                if bytes.len() < 1000 {
                    let chunks: Vec<_> = bytes.chunks(1).collect();
                    assert_eq!(read(&chunks), whole, "{}", case.name);
                }
            }
        }
    }

    #[test]
    fn an_invalid_frame_is_rejected_at_its_header() {
        for header in [&b"\x89\x7e\x00\x7e"[..], b"\x82\x7f\x00\x00\x00\x00\x00\x80\x00\x01", b"\x80\x05", b"\xc1\x05"]
        {
            assert_eq!(read(&[header]).unwrap_err().kind, FaultKind::BadBytes, "{header:?}");
        }
    }

    #[test]
    fn sent_frames_are_masked() {
        let mut out = Vec::new();
        let header = push_frame(OpCode::Data(Data::Text), b"abc".to_vec(), [1, 2, 3, 4], &mut out);
        assert_eq!((header, out.as_slice()), (6, &[0x81, 0x83, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3][..]));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            crate::fuzz::frames(&bytes);
        }
    }
}
