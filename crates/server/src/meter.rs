//! The counters behind `/control/usage`: each on a cache line of its thread, which adds without a locked instruction.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::handicap::Handicap;
use wire::{ByteCounts, BytesUsage, Transport, TransportUsage};

/// What is counted, per [`Label`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
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

const COUNTS: usize = Count::EmitErrors as usize + 1;
const LABELS: usize = Transport::ALL.len() + 1;
/// One for each of the first threads, and the last for all others.
const SHARDS: usize = 16;
const SHARED: usize = SHARDS - 1;

/// Whose cost something is: a transport's, or nobody's yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(u8);

impl Label {
    pub(crate) const OTHER: Self = Self(Transport::ALL.len() as u8);

    pub(crate) const fn of(transport: Transport) -> Self {
        Self(transport.index() as u8)
    }

    pub(crate) const fn to_u8(self) -> u8 {
        self.0
    }

    /// The label a [`Label::to_u8`] came from.
    pub(crate) const fn from_u8(raw: u8) -> Self {
        Self(raw)
    }
}

#[repr(align(128))]
struct Shard([[AtomicU64; COUNTS]; LABELS]);

pub(crate) struct Meter {
    shards: Box<[Shard]>,
    /// What every delivered message is to cost on top.
    pub(crate) handicap: Option<Handicap>,
}

impl Meter {
    pub(crate) fn new(handicap: Option<Handicap>) -> Self {
        let shard = |_| Shard(std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))));
        Self { shards: (0..SHARDS).map(shard).collect(), handicap }
    }

    pub(crate) const fn is_on() -> bool {
        cfg!(feature = "metering")
    }

    pub(crate) fn add(&self, label: Label, count: Count, n: u64) {
        self.add_all(label, [(count, n)]);
    }

    /// Takes back what was counted under a label before its real owner was known.
    pub(crate) fn take_back(&self, label: Label, count: Count) {
        self.add(label, count, u64::MAX);
    }

    pub(crate) fn add_all<const N: usize>(&self, label: Label, counts: [(Count, u64); N]) {
        if !Self::is_on() {
            return;
        }
        let shard = shard_of_thread();
        let mine = &self.shards[shard].0[label.0 as usize];
        for (count, n) in counts {
            let counter = &mine[count as usize];
            if shard == SHARED {
                counter.fetch_add(n, Relaxed);
            } else {
                // Nobody else writes here.
                counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
            }
        }
    }

    /// Counts a write, response or chunk that carries `messages` messages.
    pub(crate) fn add_batch(&self, label: Label, messages: u64, frames: u64, split: ByteCounts) {
        self.add_all(
            label,
            [
                (Count::Batches, u64::from(messages > 0)),
                (Count::Messages, messages),
                (Count::Frames, frames),
                (Count::DownPayload, split.payload),
                (Count::DownEnvelope, split.envelope),
                (Count::DownFraming, split.framing),
            ],
        );
    }

    /// Counts a post that came up.
    pub(crate) fn add_post(&self, label: Label, split: ByteCounts) {
        self.add_all(
            label,
            [
                (Count::Posts, 1),
                (Count::UpPayload, split.payload),
                (Count::UpEnvelope, split.envelope),
                (Count::UpFraming, split.framing),
            ],
        );
    }

    pub(crate) fn usage(&self, label: Label) -> TransportUsage {
        let sum = |count: Count| {
            self.shards
                .iter()
                .fold(0_u64, |sum, shard| sum.wrapping_add(shard.0[label.0 as usize][count as usize].load(Relaxed)))
        };
        let bytes = |total, payload, envelope, framing| {
            let (total, payload, envelope, framing) = (sum(total), sum(payload), sum(envelope), sum(framing));
            let headers = total.saturating_sub(payload + envelope + framing);
            BytesUsage { total, payload, envelope, framing, headers }
        };
        TransportUsage {
            connections_opened: sum(Count::ConnectionsOpened),
            connections_open: sum(Count::ConnectionsOpened).saturating_sub(sum(Count::ConnectionsClosed)),
            requests: sum(Count::Requests),
            empty_answers: sum(Count::EmptyAnswers),
            posts: sum(Count::Posts),
            messages: sum(Count::Messages),
            batches: sum(Count::Batches),
            frames: sum(Count::Frames),
            socket_reads: sum(Count::SocketReads),
            socket_writes: sum(Count::SocketWrites),
            gaps: sum(Count::Gaps),
            up: bytes(Count::UpTotal, Count::UpPayload, Count::UpEnvelope, Count::UpFraming),
            down: bytes(Count::DownTotal, Count::DownPayload, Count::DownEnvelope, Count::DownFraming),
            refused: sum(Count::Refused),
            malformed: sum(Count::Malformed),
            timed_out: sum(Count::TimedOut),
            stalled: sum(Count::Stalled),
            emit_errors: sum(Count::EmitErrors),
        }
    }
}

fn shard_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: usize = NEXT.fetch_add(1, Relaxed).min(SHARED));
    MINE.with(|mine| *mine)
}

#[cfg(test)]
#[cfg(feature = "metering")]
mod tests {
    use super::*;

    #[test]
    fn threads_add_up_and_headers_are_the_rest() {
        let meter = Meter::new(None);
        let label = Label::of(Transport::Sse);
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    meter.add_batch(label, 2, 2, ByteCounts { payload: 5, envelope: 3, framing: 1 });
                    meter.add(label, Count::DownTotal, 20);
                });
            }
        });
        let usage = meter.usage(label);
        assert_eq!((usage.messages, usage.batches, usage.down.total, usage.down.headers), (80, 40, 800, 440));
        assert_eq!(meter.usage(Label::OTHER), TransportUsage::default());
    }

    #[test]
    fn what_was_taken_back_is_gone() {
        let meter = Meter::new(None);
        meter.add(Label::OTHER, Count::ConnectionsOpened, 1);
        meter.take_back(Label::OTHER, Count::ConnectionsOpened);
        assert_eq!(meter.usage(Label::OTHER).connections_opened, 0);
    }
}
