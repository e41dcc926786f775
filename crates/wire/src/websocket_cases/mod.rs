//! Frames of RFC 6455, right and wrong, and what whoever receives them makes of them: one table for every endpoint of the server and
//! for every client of the load generator. For tests; what a library does otherwise is named here with its version.

mod close;
mod control;
mod data;
mod frame;
mod text;

pub use frame::{Frame, Messages};

use crate::{Encoding, Transport};

/// Who receives the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// They come masked.
    Server,
    /// They come as they are.
    Client,
}

/// One end of a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receiver {
    /// Which end.
    pub side: Side,
    /// What is spoken on it.
    pub transport: Transport,
    /// What its messages are written in.
    pub encoding: Encoding,
}

impl Receiver {
    /// Every one on this side.
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

/// What a receiver makes of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// So many messages arrive, every ping is answered, and the connection goes on.
    Accepted(usize),
    /// The closing handshake: the close frame is answered by one with the same code.
    Closed(Option<u16>),
    /// The connection is failed (section 7.1.7). A server says why, with this code; to a client it is a fault, bad bytes.
    Failed(Option<u16>),
    /// The connection ended in the middle of something: a fault to a client, an everyday matter to a server.
    CutShort,
}

use Outcome::{Accepted, Closed, CutShort, Failed};

type Build = Box<dyn Fn(&Messages) -> Vec<Frame>>;

/// Frames, and what is made of them.
pub struct Case {
    /// What it is.
    pub name: String,
    /// The section of RFC 6455 that says so.
    pub section: &'static str,
    outcome: Outcome,
    exceptions: Vec<Exception>,
    build: Build,
    /// How many of its bytes come before the connection ends.
    kept: fn(usize) -> usize,
}

/// Some receivers make something else of a case.
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

    /// What this receiver makes of it.
    pub fn outcome(&self, receiver: &Receiver) -> Outcome {
        match self.exceptions.iter().find(|exception| (exception.who)(receiver)) {
            Some(exception) => exception.outcome,
            // engineioxide 0.17.9 answers what fails a connection with a close frame that has no code.
            None if receiver.is_socketio_server() && matches!(self.outcome, Failed(_)) => Failed(None),
            None => self.outcome,
        }
    }

    /// Its frames, for somebody to whom these are messages.
    pub fn frames(&self, messages: &Messages) -> Vec<Frame> {
        (self.build)(messages)
    }

    /// Its bytes.
    pub fn bytes(&self, side: Side, messages: &Messages) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in self.frames(messages) {
            frame.write(side, &mut bytes);
        }
        bytes.truncate((self.kept)(bytes.len()));
        bytes
    }
}

/// All of them.
pub fn all() -> Vec<Case> {
    [data::cases(), control::cases(), close::cases(), text::cases()].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_and_each_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = all().into_iter().map(|case| case.name).collect();
        assert_eq!(names.len(), all().len());
        assert!(names.len() >= 150, "{}", names.len());
    }

    #[test]
    fn a_message_is_as_long_as_it_is_asked_for() {
        for receiver in [Side::Server, Side::Client].into_iter().flat_map(Receiver::all) {
            let messages = Messages::of(&receiver, 1 << 20);
            for length in [125, 126, 65_536] {
                assert_eq!(messages.long(length).len(), length, "{receiver:?}");
            }
        }
    }
}
