//! The counters behind `/stats`. Each thread adds to its own cache lines, without a locked
//! instruction.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::slowdown::Slowdown;
use wire::{ByteCounts, BytesUsage, Transport, TransportUsage};

/// What is counted, for each [`TransportSlot`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counter {
    ConnectionsOpened,
    ConnectionsClosed,
    Requests,
    EmptyAnswers,
    Posts,
    Messages,
    Batches,
    Frames,
    SocketReads,
    SocketWrites,
    Gaps,
    UpTotal,
    UpPayload,
    UpEnvelope,
    UpFraming,
    DownTotal,
    DownPayload,
    DownEnvelope,
    DownFraming,
    Refused,
    Malformed,
    TimedOut,
    Stalled,
    EmitErrors,
}

const COUNTERS: usize = Counter::EmitErrors as usize + 1;
const SLOTS: usize = Transport::ALL.len() + 1;
/// One shard for each of the first threads. All further threads share the last one.
const SHARDS: usize = 16;
const SHARED: usize = SHARDS - 1;

/// The transport something is counted for, or [`TransportSlot::OTHER`] while that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransportSlot(u8);

impl TransportSlot {
    pub(crate) const OTHER: Self = Self(Transport::ALL.len() as u8);

    pub(crate) const fn of(transport: Transport) -> Self {
        Self(transport.index() as u8)
    }

    pub(crate) const fn to_u8(self) -> u8 {
        self.0
    }

    /// The inverse of [`TransportSlot::to_u8`].
    pub(crate) const fn from_u8(raw: u8) -> Self {
        Self(raw)
    }
}

#[repr(align(128))]
struct Shard([[AtomicU64; COUNTERS]; SLOTS]);

pub(crate) struct Counters {
    shards: Box<[Shard]>,
    /// Additional cost of each delivered message.
    slowdown: Option<Slowdown>,
}

impl Counters {
    pub(crate) fn new(slowdown: Option<Slowdown>) -> Self {
        if let Some(slowdown) = &slowdown {
            slowdown.prepare();
        }
        let shard = |_| Shard(std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))));
        Self { shards: (0..SHARDS).map(shard).collect(), slowdown }
    }

    pub(crate) const fn is_on() -> bool {
        cfg!(feature = "metering")
    }

    pub(crate) fn add(&self, slot: TransportSlot, count: Counter, n: u64) {
        self.add_all(slot, [(count, n)]);
    }

    /// Corrects a count that belongs to another slot.
    pub(crate) fn subtract_one(&self, slot: TransportSlot, count: Counter) {
        self.add(slot, count, u64::MAX);
    }

    pub(crate) fn add_all<const N: usize>(&self, slot: TransportSlot, counts: [(Counter, u64); N]) {
        if !Self::is_on() {
            return;
        }
        let shard = shard_of_thread();
        let own = &self.shards[shard].0[slot.0 as usize];
        for (count, n) in counts {
            let counter = &own[count as usize];
            if shard == SHARED {
                counter.fetch_add(n, Relaxed);
            } else {
                // No other thread writes here.
                counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
            }
        }
    }

    /// Counts a write, response or chunk that carries `messages` messages.
    pub(crate) fn add_batch(&self, slot: TransportSlot, messages: u64, frames: u64, byte_counts: ByteCounts) {
        self.add_all(
            slot,
            [
                (Counter::Batches, u64::from(messages > 0)),
                (Counter::Messages, messages),
                (Counter::Frames, frames),
                (Counter::DownPayload, byte_counts.payload),
                (Counter::DownEnvelope, byte_counts.envelope),
                (Counter::DownFraming, byte_counts.framing),
            ],
        );
    }

    /// Counts a post.
    pub(crate) fn add_post(&self, slot: TransportSlot, byte_counts: ByteCounts) {
        self.add_all(
            slot,
            [
                (Counter::Posts, 1),
                (Counter::UpPayload, byte_counts.payload),
                (Counter::UpEnvelope, byte_counts.envelope),
                (Counter::UpFraming, byte_counts.framing),
            ],
        );
    }

    /// Makes `messages` messages more expensive in a server with a slowdown.
    pub(crate) fn apply_slowdown(&self, messages: u64) {
        if let Some(slowdown) = &self.slowdown {
            slowdown.apply(messages);
        }
    }

    /// The sums over all threads.
    pub(crate) fn totals(&self, slot: TransportSlot) -> TransportUsage {
        let sum = |count: Counter| {
            self.shards
                .iter()
                .fold(0_u64, |sum, shard| sum.wrapping_add(shard.0[slot.0 as usize][count as usize].load(Relaxed)))
        };
        let bytes = |total, payload, envelope, framing| {
            let (total, payload, envelope, framing) = (sum(total), sum(payload), sum(envelope), sum(framing));
            let headers = total.saturating_sub(payload + envelope + framing);
            BytesUsage { total, payload, envelope, framing, headers }
        };
        TransportUsage {
            connections_opened: sum(Counter::ConnectionsOpened),
            connections_open: sum(Counter::ConnectionsOpened).saturating_sub(sum(Counter::ConnectionsClosed)),
            requests: sum(Counter::Requests),
            empty_answers: sum(Counter::EmptyAnswers),
            posts: sum(Counter::Posts),
            messages: sum(Counter::Messages),
            batches: sum(Counter::Batches),
            frames: sum(Counter::Frames),
            socket_reads: sum(Counter::SocketReads),
            socket_writes: sum(Counter::SocketWrites),
            gaps: sum(Counter::Gaps),
            up: bytes(Counter::UpTotal, Counter::UpPayload, Counter::UpEnvelope, Counter::UpFraming),
            down: bytes(Counter::DownTotal, Counter::DownPayload, Counter::DownEnvelope, Counter::DownFraming),
            refused: sum(Counter::Refused),
            malformed: sum(Counter::Malformed),
            timed_out: sum(Counter::TimedOut),
            stalled: sum(Counter::Stalled),
            emit_errors: sum(Counter::EmitErrors),
        }
    }
}

fn shard_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static SHARD: usize = NEXT.fetch_add(1, Relaxed).min(SHARED));
    SHARD.with(|shard| *shard)
}

#[cfg(test)]
#[cfg(feature = "metering")]
mod tests {
    use super::*;

    #[test]
    fn threads_add_up_and_headers_are_the_rest() {
        let counters = Counters::new(None);
        let slot = TransportSlot::of(Transport::Sse);
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    counters.add_batch(slot, 2, 2, ByteCounts { payload: 5, envelope: 3, framing: 1 });
                    counters.add(slot, Counter::DownTotal, 20);
                });
            }
        });
        let usage = counters.totals(slot);
        assert_eq!((usage.messages, usage.batches, usage.down.total, usage.down.headers), (80, 40, 800, 440));
        assert_eq!(counters.totals(TransportSlot::OTHER), TransportUsage::default());
    }

    #[test]
    fn a_corrected_count_is_zero() {
        let counters = Counters::new(None);
        counters.add(TransportSlot::OTHER, Counter::ConnectionsOpened, 1);
        counters.subtract_one(TransportSlot::OTHER, Counter::ConnectionsOpened);
        assert_eq!(counters.totals(TransportSlot::OTHER).connections_opened, 0);
    }
}
