//! A room's log: bounded, with consecutive sequence numbers from 1. Each message is encoded once
//! per framing. Pure: no lock, no clock, no task.

use std::collections::VecDeque;

use bytes::Bytes;
use wire::{BatchFormat, ByteCounts, Framing, Gap, Message, Post, ServerItem, Wrapping};

use super::HubLimits;

/// Maximum bytes of messages in one batch, unless a single message is larger. A reader gets the
/// rest with its next call.
const BATCH_BYTES_MAX: usize = 256 << 10;
/// Batches cached per format, for readers with the same cursor.
const CACHED_BATCHES_MAX: usize = 8;
/// Bytes of a log entry besides its text and its encoded forms.
const LOG_ENTRY_BYTES: usize = size_of::<LogEntry>();

/// A range of the log in one format. All readers with the same cursor share it.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// The bytes for the transport's stream.
    pub(crate) bytes: Bytes,
    /// Cursor after this batch.
    pub(crate) to: u64,
    /// Number of messages.
    pub(crate) messages: u64,
    /// Whether it begins with a gap: messages that the log no longer has.
    pub(crate) gap: bool,
    /// Its bytes by purpose.
    pub(crate) byte_counts: ByteCounts,
    /// Cursor before this batch.
    after: u64,
}

impl Batch {
    fn wrapped(&self, format: BatchFormat) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 32);
        let added = format.wrap(&self.bytes, &mut bytes);
        self.reframed(bytes, self.byte_counts.framing + added as u64)
    }

    /// The same items in other frames.
    pub(crate) fn reframed(&self, bytes: Vec<u8>, framing: u64) -> Self {
        Self { bytes: bytes.into(), byte_counts: ByteCounts { framing, ..self.byte_counts }, ..self.clone() }
    }

    /// Number of items. Each has its own frame.
    pub(crate) const fn frames(&self) -> u64 {
        self.messages + self.gap as u64
    }
}

struct LogEntry {
    author: u32,
    ordinal: u64,
    text: Box<str>,
    encoded: Vec<Encoded>,
}

/// A message in one framing.
struct Encoded {
    framing: Framing,
    bytes: Bytes,
    byte_counts: ByteCounts,
}

pub(super) struct Log {
    entries: VecDeque<LogEntry>,
    head: u64,
    bytes: usize,
    limits: HubLimits,
    cached_batches: [VecDeque<Batch>; BatchFormat::COUNT],
    /// Bytes that only the cached batches use: at most as many as the log itself may use.
    cached_bytes: usize,
}

impl Log {
    pub(super) fn new(limits: HubLimits) -> Self {
        Self {
            entries: VecDeque::new(),
            head: 0,
            bytes: 0,
            limits,
            cached_batches: Default::default(),
            cached_bytes: 0,
        }
    }

    /// An empty log whose next message follows on `head`.
    pub(super) fn after(head: u64, limits: HubLimits) -> Self {
        Self { head, ..Self::new(limits) }
    }

    /// Sequence number of the newest message, or 0 before the first one.
    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes + self.cached_bytes
    }

    /// Appends a message and removes the oldest ones over the limits. The newest one always stays.
    pub(super) fn push(&mut self, post: &Post<'_>) -> u64 {
        self.cached_batches.iter_mut().for_each(VecDeque::clear);
        self.cached_bytes = 0;
        self.head += 1;
        self.bytes += LOG_ENTRY_BYTES + post.text.len();
        self.entries.push_back(LogEntry {
            author: post.author,
            ordinal: post.ordinal,
            text: post.text.as_ref().into(),
            encoded: Vec::new(),
        });
        let over = |log: &Self| log.entries.len() > log.limits.log_messages_max || log.bytes > log.limits.log_bytes_max;
        while self.entries.len() > 1 && over(self) {
            if let Some(oldest) = self.entries.pop_front() {
                let encoded: usize = oldest.encoded.iter().map(|encoded| encoded.bytes.len()).sum();
                self.bytes -= LOG_ENTRY_BYTES + oldest.text.len() + encoded;
            }
        }
        self.head
    }

    /// The next batch for a reader whose cursor is `after`, or `None` when it has every message.
    pub(super) fn batch(&mut self, format: BatchFormat, after: u64) -> Option<Batch> {
        if after >= self.head {
            return None;
        }
        let cached = &mut self.cached_batches[format.index()];
        if let Some(batch) = cached.iter().find(|batch| batch.after == after) {
            return Some(batch.clone());
        }
        let plain = self.encode_batch(format.framing, after);
        let batch = if format.wrapping == Wrapping::None { plain } else { plain.wrapped(format) };
        let cached = &mut self.cached_batches[format.index()];
        if cached.len() == CACHED_BATCHES_MAX {
            self.cached_bytes -= cached.pop_front().map_or(0, |oldest| unshared_bytes(format, &oldest));
        }
        let unshared = unshared_bytes(format, &batch);
        if self.cached_bytes + unshared <= self.limits.log_bytes_max {
            self.cached_bytes += unshared;
            cached.push_back(batch.clone());
        }
        Some(batch)
    }

    fn encode_batch(&mut self, framing: Framing, after: u64) -> Batch {
        let oldest = self.head - self.entries.len() as u64 + 1;
        let from = oldest.max(after + 1);
        let gap = (from > after + 1).then(|| Gap { from: after + 1, to: from - 1 });
        if gap.is_none() && from == self.head {
            let (bytes, byte_counts) = self.encoded(framing, from);
            return Batch { bytes, to: from, messages: 1, gap: false, byte_counts, after };
        }
        let (mut bytes, mut byte_counts) = (Vec::new(), ByteCounts::default());
        if let Some(gap) = gap {
            byte_counts += framing.encode(&ServerItem::Gap(gap), &mut bytes);
        }
        let mut to = from - 1;
        while to < self.head {
            let (message, counts) = self.encoded(framing, to + 1);
            if to >= from && bytes.len() + message.len() > BATCH_BYTES_MAX {
                break;
            }
            bytes.extend_from_slice(&message);
            byte_counts += counts;
            to += 1;
        }
        Batch { bytes: bytes.into(), to, messages: to + 1 - from, gap: gap.is_some(), byte_counts, after }
    }

    /// A message in a framing. It is encoded on the first call.
    fn encoded(&mut self, framing: Framing, seq: u64) -> (Bytes, ByteCounts) {
        let oldest = self.head - self.entries.len() as u64 + 1;
        let entry = &mut self.entries[(seq - oldest) as usize];
        if let Some(encoded) = entry.encoded.iter().find(|encoded| encoded.framing == framing) {
            return (encoded.bytes.clone(), encoded.byte_counts);
        }
        let mut out = Vec::with_capacity(entry.text.len() + 96);
        let message = Message { seq, author: entry.author, ordinal: entry.ordinal, text: entry.text.as_ref().into() };
        let byte_counts = framing.encode(&ServerItem::Message(message), &mut out);
        let bytes = Bytes::from(out);
        self.bytes += bytes.len();
        entry.encoded.push(Encoded { framing, bytes: bytes.clone(), byte_counts });
        (bytes, byte_counts)
    }
}

/// Bytes that a cached batch does not share with the log. A batch of a single message shares all of
/// them.
fn unshared_bytes(format: BatchFormat, batch: &Batch) -> usize {
    if format.wrapping != Wrapping::None || batch.frames() > 1 { batch.bytes.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::decode_json;

    fn log(messages: usize, bytes: usize) -> Log {
        Log::new(HubLimits { rooms_max: 1, log_messages_max: messages, log_bytes_max: bytes })
    }

    fn chunked() -> BatchFormat {
        BatchFormat { framing: Framing::JsonLines, wrapping: Wrapping::Chunk }
    }

    fn push(log: &mut Log, ordinal: u64, text: &str) -> u64 {
        log.push(&Post { author: 1, ordinal, text: text.into() })
    }

    fn seqs(batch: &Batch) -> Vec<u64> {
        let lines = batch.bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        lines
            .filter_map(|line| match decode_json(line).unwrap() {
                ServerItem::Message(message) => Some(message.seq),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn readers_with_the_same_cursor_share_the_same_bytes() {
        let mut log = log(10, 1 << 20);
        for ordinal in 1..=3 {
            push(&mut log, ordinal, "x");
        }
        let (first, second) =
            (log.batch(Framing::JsonLines.into(), 1).unwrap(), log.batch(Framing::JsonLines.into(), 1).unwrap());
        assert_eq!(first.bytes.as_ptr(), second.bytes.as_ptr());
        assert_eq!((seqs(&first), first.to, first.messages), (vec![2, 3], 3, 2));
        assert_eq!(first.byte_counts.total(), first.bytes.len() as u64);
        assert!(log.batch(Framing::JsonLines.into(), 3).is_none());
    }

    #[test]
    fn a_chunk_is_the_batch_with_its_size_around_it() {
        let mut log = log(10, 1 << 20);
        for ordinal in 1..=2 {
            push(&mut log, ordinal, "x");
        }
        let (plain, chunk) = (log.batch(Framing::JsonLines.into(), 0).unwrap(), log.batch(chunked(), 0).unwrap());
        let text = format!("{:x}\r\n{}\r\n", plain.bytes.len(), std::str::from_utf8(&plain.bytes).unwrap());
        assert_eq!(chunk.bytes, text);
        assert_eq!((chunk.byte_counts.total(), chunk.to), (chunk.bytes.len() as u64, plain.to));
        assert_eq!(chunk.bytes.as_ptr(), log.batch(chunked(), 0).unwrap().bytes.as_ptr());
    }

    #[test]
    fn a_reader_behind_the_oldest_message_gets_a_gap() {
        let mut log = log(3, 1 << 20);
        for ordinal in 1..=10 {
            push(&mut log, ordinal, "x");
        }
        let batch = log.batch(Framing::JsonLines.into(), 2).unwrap();
        assert!(batch.bytes.starts_with(b"{\"gap\":{\"from\":3,\"to\":7}}\n"), "{:?}", batch.bytes);
        assert_eq!((seqs(&batch), batch.gap, batch.frames()), (vec![8, 9, 10], true, 4));
    }

    #[test]
    fn the_newest_message_stays_in_the_smallest_log() {
        let mut log = log(10, 1);
        push(&mut log, 1, "x");
        assert_eq!(push(&mut log, 2, "y"), 2);
        assert_eq!((log.len(), log.batch(Framing::JsonLines.into(), 1).unwrap().messages), (1, 1));
    }

    #[test]
    fn a_long_backlog_is_split_into_bounded_batches() {
        let mut log = log(1000, 1 << 30);
        let text = "x".repeat(100_000);
        for ordinal in 1..=5 {
            push(&mut log, ordinal, &text);
        }
        let first = log.batch(Framing::JsonLines.into(), 0).unwrap();
        assert!(first.bytes.len() <= BATCH_BYTES_MAX);
        assert_eq!(seqs(&first), [1, 2]);
        assert_eq!(seqs(&log.batch(Framing::JsonLines.into(), 2).unwrap()), [3, 4]);
    }

    #[test]
    fn cached_batches_count_and_use_no_more_than_the_log_may() {
        let mut log = log(1000, 20_000);
        for ordinal in 1..=100 {
            push(&mut log, ordinal, "x");
        }
        for framing in [Framing::JsonLines, Framing::ServerSentEvents, Framing::WsText] {
            for after in 0..99 {
                log.batch(framing.into(), after).unwrap();
            }
            let kept = log.cached_batches.iter().flatten().map(|batch| batch.bytes.len()).sum::<usize>();
            assert_eq!(log.bytes() - log.bytes, kept);
            assert!((1..=20_000).contains(&kept), "{kept}");
        }
        push(&mut log, 101, "x");
        assert_eq!(log.bytes(), log.bytes);
    }

    proptest! {
        /// For all posts and cursors, a reader gets every kept message once, in order, and a gap
        /// for the rest.
        #[test]
        fn nothing_is_lost_or_repeated(
            limit in 1_usize..20,
            steps in proptest::collection::vec((0_u64..4, 0_usize..3), 1..60),
        ) {
            let mut log = log(limit, 1 << 20);
            let mut cursors = [0_u64; 3];
            for (posts, reader) in steps {
                for _ in 0..posts {
                    push(&mut log, 1, "text");
                }
                if let Some(batch) = log.batch(Framing::JsonLines.into(), cursors[reader]) {
                    let seqs = seqs(&batch);
                    let oldest = log.head() + 1 - log.len() as u64;
                    let from = oldest.max(cursors[reader] + 1);
                    prop_assert_eq!(batch.gap, from > cursors[reader] + 1);
                    prop_assert_eq!(seqs, (from..=log.head()).collect::<Vec<_>>());
                    cursors[reader] = batch.to;
                }
                prop_assert_eq!(cursors[reader], log.head());
                prop_assert!(log.len() <= limit);
            }
        }
    }
}
