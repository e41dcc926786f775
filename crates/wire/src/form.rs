//! How items stand in a transport's byte stream: an encoding with its framing. One form serves several transports, and a
//! message is written once per form, whoever reads it.

use crate::stomp::{DEFAULT_SUBSCRIPTION, encode_stomp};
use crate::ws_frame::{WS_BINARY, WS_TEXT, push_ws_frame};
use crate::{Down, Encoding, Message, Transport, encode_down, encode_json, push_frame};

/// An encoding with its framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Binary items, length-prefixed: `tcp`.
    Frames,
    /// A JSON item a line: `polling`, `long-polling`, `http-streaming`.
    Lines,
    /// A JSON item an event: `sse`.
    Events,
    /// A JSON item a text frame: `websocket`.
    TextFrames,
    /// A binary item a binary frame: `websocket`.
    BinaryFrames,
    /// A STOMP frame a text frame, with a JSON item as its body: `stomp`.
    StompFrames,
}

/// Bytes by what they are for. HTTP headers and chunk framing are not known at this level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Split {
    /// What people said.
    pub payload: u64,
    /// Field names, numbers, quotes, escapes around it.
    pub envelope: u64,
    /// What says where an item begins and ends.
    pub framing: u64,
}

impl Split {
    /// All of it.
    pub const fn total(self) -> u64 {
        self.payload + self.envelope + self.framing
    }
}

impl std::ops::AddAssign for Split {
    fn add_assign(&mut self, other: Self) {
        self.payload += other.payload;
        self.envelope += other.envelope;
        self.framing += other.framing;
    }
}

impl Form {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// The form a transport uses for an encoding. Socket.IO writes items into packets of its own, one by one: its form is only how they
    /// come to it from the log.
    pub const fn of(transport: Transport, encoding: Encoding) -> Self {
        match (transport, encoding) {
            (Transport::Tcp, _) => Self::Frames,
            (Transport::Polling | Transport::LongPolling | Transport::HttpStreaming, _) => Self::Lines,
            (Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio, encoding) => {
                match encoding {
                    Encoding::Json => Self::Lines,
                    Encoding::Binary => Self::Frames,
                }
            }
            (Transport::Sse, _) => Self::Events,
            (Transport::Websocket, Encoding::Json) => Self::TextFrames,
            (Transport::Websocket, Encoding::Binary) => Self::BinaryFrames,
            (Transport::Stomp, _) => Self::StompFrames,
        }
    }

    /// Appends an item as the server sends it, and says what the bytes are for.
    pub fn encode(self, item: &Down<'_>, out: &mut Vec<u8>) -> Split {
        let start = out.len();
        let framing = match self {
            Self::Frames => {
                push_frame(out, |out| encode_down(item, out));
                crate::FRAME_PREFIX_BYTES
            }
            Self::Lines => {
                encode_json(item, out);
                out.push(b'\n');
                1
            }
            Self::Events => encode_event(item, out),
            Self::TextFrames => push_ws_frame(out, WS_TEXT, |out| encode_json(item, out)),
            Self::BinaryFrames => push_ws_frame(out, WS_BINARY, |out| encode_down(item, out)),
            Self::StompFrames => encode_stomp(DEFAULT_SUBSCRIPTION, item, out),
        };
        let payload = match item {
            Down::Message(Message { text, .. }) => text.len(),
            Down::Joined(_)
            | Down::Gap(_)
            | Down::Reset(_)
            | Down::Ack(_)
            | Down::Problem(_)
            | Down::Heartbeat
            | Down::Bye => 0,
        };
        Split {
            payload: payload as u64,
            envelope: (out.len() - start - framing - payload) as u64,
            framing: framing as u64,
        }
    }
}

/// Appends an event. A message carries its seq as the event id, and so does the join, so that a browser comes back with the right cursor.
fn encode_event(item: &Down<'_>, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let (name, id) = match item {
        Down::Message(message) => (None, Some(message.seq)),
        Down::Joined(joined) => (Some("joined"), Some(joined.after)),
        Down::Gap(gap) => (Some("gap"), Some(gap.to)),
        // The start of the log.
        Down::Reset(_) => (Some("reset"), Some(0)),
        Down::Ack(_) => (Some("ack"), None),
        Down::Problem(_) => (Some("problem"), None),
        Down::Heartbeat | Down::Bye => {
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
    use crate::{Joined, Reset, decode_json};

    fn message(text: &str) -> Down<'_> {
        Down::Message(Message { seq: 5, author: 1, ordinal: 2, text: text.into() })
    }

    #[test]
    fn every_transport_has_a_form_for_each_of_its_encodings() {
        let forms: std::collections::HashSet<_> =
            Transport::ALL.into_iter().flat_map(|t| t.encodings().iter().map(move |e| Form::of(t, *e))).collect();
        assert_eq!(forms.len(), Form::COUNT);
    }

    #[test]
    fn an_event_as_a_browser_reads_it() {
        let mut out = Vec::new();
        let split = Form::Events.encode(&message("hi"), &mut out);
        Form::Events.encode(&Down::Joined(Joined { after: 4 }), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "id: 5\ndata: {\"seq\":5,\"author\":1,\"ordinal\":2,\"text\":\"hi\"}\n\nevent: joined\nid: 4\ndata: {\"joined\":{\"after\":4}}\n\n"
        );
        assert_eq!(split, Split { payload: 2, envelope: 42, framing: 14 });
    }

    #[test]
    fn a_reset_tells_the_head_and_takes_a_browser_to_the_start_of_the_log() {
        let mut out = Vec::new();
        let split = Form::Events.encode(&Down::Reset(Reset { head: 7 }), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "event: reset\nid: 0\ndata: {\"reset\":{\"head\":7}}\n\n");
        assert_eq!(split, Split { payload: 0, envelope: 20, framing: 27 });
    }

    #[test]
    fn websocket_headers_are_2_4_or_10_bytes() {
        for (text_len, header) in [(1, 2), (200, 4), (70_000, 10)] {
            let text = "x".repeat(text_len);
            let mut out = vec![0xaa];
            let split = Form::TextFrames.encode(&message(&text), &mut out);
            assert_eq!((split.payload, split.framing), (text_len as u64, header));
            assert_eq!(split.total(), out.len() as u64 - 1);
            assert_eq!(decode_json(&out[1 + header as usize..]).unwrap(), message(&text));
        }
    }

    #[test]
    fn the_split_adds_up_in_every_form() {
        for form in [Form::Frames, Form::Lines, Form::Events, Form::TextFrames, Form::BinaryFrames, Form::StompFrames] {
            let mut out = Vec::new();
            let split = form.encode(&message("say \"x\""), &mut out);
            assert_eq!((split.total(), split.payload), (out.len() as u64, 7), "{form:?}");
        }
    }
}
