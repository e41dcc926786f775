//! Valid and invalid WebSocket frames (RFC 6455) with the expected reaction of the receiver: one
//! table for the tests of every WebSocket of the server and of every client. Deviations of
//! libraries are marked with their versions.

mod close;
mod control;
mod data;
mod frame;
mod text;

pub use frame::{Frame, Messages};

use crate::{Encoding, Transport};

/// The receiving side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A server; frames to it are masked.
    Server,
    /// A client; frames to it are not masked.
    Client,
}

/// A receiver of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receiver {
    /// Server or client.
    pub side: Side,
    /// The transport.
    pub transport: Transport,
    /// The encoding of its messages.
    pub encoding: Encoding,
}

impl Receiver {
    /// All receivers on this side.
    pub fn all(side: Side) -> impl Iterator<Item = Self> {
        let pairs = [
            (Transport::Websocket, Encoding::Json),
            (Transport::Websocket, Encoding::Binary),
            (Transport::Stomp, Encoding::Json),
            (Transport::SocketioWebsocket, Encoding::Json),
            (Transport::Socketio, Encoding::Json),
        ];
        pairs.into_iter().map(move |(transport, encoding)| Self { side, transport, encoding })
    }

    fn is_server(&self) -> bool {
        self.side == Side::Server
    }

    fn is_stomp(&self) -> bool {
        self.transport == Transport::Stomp
    }

    fn is_socketio_server(&self) -> bool {
        self.is_server() && self.transport.is_socketio()
    }
}

/// The expected reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// This number of messages is received, pings are answered, and the connection continues.
    Accepted(usize),
    /// The close frame is answered with the same code.
    Closed(Option<u16>),
    /// The connection fails (section 7.1.7). A server closes with this code; a client records a
    /// fault (bad bytes).
    Failed(Option<u16>),
    /// The connection ended within a frame or message: a fault for a client, not for a server.
    CutShort,
}

use Outcome::{Accepted, Closed, CutShort, Failed};

type Build = Box<dyn Fn(&Messages) -> Vec<Frame>>;

/// Frames and the expected reaction.
pub struct Case {
    /// Name of the case.
    pub name: String,
    /// The section of RFC 6455.
    pub section: &'static str,
    outcome: Outcome,
    exceptions: Vec<Exception>,
    build: Build,
    /// Number of bytes that are sent before the connection ends.
    kept: fn(usize) -> usize,
}

/// A receiver with another reaction.
struct Exception {
    who: fn(&Receiver) -> bool,
    outcome: Outcome,
}

impl Case {
    fn new(
        name: impl Into<String>,
        section: &'static str,
        outcome: Outcome,
        build: impl Fn(&Messages) -> Vec<Frame> + 'static,
    ) -> Self {
        Self { name: name.into(), section, outcome, exceptions: Vec::new(), build: Box::new(build), kept: |all| all }
    }

    fn but(mut self, who: fn(&Receiver) -> bool, outcome: Outcome) -> Self {
        self.exceptions.push(Exception { who, outcome });
        self
    }

    fn cut_short(self, kept: fn(usize) -> usize) -> Self {
        Self { kept, ..self }
    }

    /// The expected reaction of this receiver.
    pub fn outcome(&self, receiver: &Receiver) -> Outcome {
        match self.exceptions.iter().find(|exception| (exception.who)(receiver)) {
            Some(exception) => exception.outcome,
            // engineioxide 0.17.9 fails connections with a close frame without a code.
            None if receiver.is_socketio_server() && matches!(self.outcome, Failed(_)) => Failed(None),
            None => self.outcome,
        }
    }

    /// The frames of the case, around these messages.
    pub fn frames(&self, messages: &Messages) -> Vec<Frame> {
        (self.build)(messages)
    }

    /// The bytes of the case.
    pub fn bytes(&self, side: Side, messages: &Messages) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in self.frames(messages) {
            frame.write(side, &mut bytes);
        }
        bytes.truncate((self.kept)(bytes.len()));
        bytes
    }
}

/// All cases.
pub fn all() -> Vec<Case> {
    [data::cases(), control::cases(), close::cases(), text::cases()].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_at_least_150_cases_with_unique_names() {
        let names: std::collections::BTreeSet<_> = all().into_iter().map(|case| case.name).collect();
        assert_eq!(names.len(), all().len());
        assert!(names.len() >= 150, "{}", names.len());
    }

    #[test]
    fn a_message_has_the_requested_length() {
        for receiver in [Side::Server, Side::Client].into_iter().flat_map(Receiver::all) {
            let messages = Messages::of(&receiver, 1 << 20);
            for length in [125, 126, 65_536] {
                assert_eq!(messages.long(length).len(), length, "{receiver:?}");
            }
        }
    }
}
