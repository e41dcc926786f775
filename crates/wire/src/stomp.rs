//! STOMP 1.2: the part that a chat needs. Decoding and encoding of frames, header escapes, and
//! items in frames. One STOMP frame is one WebSocket message.
//!
//! The URL names the room, so that there is a single destination, [`DESTINATION`]. A message is
//! therefore encoded once for all clients of a room whose subscription has the usual id,
//! [`DEFAULT_SUBSCRIPTION`].

use std::borrow::Cow;

use crate::ws_frame::{WS_TEXT, push_ws_frame};
use crate::{ServerItem, encode_json};

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "v12.stomp";
/// The destination of subscriptions and posts.
pub const DESTINATION: &str = "/messages";
/// Id of the first subscription of the public JavaScript client.
pub const DEFAULT_SUBSCRIPTION: &str = "sub-0";
/// Maximum number of headers of a frame.
const HEADERS_MAX: usize = 32;

/// Errors of STOMP frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StompError {
    /// The frame has no NUL byte at its end.
    #[error("a frame ends with a NUL byte")]
    NoNul,
    /// The NUL byte is followed by something other than line ends.
    #[error("one WebSocket message holds one frame")]
    Trailing,
    /// There is no empty line after the headers.
    #[error("an empty line stands between headers and body")]
    NoBlankLine,
    /// A header line has no colon.
    #[error("a header line has a colon")]
    NoColon,
    /// A backslash is not followed by `r`, `n`, `c` or a backslash.
    #[error("no header escape is written \\{0}")]
    UnknownEscape(char),
    /// A header ends with a backslash.
    #[error("a header ends in the middle of an escape")]
    HalfEscape,
    /// The frame has too many headers.
    #[error("a frame has at most {HEADERS_MAX} headers")]
    TooManyHeaders,
    /// The `content-length` is not a number or not the length of the body.
    #[error("the content-length is not the length of the body")]
    WrongLength,
}

/// A frame. It borrows from its input, except for headers with escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StompFrame<'a> {
    /// The command.
    pub command: &'a str,
    headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The body.
    pub body: &'a str,
}

impl<'a> StompFrame<'a> {
    /// Decodes the frame of a WebSocket message; `None` is a heartbeat.
    pub fn parse(text: &'a str) -> Result<Option<Self>, StompError> {
        if text.bytes().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return Ok(None);
        }
        let mut rest = text;
        let command = line(&mut rest).ok_or(StompError::NoBlankLine)?;
        // STOMP 1.2 defines no escapes for these two commands.
        let plain = matches!(command, "CONNECT" | "CONNECTED");
        let mut headers = Vec::new();
        loop {
            let header = line(&mut rest).ok_or(StompError::NoBlankLine)?;
            if header.is_empty() {
                break;
            }
            if headers.len() == HEADERS_MAX {
                return Err(StompError::TooManyHeaders);
            }
            let (key, value) = header.split_once(':').ok_or(StompError::NoColon)?;
            let read = |part| if plain { Ok(Cow::Borrowed(part)) } else { unescape(part) };
            headers.push((read(key)?, read(value)?));
        }
        let mut frame = Self { command, headers, body: "" };
        let end = match frame.header("content-length") {
            Some(length) => length.parse().map_err(|_| StompError::WrongLength)?,
            None => rest.find('\0').ok_or(StompError::NoNul)?,
        };
        let after = rest.get(end..).ok_or(StompError::NoNul)?;
        let missing = if after.is_empty() { StompError::NoNul } else { StompError::WrongLength };
        let after = after.strip_prefix('\0').ok_or(missing)?;
        if after.bytes().any(|byte| !matches!(byte, b'\r' | b'\n')) {
            return Err(StompError::Trailing);
        }
        frame.body = &rest[..end];
        Ok(Some(frame))
    }

    /// The value of a header; of repeated headers the first counts.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }
}

/// The next line, without its line end.
fn line<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (line, tail) = rest.split_once('\n')?;
    *rest = tail;
    Some(line.strip_suffix('\r').unwrap_or(line))
}

fn unescape(text: &str) -> Result<Cow<'_, str>, StompError> {
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(char) = chars.next() {
        out.push(match char {
            '\\' => match chars.next().ok_or(StompError::HalfEscape)? {
                'r' => '\r',
                'n' => '\n',
                'c' => ':',
                '\\' => '\\',
                other => return Err(StompError::UnknownEscape(other)),
            },
            plain => plain,
        });
    }
    Ok(Cow::Owned(out))
}

/// Appends a header line.
pub fn push_header(key: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(key.as_bytes());
    out.push(b':');
    for byte in value.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b':' => out.extend_from_slice(b"\\c"),
            plain => out.push(plain),
        }
    }
    out.push(b'\n');
}

/// Appends a frame without a body as a WebSocket text frame of the server, and returns its size.
pub fn push_stomp_frame(command: &str, headers: &[(&str, &str)], out: &mut Vec<u8>) -> usize {
    let start = out.len();
    push_ws_frame(out, WS_TEXT, |out| {
        out.extend_from_slice(command.as_bytes());
        out.push(b'\n');
        headers.iter().for_each(|(key, value)| push_header(key, value, out));
        out.extend_from_slice(b"\n\0");
    });
    out.len() - start
}

/// Appends a heartbeat as a WebSocket text frame of the server, and returns its size.
pub fn push_stomp_beat(out: &mut Vec<u8>) -> usize {
    push_ws_frame(out, WS_TEXT, |out| out.push(b'\n')) + 1
}

/// Appends an item as a WebSocket text frame of the server, and returns the number of bytes around
/// the item's JSON.
pub fn encode_stomp(subscription: &str, item: &ServerItem<'_>, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    if matches!(item, ServerItem::Heartbeat | ServerItem::Bye) {
        return push_stomp_beat(out);
    }
    let mut body_bytes = 0;
    push_ws_frame(out, WS_TEXT, |out| {
        let id = match item {
            ServerItem::Message(message) => message.seq.to_string(),
            ServerItem::Gap(gap) => format!("gap-{}", gap.to),
            ServerItem::Reset(reset) => format!("reset-{}", reset.head),
            ServerItem::Joined(joined) => format!("joined-{}", joined.after),
            ServerItem::Ack(ack) => format!("ack-{}", ack.ordinal),
            ServerItem::Error(_) | ServerItem::Heartbeat | ServerItem::Bye => String::new(),
        };
        if let ServerItem::Error(problem) = item {
            out.extend_from_slice(b"ERROR\n");
            push_header("message", &problem.error, out);
        } else {
            out.extend_from_slice(b"MESSAGE\n");
            push_header("subscription", subscription, out);
            push_header("message-id", &id, out);
            push_header("destination", DESTINATION, out);
        }
        out.extend_from_slice(b"content-type:application/json\n\n");
        let body = out.len();
        encode_json(item, out);
        body_bytes = out.len() - body;
        out.push(0);
    });
    out.len() - start - body_bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorBody, Message};
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Option<StompFrame<'_>>, StompError> {
        StompFrame::parse(text)
    }

    #[test]
    fn a_frame_of_another_client_is_read() {
        let frame =
            parse("SEND\r\ndestination:/messages\nreceipt:a\\cb\\\\\\n\nreceipt:second\n\nbody\0\n").unwrap().unwrap();
        assert_eq!((frame.command, frame.body, frame.header("destination")), ("SEND", "body", Some("/messages")));
        assert_eq!(frame.header("receipt"), Some("a:b\\\n"), "the first of a repeated header counts");
        let connect = parse("CONNECT\nhost:a\\qb\n\n\0").unwrap().unwrap();
        assert_eq!(connect.header("host"), Some("a\\qb"), "CONNECT has no escapes");
        assert_eq!((parse("\n"), parse("\r\n\n")), (Ok(None), Ok(None)));
    }

    #[test]
    fn invalid_frames_are_refused() {
        for (text, error) in [
            ("SEND\n\nbody", StompError::NoNul),
            ("SEND\ncontent-length:4\n\nbody", StompError::NoNul),
            ("SEND\ncontent-length:9\n\nbody\0", StompError::NoNul),
            ("SEND\ncontent-length:2\n\nbody\0", StompError::WrongLength),
            ("SEND\ncontent-length:x\n\nbody\0", StompError::WrongLength),
            ("SEND\n\nbody\0SEND\n\n\0", StompError::Trailing),
            ("SEND\na:b\0", StompError::NoBlankLine),
            ("SEND", StompError::NoBlankLine),
            ("SEND\nab\n\n\0", StompError::NoColon),
            ("SEND\na:\\t\n\n\0", StompError::UnknownEscape('t')),
            ("SEND\na:b\\\n\n\0", StompError::HalfEscape),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
        let many = format!("SEND\n{}\n\0", "a:b\n".repeat(33));
        assert_eq!(parse(&many), Err(StompError::TooManyHeaders));
    }

    #[test]
    fn messages_and_errors_are_valid_frames() {
        let mut out = Vec::new();
        let message = ServerItem::Message(Message { seq: 5, author: 1, ordinal: 2, text: "hi".into() });
        let framing = encode_stomp("a:1", &message, &mut out);
        let text = std::str::from_utf8(&out[4..]).unwrap();
        let json = "{\"seq\":5,\"author\":1,\"ordinal\":2,\"text\":\"hi\"}";
        let expected =
            "MESSAGE\nsubscription:a\\c1\nmessage-id:5\ndestination:/messages\ncontent-type:application/json\n\n";
        assert_eq!(text, format!("{expected}{json}\0"));
        assert_eq!(framing, out.len() - json.len());
        let frame = parse(text).unwrap().unwrap();
        assert_eq!((frame.header("subscription"), frame.body), (Some("a:1"), json));
        out.clear();
        encode_stomp("", &ServerItem::Error(ErrorBody::new("x", "1", "no: \nnever", "")), &mut out);
        let error = parse(std::str::from_utf8(&out[2..]).unwrap()).unwrap().unwrap();
        assert_eq!((error.command, error.header("message")), ("ERROR", Some("no: \nnever")));
    }

    proptest! {
        #[test]
        fn headers_round_trip(key in "[a-z-]{1,10}", value in "\\PC*[\r\n\\\\:]?\\PC*") {
            let mut out = b"SEND\n".to_vec();
            push_header(&key, &value, &mut out);
            out.extend_from_slice(b"\n\0");
            prop_assume!(key != "content-length");
            let frame = StompFrame::parse(std::str::from_utf8(&out).unwrap()).unwrap().unwrap();
            prop_assert_eq!(frame.header(&key), Some(value.as_str()));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".*", bytes in "[A-Z\n:\\\\\0a-c]*") {
            crate::fuzz::stomp(text.as_bytes());
            crate::fuzz::stomp(bytes.as_bytes());
        }
    }
}
