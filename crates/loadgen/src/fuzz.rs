//! Properties of the protocol readers that hold for any bytes: the bodies of property tests and of
//! the targets in `crates/fuzz`.

use crate::error::{Fault, SessionEnd};
use crate::protocol::Remainder;
use crate::protocol::http_response::{Part, ResponseReader};
use crate::protocol::socketio_packet::{Packet, decode_attachment, push_attachment};
use crate::protocol::ws_frame::{FrameReader, Incoming};

/// Responses are read the same whatever their chunks. Errors may be found at another place.
pub fn response(bytes: &[u8]) {
    let chunks: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(read_responses(&chunks).ok(), read_responses(&[bytes]).ok());
}

/// WebSocket frames are read the same whatever their chunks.
pub fn frames(bytes: &[u8]) {
    let chunks: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(read_frames(&chunks), read_frames(&[bytes]));
}

/// An attachment that was decoded is encoded to the same bytes.
pub fn packets(bytes: &[u8]) {
    let _ = Packet::parse(bytes);
    let _ = Packet::parse(&[b"42[\"", bytes].concat());
    if let Ok(attachment) = decode_attachment(bytes) {
        let mut out = Vec::new();
        push_attachment(&attachment, &mut out);
        assert_eq!(&out[1..], bytes);
    }
}

/// The bodies of consecutive responses together, and how many responses were complete.
fn read_responses(chunks: &[&[u8]]) -> Result<(Vec<u8>, usize), Fault> {
    let (mut reader, mut body, mut ends) = (ResponseReader::new(), Vec::new(), 0);
    for chunk in chunks {
        let mut rest = *chunk;
        while !rest.is_empty() {
            let parsed = reader.feed(rest, |part| {
                match part {
                    Part::Body(bytes) => body.extend_from_slice(bytes),
                    Part::End => ends += 1,
                    Part::Head(..) | Part::Framing(_) => {}
                }
                Ok::<_, Fault>(())
            })?;
            rest = &rest[parsed..];
        }
    }
    Ok((body, ends))
}

/// What a session reads up to its end or a close frame.
pub(crate) fn read_frames(chunks: &[&[u8]]) -> Result<Vec<String>, Fault> {
    let (mut remainder, mut reader, mut seen) = (Remainder::default(), FrameReader::default(), Vec::new());
    for chunk in chunks {
        let fed = remainder.feed(chunk, |bytes| {
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
