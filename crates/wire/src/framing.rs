//! Framings: an encoding and the bytes that mark the start and end of an item. A framing serves
//! several transports, and a message is encoded once for each framing.

use crate::stomp::{DEFAULT_SUBSCRIPTION, encode_stomp};
use crate::ws_frame::{WS_BINARY, WS_TEXT, push_ws_frame};
use crate::{Message, ServerItem, encode_down, encode_json, push_frame};

/// An encoding and the bytes that delimit its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Binary items, length-prefixed: `tcp`.
    LengthPrefixed,
    /// One JSON item per line: `polling`, `long-polling`, `http-streaming`.
    JsonLines,
    /// One JSON item per event: `sse`.
    ServerSentEvents,
    /// One JSON item per text frame: `websocket`.
    WsText,
    /// One binary item per binary frame: `websocket`.
    WsBinary,
    /// One STOMP frame per text frame, with a JSON item as its body: `stomp`.
    Stomp,
}

/// Bytes by their purpose, without HTTP headers and chunk sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByteCounts {
    /// Text of posts and messages.
    pub payload: u64,
    /// JSON or binary fields around the text.
    pub envelope: u64,
    /// Bytes that delimit items.
    pub framing: u64,
}

impl ByteCounts {
    /// Sum of all three.
    pub const fn total(self) -> u64 {
        self.payload + self.envelope + self.framing
    }
}

impl std::ops::AddAssign for ByteCounts {
    fn add_assign(&mut self, other: Self) {
        self.payload += other.payload;
        self.envelope += other.envelope;
        self.framing += other.framing;
    }
}

impl Framing {
    /// Number of framings.
    pub const COUNT: usize = 6;

    /// Appends an item as the server sends it, and returns its bytes by purpose.
    pub fn encode(self, item: &ServerItem<'_>, out: &mut Vec<u8>) -> ByteCounts {
        let start = out.len();
        let framing = match self {
            Self::LengthPrefixed => {
                push_frame(out, |out| encode_down(item, out));
                crate::FRAME_PREFIX_BYTES
            }
            Self::JsonLines => {
                encode_json(item, out);
                out.push(b'\n');
                1
            }
            Self::ServerSentEvents => encode_event(item, out),
            Self::WsText => push_ws_frame(out, WS_TEXT, |out| encode_json(item, out)),
            Self::WsBinary => push_ws_frame(out, WS_BINARY, |out| encode_down(item, out)),
            Self::Stomp => encode_stomp(DEFAULT_SUBSCRIPTION, item, out),
        };
        let payload = match item {
            ServerItem::Message(Message { text, .. }) => text.len(),
            ServerItem::Joined(_)
            | ServerItem::Gap(_)
            | ServerItem::Reset(_)
            | ServerItem::Ack(_)
            | ServerItem::Error(_)
            | ServerItem::Heartbeat
            | ServerItem::Bye => 0,
        };
        ByteCounts {
            payload: payload as u64,
            envelope: (out.len() - start - framing - payload) as u64,
            framing: framing as u64,
        }
    }
}

/// Appends an event. Its id is the cursor after the item, so that browsers reconnect with it.
fn encode_event(item: &ServerItem<'_>, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let (name, id) = match item {
        ServerItem::Message(message) => (None, Some(message.seq)),
        ServerItem::Joined(joined) => (Some("joined"), Some(joined.after)),
        ServerItem::Gap(gap) => (Some("gap"), Some(gap.to)),
        // The start of the log.
        ServerItem::Reset(_) => (Some("reset"), Some(0)),
        ServerItem::Ack(_) => (Some("ack"), None),
        ServerItem::Error(_) => (Some("problem"), None),
        ServerItem::Heartbeat | ServerItem::Bye => {
            out.extend_from_slice(b":\n\n");
            return out.len() - start;
        }
    };
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.to_string().as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    let body = out.len();
    encode_json(item, out);
    let body_len = out.len() - body;
    out.extend_from_slice(b"\n\n");
    out.len() - start - body_len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Joined, Reset, Transport, decode_json};

    fn message(text: &str) -> ServerItem<'_> {
        ServerItem::Message(Message { seq: 5, author: 1, ordinal: 2, text: text.into() })
    }

    #[test]
    fn all_framings_are_used_by_a_transport() {
        let framings: std::collections::HashSet<_> =
            Transport::ALL.into_iter().flat_map(|t| t.encodings().map(move |e| t.framing(e))).collect();
        assert_eq!(framings.len(), Framing::COUNT);
    }

    #[test]
    fn messages_and_joins_as_server_sent_events() {
        let mut out = Vec::new();
        let counts = Framing::ServerSentEvents.encode(&message("hi"), &mut out);
        Framing::ServerSentEvents.encode(&ServerItem::Joined(Joined { after: 4 }), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "id: 5\ndata: {\"seq\":5,\"author\":1,\"ordinal\":2,\"text\":\"hi\"}\n\nevent: joined\nid: 4\ndata: {\"joined\":{\"after\":4}}\n\n"
        );
        assert_eq!(counts, ByteCounts { payload: 2, envelope: 42, framing: 14 });
    }

    #[test]
    fn a_reset_as_server_sent_event_has_the_head_and_the_id_0() {
        let mut out = Vec::new();
        let counts = Framing::ServerSentEvents.encode(&ServerItem::Reset(Reset { head: 7 }), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "event: reset\nid: 0\ndata: {\"reset\":{\"head\":7}}\n\n");
        assert_eq!(counts, ByteCounts { payload: 0, envelope: 20, framing: 27 });
    }

    #[test]
    fn websocket_headers_are_2_4_or_10_bytes() {
        for (text_len, header) in [(1, 2), (200, 4), (70_000, 10)] {
            let text = "x".repeat(text_len);
            let mut out = vec![0xaa];
            let counts = Framing::WsText.encode(&message(&text), &mut out);
            assert_eq!((counts.payload, counts.framing), (text_len as u64, header));
            assert_eq!(counts.total(), out.len() as u64 - 1);
            assert_eq!(decode_json(&out[1 + header as usize..]).unwrap(), message(&text));
        }
    }

    #[test]
    fn byte_counts_add_up_in_every_framing() {
        for framing in [
            Framing::LengthPrefixed,
            Framing::JsonLines,
            Framing::ServerSentEvents,
            Framing::WsText,
            Framing::WsBinary,
            Framing::Stomp,
        ] {
            let mut out = Vec::new();
            let counts = framing.encode(&message("say \"x\""), &mut out);
            assert_eq!((counts.total(), counts.payload), (out.len() as u64, 7), "{framing:?}");
        }
    }
}
