//! Traffic counts: calls, and bytes by direction, kind and class. The counts of a window are the
//! difference of two samples.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Direction {
    /// Client to server.
    Up,
    /// Server to client.
    Down,
}

/// What bytes are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum TrafficKind {
    /// Messages.
    Delivery,
    /// Polls that find no message.
    Empty,
    /// Pings, comments, empty lines.
    KeepAlive,
    /// Connecting, joining, starting a stream.
    SetUp,
    /// Posts and their acknowledgements.
    Posting,
}

impl TrafficKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Delivery, Self::Empty, Self::KeepAlive, Self::SetUp, Self::Posting];

    /// The name used in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Empty => "empty",
            Self::KeepAlive => "keep-alive",
            Self::SetUp => "set-up",
            Self::Posting => "posting",
        }
    }
}

/// Part of a message that bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum ByteClass {
    /// Text of chat messages.
    Payload,
    /// Field names, numbers, quotes and escapes around the text.
    Envelope,
    /// Frame headers, line ends, event fields, chunk sizes.
    Framing,
    /// Request and status lines, headers, handshakes.
    Headers,
}

impl ByteClass {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Payload, Self::Envelope, Self::Framing, Self::Headers];

    /// The name used in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Envelope => "envelope",
            Self::Framing => "framing",
            Self::Headers => "headers",
        }
    }
}

type ByClass = [u64; ByteClass::ALL.len()];

/// Traffic of the load generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct TrafficCounts {
    /// Messages received; a message to two clients counts twice.
    pub delivered: u64,
    /// Posts sent.
    pub posted: u64,
    /// Posts acknowledged.
    pub accepted: u64,
    /// Posts that could not be sent when they were scheduled because the post before was not
    /// acknowledged yet.
    pub posts_delayed: u64,
    /// HTTP requests sent.
    pub requests: u64,
    /// Requests answered without a message.
    pub empty_answers: u64,
    /// Responses, frames or chunks that carried messages.
    pub batches: u64,
    /// Connections opened.
    pub connections: u64,
    /// Socket reads that returned bytes.
    pub socket_reads: u64,
    /// Socket writes.
    pub socket_writes: u64,
    /// Streams that the server ended as the protocol says.
    pub cuts: u64,
    /// Sessions that started on polling and were upgraded to a WebSocket.
    pub upgrades: u64,
    /// Sessions whose upgrade was refused and that stayed on polling.
    pub upgrades_refused: u64,
    /// Messages received by such sessions while they were on polling.
    pub delivered_on_polling: u64,
    /// Frames, events and bodies without a post, from servers with a protocol of their own.
    #[serde(default)]
    pub unmarked: u64,
    /// Bytes by direction (up, down), kind (delivery, empty, keep-alive, set-up, posting) and class
    /// (payload, envelope, framing, headers), in this order.
    bytes: [[ByClass; TrafficKind::ALL.len()]; 2],
}

impl TrafficCounts {
    /// Counts bytes.
    pub fn add(&mut self, direction: Direction, purpose: TrafficKind, class: ByteClass, bytes: usize) {
        self.bytes[direction as usize][purpose as usize][class as usize] += bytes as u64;
    }

    /// Counts bytes, or takes back bytes that were counted before their kind was known.
    pub fn correct(&mut self, direction: Direction, purpose: TrafficKind, class: ByteClass, bytes: i64) {
        let cell = &mut self.bytes[direction as usize][purpose as usize][class as usize];
        *cell = cell.saturating_add_signed(bytes);
    }

    /// Moves bytes to another kind.
    pub fn reassign(
        &mut self,
        direction: Direction,
        class: ByteClass,
        from: TrafficKind,
        to: TrafficKind,
        bytes: usize,
    ) {
        self.correct(direction, from, class, -(bytes as i64));
        self.add(direction, to, class, bytes);
    }

    /// Bytes of one direction, kind and class.
    pub fn bytes(&self, direction: Direction, purpose: TrafficKind, class: ByteClass) -> u64 {
        self.bytes[direction as usize][purpose as usize][class as usize]
    }

    /// All bytes of one direction.
    pub fn total(&self, direction: Direction) -> u64 {
        self.bytes[direction as usize].iter().flatten().sum()
    }

    /// All bytes of both directions.
    pub fn total_both(&self) -> u64 {
        self.total(Direction::Up) + self.total(Direction::Down)
    }

    /// Sum of both counts.
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    /// Counts since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        self.zip(earlier, u64::saturating_sub)
    }

    fn zip(&self, other: &Self, op: impl Fn(u64, u64) -> u64) -> Self {
        let mut bytes = self.bytes;
        for (mine, theirs) in bytes.iter_mut().flatten().flatten().zip(other.bytes.iter().flatten().flatten()) {
            *mine = op(*mine, *theirs);
        }
        Self {
            delivered: op(self.delivered, other.delivered),
            posted: op(self.posted, other.posted),
            accepted: op(self.accepted, other.accepted),
            posts_delayed: op(self.posts_delayed, other.posts_delayed),
            requests: op(self.requests, other.requests),
            empty_answers: op(self.empty_answers, other.empty_answers),
            batches: op(self.batches, other.batches),
            connections: op(self.connections, other.connections),
            socket_reads: op(self.socket_reads, other.socket_reads),
            socket_writes: op(self.socket_writes, other.socket_writes),
            cuts: op(self.cuts, other.cuts),
            upgrades: op(self.upgrades, other.upgrades),
            upgrades_refused: op(self.upgrades_refused, other.upgrades_refused),
            delivered_on_polling: op(self.delivered_on_polling, other.delivered_on_polling),
            unmarked: op(self.unmarked, other.unmarked),
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_sums_and_reassignments_add_up() {
        let mut early = TrafficCounts { delivered: 3, ..TrafficCounts::default() };
        early.add(Direction::Down, TrafficKind::Delivery, ByteClass::Payload, 30);
        let mut late = early;
        late.delivered += 2;
        late.add(Direction::Down, TrafficKind::Delivery, ByteClass::Payload, 20);
        let window = late.since(&early);
        assert_eq!((window.delivered, window.total(Direction::Down), window.total(Direction::Up)), (2, 20, 0));
        assert_eq!(early.plus(&window), late);
        late.reassign(Direction::Down, ByteClass::Payload, TrafficKind::Delivery, TrafficKind::Posting, 50);
        let spent =
            [TrafficKind::Delivery, TrafficKind::Posting].map(|on| late.bytes(Direction::Down, on, ByteClass::Payload));
        assert_eq!((spent, late.total(Direction::Down)), ([0, 50], 50));
    }
}
