//! WebSocket frames as a server writes them (RFC 6455 §5.2): final, unmasked, with the shortest
//! header that holds the length.

/// First byte of a final text frame.
pub(crate) const WS_TEXT: u8 = 0x81;
/// First byte of a final binary frame.
pub(crate) const WS_BINARY: u8 = 0x82;
const WS_LEN_16: u8 = 126;
const WS_LEN_64: u8 = 127;
const WS_HEADER_MAX: usize = 10;

/// Bytes of the masking key of a frame from a client (RFC 6455 §5.3).
const WS_MASK_BYTES: usize = 4;

/// Bytes of the header of a frame with `payload` bytes (RFC 6455 §5.2).
pub const fn ws_header_len(payload: usize, masked: bool) -> usize {
    let unmasked = match payload {
        0..=125 => 2,
        126..=65_535 => 4,
        _ => WS_HEADER_MAX,
    };
    if masked { unmasked + WS_MASK_BYTES } else { unmasked }
}

/// Appends an unmasked frame (server to client) and returns the bytes of its header.
pub(crate) fn push_ws_frame(out: &mut Vec<u8>, first_byte: u8, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    let start = out.len();
    // Most messages need the header of 4 bytes: its place is reserved, and other lengths move the
    // body.
    out.extend_from_slice(&[0; 4]);
    write(out);
    let len = out.len() - start - 4;
    let header_len = ws_header_len(len, false);
    let mut header = [0; WS_HEADER_MAX];
    header[0] = first_byte;
    match header_len {
        2 => header[1] = len as u8,
        4 => {
            header[1] = WS_LEN_16;
            header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            header[1] = WS_LEN_64;
            header[2..].copy_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.splice(start..start + 4, header[..header_len].iter().copied());
    header_len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_2_4_or_10_bytes_and_masks_4_more() {
        let payloads = [0, 125, 126, 65_535, 65_536];
        assert_eq!(payloads.map(|payload| ws_header_len(payload, false)), [2, 2, 4, 4, 10]);
        assert_eq!(payloads.map(|payload| ws_header_len(payload, true)), [6, 6, 8, 8, 14]);
    }
}
