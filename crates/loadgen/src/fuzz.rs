//! What holds of any bytes, a protocol reader each: the bodies of property tests and of the targets in `crates/fuzz`.

use crate::error::{Fault, SessionEnd};
use crate::protocol::Carry;
use crate::protocol::frames::{FrameReader, Incoming};
use crate::protocol::packets::{Packet, decode_attachment, push_attachment};
use crate::protocol::response::{Part, ResponseReader};

/// Responses are the same however their bytes are cut; what is wrong with bad ones may be found in another place.
pub fn response(bytes: &[u8]) {
    let chunks: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(read_responses(&chunks).ok(), read_responses(&[bytes]).ok());
}

/// WebSocket frames are the same however their bytes are cut.
pub fn frames(bytes: &[u8]) {
    let chunks: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(read_frames(&chunks), read_frames(&[bytes]));
}

/// An attachment that was read is the same when it is written again.
pub fn packets(bytes: &[u8]) {
    let _ = Packet::parse(bytes);
    let _ = Packet::parse(&[b"42[\"", bytes].concat());
    if let Ok(attachment) = decode_attachment(bytes) {
        let mut out = Vec::new();
        push_attachment(&attachment, &mut out);
        assert_eq!(&out[1..], bytes);
    }
}

/// The bodies of responses one behind the other, and how many ended.
fn read_responses(chunks: &[&[u8]]) -> Result<(Vec<u8>, usize), Fault> {
    let (mut reader, mut body, mut ends) = (ResponseReader::new(), Vec::new(), 0);
    for chunk in chunks {
        let mut rest = *chunk;
        while !rest.is_empty() {
            let taken = reader.feed(rest, |part| {
                match part {
                    Part::Body(bytes) => body.extend_from_slice(bytes),
                    Part::End => ends += 1,
                    Part::Head(..) | Part::Framing(_) => {}
                }
                Ok::<_, Fault>(())
            })?;
            rest = &rest[taken..];
        }
    }
    Ok((body, ends))
}

/// What a session reads: everything to the end, or to a close frame.
pub(crate) fn read_frames(chunks: &[&[u8]]) -> Result<Vec<String>, Fault> {
    let (mut carry, mut reader, mut seen) = (Carry::default(), FrameReader::default(), Vec::new());
    for chunk in chunks {
        let fed = carry.feed(chunk, |bytes| {
            reader.feed(bytes, |incoming, header_bytes| {
                seen.push(format!("{incoming:?} {header_bytes}"));
                if matches!(incoming, Incoming::Close(..)) { Err(SessionEnd::Closed) } else { Ok(()) }
            })
        });
        match fed {
            Ok(()) => {}
            Err(SessionEnd::Closed) => break,
            Err(SessionEnd::Failed(fault)) => return Err(fault),
        }
    }
    Ok(seen)
}
