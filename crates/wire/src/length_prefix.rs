//! Length-prefixed frames, the framing of `tcp`.

use crate::WireError;

/// Size of the prefix: the length of the item as a big-endian u32, without the prefix itself.
pub const FRAME_PREFIX_BYTES: usize = 4;

/// A complete frame at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The item.
    pub item: &'a [u8],
    /// Size of the frame in the buffer, with its prefix.
    pub taken: usize,
}

/// Returns the first complete frame; `None` if more bytes are needed. A length of zero or above
/// `max` is an error as soon as the prefix is read.
pub fn split_frame(buffer: &[u8], max: usize) -> Result<Option<Frame<'_>>, WireError> {
    let Some((prefix, rest)) = buffer.split_first_chunk::<FRAME_PREFIX_BYTES>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(*prefix) as usize;
    if len > max {
        return Err(WireError::TooBig { found: len, max });
    }
    if len == 0 {
        return Err(WireError::Truncated("kind"));
    }
    Ok(rest.get(..len).map(|item| Frame { item, taken: FRAME_PREFIX_BYTES + len }))
}

/// Appends a frame with the bytes that `write` appends.
pub fn push_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_PREFIX_BYTES]);
    write(out);
    let len = u32::try_from(out.len() - start - FRAME_PREFIX_BYTES).expect("items are far below 4 GiB");
    out[start..start + FRAME_PREFIX_BYTES].copy_from_slice(&len.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::tests::any_up;
    use crate::{decode_up, encode_up};
    use proptest::prelude::*;

    #[test]
    fn a_wrong_length_is_refused_before_its_bytes_are_read() {
        assert_eq!(split_frame(&[0, 0, 1, 0], 255), Err(WireError::TooBig { found: 256, max: 255 }));
        assert_eq!(split_frame(&[0, 0, 0, 0], 255), Err(WireError::Truncated("kind")));
        assert_eq!(
            split_frame(b"GET / HTTP/1.1\r\n", 1 << 20).unwrap_err(),
            WireError::TooBig { found: 0x4745_5420, max: 1 << 20 }
        );
    }

    proptest! {
        #[test]
        fn frames_are_read_byte_by_byte(items in proptest::collection::vec(any_up(), 1..5)) {
            let mut stream = Vec::new();
            for item in &items {
                push_frame(&mut stream, |out| encode_up(item, out));
            }
            let (mut buffer, mut seen) = (Vec::new(), Vec::new());
            for byte in stream {
                buffer.push(byte);
                while let Some(frame) = split_frame(&buffer, usize::MAX).unwrap() {
                    seen.push(format!("{:?}", decode_up(frame.item).unwrap()));
                    let taken = frame.taken;
                    buffer.drain(..taken);
                }
            }
            prop_assert!(buffer.is_empty());
            prop_assert_eq!(seen, items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            crate::fuzz::frames(&bytes);
        }
    }
}
