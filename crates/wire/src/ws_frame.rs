//! WebSocket frames as a server writes them (RFC 6455 §5.2): final, unmasked, with the shortest
//! header that holds the length.

/// First byte of a final text frame.
pub(crate) const WS_TEXT: u8 = 0x81;
/// First byte of a final binary frame.
pub(crate) const WS_BINARY: u8 = 0x82;
const WS_LEN_16: u8 = 126;
const WS_LEN_64: u8 = 127;
const WS_HEADER_MAX: usize = 10;

/// Appends an unmasked WebSocket frame (server to client) and returns the bytes of its header.
pub(crate) fn push_ws_frame(out: &mut Vec<u8>, first_byte: u8, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    let start = out.len();
    // Most messages need the four-byte header: it is reserved, and other lengths move the body.
    out.extend_from_slice(&[0; 4]);
    write(out);
    let len = out.len() - start - 4;
    let mut header = [0; WS_HEADER_MAX];
    header[0] = first_byte;
    let header_len = if len < WS_LEN_16 as usize {
        header[1] = len as u8;
        2
    } else if let Ok(short) = u16::try_from(len) {
        header[1] = WS_LEN_16;
        header[2..4].copy_from_slice(&short.to_be_bytes());
        4
    } else {
        header[1] = WS_LEN_64;
        header[2..10].copy_from_slice(&(len as u64).to_be_bytes());
        10
    };
    out.splice(start..start + 4, header[..header_len].iter().copied());
    header_len
}
