//! WebSocket frames, client side. Headers, masks and codes are tungstenite's; what is left to us is to read frames from a buffer that
//! all clients of a thread share, so that an idle client keeps none of its own.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use crate::fault::Fault;
use results::FaultKind;

/// Largest message a client takes.
const MESSAGE_BYTES_MAX: u64 = 8 << 20;

/// What a frame means to a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// A whole message.
    Message(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    /// The code, 1005 when there is none.
    Close(u16),
    /// Part of a message that goes on.
    Fragment,
}

/// Puts fragmented messages together; costs nothing while there are none.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    fragments: Vec<u8>,
    in_message: bool,
}

impl FrameReader {
    /// Takes whole frames from the head of `bytes` and returns how many bytes they were. `on_frame` gets each with how many bytes of it
    /// are no message's: its header, of a control frame all.
    pub(crate) fn feed<E: From<Fault>>(
        &mut self,
        bytes: &[u8],
        mut on_frame: impl FnMut(Incoming<'_>, usize) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut taken = 0;
        loop {
            let mut cursor = Cursor::new(&bytes[taken..]);
            let parsed = FrameHeader::parse(&mut cursor).map_err(|error| bad(error.to_string()))?;
            let Some((header, length)) = parsed else { return Ok(taken) };
            if length > MESSAGE_BYTES_MAX {
                return Err(bad(format!("a frame of {length} bytes, {MESSAGE_BYTES_MAX} are taken")).into());
            }
            if header.mask.is_some() || header.rsv1 || header.rsv2 || header.rsv3 {
                return Err(bad("a frame with a mask or reserved bits from a server").into());
            }
            let header_bytes = cursor.position() as usize;
            let from = taken + header_bytes;
            let Some(payload) = bytes.get(from..from + length as usize) else { return Ok(taken) };
            let incoming = self.take(&header, payload)?;
            let whole = matches!(incoming, Incoming::Message(_));
            let is_control = matches!(header.opcode, OpCode::Control(_));
            on_frame(incoming, header_bytes + if is_control { payload.len() } else { 0 })?;
            if whole {
                self.in_message = false;
                self.fragments = Vec::new();
            }
            taken = from + length as usize;
        }
    }

    fn take<'a>(&'a mut self, header: &FrameHeader, payload: &'a [u8]) -> Result<Incoming<'a>, Fault> {
        match header.opcode {
            OpCode::Data(Data::Text | Data::Binary) if self.in_message => Err(bad("a message inside a message")),
            OpCode::Data(Data::Text | Data::Binary) if header.is_final => Ok(Incoming::Message(payload)),
            OpCode::Data(Data::Text | Data::Binary) => self.keep(payload),
            OpCode::Data(Data::Continue) if !self.in_message => Err(bad("a continuation of nothing")),
            OpCode::Data(Data::Continue) => {
                let fragment = self.keep(payload)?;
                Ok(if header.is_final { Incoming::Message(&self.fragments) } else { fragment })
            }
            OpCode::Control(_) if !header.is_final || payload.len() > 125 => Err(bad("a control frame too long")),
            OpCode::Control(Control::Ping) => Ok(Incoming::Ping(payload)),
            OpCode::Control(Control::Pong) => Ok(Incoming::Pong),
            OpCode::Control(Control::Close) => {
                Ok(Incoming::Close(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))))
            }
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => Err(bad("an unknown frame")),
        }
    }

    fn keep(&mut self, payload: &[u8]) -> Result<Incoming<'static>, Fault> {
        if self.fragments.len() + payload.len() > MESSAGE_BYTES_MAX as usize {
            return Err(bad("a message without end"));
        }
        self.in_message = true;
        self.fragments.extend_from_slice(payload);
        Ok(Incoming::Fragment)
    }
}

/// Appends a masked frame, and returns the bytes of its header.
pub(crate) fn push_frame(opcode: OpCode, payload: Vec<u8>, mask: [u8; 4], out: &mut Vec<u8>) -> usize {
    let length = payload.len();
    let mut frame = Frame::message(payload, opcode, true);
    frame.header_mut().mask = Some(mask);
    let start = out.len();
    frame.format(out).expect("memory does not refuse a write");
    out.len() - start - length
}

fn bad(what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::BadBytes, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lean::Carry;
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]]) -> Result<Vec<String>, Fault> {
        let (mut carry, mut reader, mut seen) = (Carry::default(), FrameReader::default(), Vec::new());
        for chunk in chunks {
            carry.feed(chunk, |bytes| {
                reader.feed(bytes, |incoming, _| {
                    seen.push(match incoming {
                        Incoming::Message(bytes) => format!("message {}", String::from_utf8_lossy(bytes)),
                        other => format!("{other:?}"),
                    });
                    Ok::<_, Fault>(())
                })
            })?;
        }
        Ok(seen)
    }

    /// A text, a fragmented text with a ping in between, a close.
    const STREAM: &[u8] = b"\x81\x02hi\x01\x04frag\x89\x01p\x80\x02me\x88\x02\x03\xe9";

    #[test]
    fn fragments_and_controls() {
        let whole = read(&[STREAM]).unwrap();
        assert_eq!(whole, ["message hi", "Fragment", "Ping([112])", "message fragme", "Close(1001)"]);
        for cut in 0..STREAM.len() {
            assert_eq!(read(&[&STREAM[..cut], &STREAM[cut..]]).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_a_server_may_not_send() {
        for bytes in
            [&b"\x81\x82\0\0\0\0hi"[..], b"\xc1\x00", b"\x80\x00", b"\x01\x00\x81\x00", b"\x09\x00", b"\x83\x00"]
        {
            assert_eq!(read(&[bytes]).unwrap_err().kind, FaultKind::BadBytes, "{bytes:?}");
        }
    }

    #[test]
    fn our_frames_are_masked() {
        let mut out = Vec::new();
        let header = push_frame(OpCode::Data(Data::Text), b"abc".to_vec(), [1, 2, 3, 4], &mut out);
        assert_eq!((header, out.as_slice()), (6, &[0x81, 0x83, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3][..]));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&[&bytes]);
        }
    }
}
