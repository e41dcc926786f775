//! A room's log: bounded, contiguous from 1, each message written once per framing. Pure: no lock, no clock, no task.

use std::collections::VecDeque;
use std::io::Write;

use bytes::Bytes;
use wire::{ByteCounts, Framing, Gap, Message, Post, ServerItem};

use super::HubLimits;
use crate::slowdown::Slowdown;

/// Most bytes of messages handed to a reader at once; what is behind them comes with the next call. At least one message is always handed out.
const BATCH_BYTES_MAX: usize = 256 << 10;
/// Batches remembered per framing, for readers at the same place.
const CACHED_BATCHES_MAX: usize = 8;
/// What a kept message takes besides its text and its written forms.
const LOG_ENTRY_BYTES: usize = size_of::<LogEntry>();

/// How a reader wants its batches written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchFormat {
    /// How each item stands in them.
    pub(crate) framing: Framing,
    /// Whether each is wrapped as a chunk of an HTTP response.
    pub(crate) chunked: bool,
}

impl From<Framing> for BatchFormat {
    fn from(framing: Framing) -> Self {
        Self { framing: framing, chunked: false }
    }
}

impl BatchFormat {
    const COUNT: usize = Framing::COUNT * 2;

    const fn index(self) -> usize {
        self.framing as usize * 2 + self.chunked as usize
    }
}

/// A stretch of the log, written in one framing and shared by every reader that stood at the same place.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// As it goes into the transport's stream.
    pub(crate) bytes: Bytes,
    /// Cursor of a reader that has it.
    pub(crate) to: u64,
    /// Messages in it.
    pub(crate) messages: u64,
    /// Whether it begins with the news that messages were lost to the reader.
    pub(crate) gap: bool,
    /// What its bytes are for.
    pub(crate) split: ByteCounts,
    after: u64,
}

impl Batch {
    /// The same as a chunk: its size, itself, a line end.
    fn into_chunk(self) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 16);
        push_chunk(&self.bytes, &mut bytes);
        let framing = self.split.framing + (bytes.len() - self.bytes.len()) as u64;
        self.reframed(bytes, framing)
    }

    /// The same items in other frames.
    pub(crate) fn reframed(&self, bytes: Vec<u8>, framing: u64) -> Self {
        Self { bytes: bytes.into(), split: ByteCounts { framing, ..self.split }, ..self.clone() }
    }

    /// Items in it, each framed by itself.
    pub(crate) const fn frames(&self) -> u64 {
        self.messages + self.gap as u64
    }
}

/// Appends a chunk of an HTTP response.
pub(crate) fn push_chunk(content: &[u8], out: &mut Vec<u8>) {
    write!(out, "{:x}\r\n", content.len()).expect("memory does not refuse a write");
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}

struct LogEntry {
    author: u32,
    ordinal: u64,
    text: Box<str>,
    encoded: Vec<Encoded>,
}

struct Encoded {
    framing: Framing,
    bytes: Bytes,
    split: ByteCounts,
}

pub(super) struct Log {
    entries: VecDeque<LogEntry>,
    head: u64,
    bytes: usize,
    limits: HubLimits,
    cached_batches: [VecDeque<Batch>; BatchFormat::COUNT],
    /// Bytes that only the remembered batches keep. They may be as many as the log's own.
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

    /// Seq of the newest message, 0 when there was none yet.
    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes + self.cached_bytes
    }

    /// Adds a message and lets the oldest go that no longer fit; the newest always stays.
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
                let written: usize = oldest.encoded.iter().map(|written| written.bytes.len()).sum();
                self.bytes -= LOG_ENTRY_BYTES + oldest.text.len() + written;
            }
        }
        self.head
    }

    /// What a reader whose cursor is `after` gets next; `None` when it has everything.
    pub(super) fn batch(&mut self, format: BatchFormat, after: u64) -> Option<Batch> {
        if after >= self.head {
            return None;
        }
        let kept = &mut self.cached_batches[format.index()];
        if let Some(batch) = kept.iter().find(|batch| batch.after == after) {
            return Some(batch.clone());
        }
        let plain = self.write_batch(format.framing, after);
        let batch = if format.chunked { plain.into_chunk() } else { plain };
        let kept = &mut self.cached_batches[format.index()];
        if kept.len() == CACHED_BATCHES_MAX {
            self.cached_bytes -= kept.pop_front().map_or(0, |oldest| unshared_bytes(format, &oldest));
        }
        let own = unshared_bytes(format, &batch);
        if self.cached_bytes + own <= self.limits.log_bytes_max {
            self.cached_bytes += own;
            kept.push_back(batch.clone());
        }
        Some(batch)
    }

    fn write_batch(&mut self, framing: Framing, after: u64) -> Batch {
        let oldest = self.head - self.entries.len() as u64 + 1;
        let from = oldest.max(after + 1);
        let gap = (from > after + 1).then(|| Gap { from: after + 1, to: from - 1 });
        if gap.is_none() && from == self.head {
            let (bytes, split) = self.encoded(framing, from);
            return Batch { bytes, to: from, messages: 1, gap: false, split, after };
        }
        let (mut bytes, mut split) = (Vec::new(), ByteCounts::default());
        if let Some(gap) = gap {
            split += framing.encode(&ServerItem::Gap(gap), &mut bytes);
        }
        let mut to = from - 1;
        while to < self.head {
            let (one, one_split) = self.encoded(framing, to + 1);
            if to >= from && bytes.len() + one.len() > BATCH_BYTES_MAX {
                break;
            }
            bytes.extend_from_slice(&one);
            split += one_split;
            to += 1;
        }
        Batch { bytes: bytes.into(), to, messages: to + 1 - from, gap: gap.is_some(), split, after }
    }

    /// A message in a framing, written when it is asked for the first time.
    fn encoded(&mut self, framing: Framing, seq: u64) -> (Bytes, ByteCounts) {
        let oldest = self.head - self.entries.len() as u64 + 1;
        let entry = &mut self.entries[(seq - oldest) as usize];
        if let Some(written) = entry.encoded.iter().find(|written| written.framing == framing) {
            return (written.bytes.clone(), written.split);
        }
        let mut out = Vec::with_capacity(entry.text.len() + 96);
        let message = Message { seq, author: entry.author, ordinal: entry.ordinal, text: entry.text.as_ref().into() };
        let mut split = framing.encode(&ServerItem::Message(message), &mut out);
        if self.limits.padding_bytes > 0 {
            let unpadded = out.len();
            Slowdown::pad(framing, self.limits.padding_bytes, &mut out);
            split.framing += (out.len() - unpadded) as u64;
        }
        let bytes = Bytes::from(out);
        self.bytes += bytes.len();
        entry.encoded.push(Encoded { framing: framing, bytes: bytes.clone(), split });
        (bytes, split)
    }
}

/// A single message is written once, for the log and for the batch.
fn unshared_bytes(format: BatchFormat, batch: &Batch) -> usize {
    if format.chunked || batch.frames() > 1 { batch.bytes.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::decode_json;

    fn log(messages: usize, bytes: usize) -> Log {
        Log::new(HubLimits { rooms_max: 1, log_messages_max: messages, log_bytes_max: bytes, padding_bytes: 0 })
    }

    fn chunked() -> BatchFormat {
        BatchFormat { framing: Framing::JsonLines, chunked: true }
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
    fn readers_at_the_same_place_share_the_same_bytes() {
        let mut log = log(10, 1 << 20);
        for ordinal in 1..=3 {
            push(&mut log, ordinal, "x");
        }
        let (first, second) =
            (log.batch(Framing::JsonLines.into(), 1).unwrap(), log.batch(Framing::JsonLines.into(), 1).unwrap());
        assert_eq!(first.bytes.as_ptr(), second.bytes.as_ptr());
        assert_eq!((seqs(&first), first.to, first.messages), (vec![2, 3], 3, 2));
        assert_eq!(first.split.total(), first.bytes.len() as u64);
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
        assert_eq!((chunk.split.total(), chunk.to), (chunk.bytes.len() as u64, plain.to));
        assert_eq!(chunk.bytes.as_ptr(), log.batch(chunked(), 0).unwrap().bytes.as_ptr());
    }

    #[test]
    fn a_reader_that_fell_off_the_tail_is_told() {
        let mut log = log(3, 1 << 20);
        for ordinal in 1..=10 {
            push(&mut log, ordinal, "x");
        }
        let batch = log.batch(Framing::JsonLines.into(), 2).unwrap();
        assert!(batch.bytes.starts_with(b"{\"gap\":{\"from\":3,\"to\":7}}\n"), "{:?}", batch.bytes);
        assert_eq!((seqs(&batch), batch.gap, batch.frames()), (vec![8, 9, 10], true, 4));
    }

    #[test]
    fn the_newest_message_stays_however_small_the_log() {
        let mut log = log(10, 1);
        push(&mut log, 1, "x");
        assert_eq!(push(&mut log, 2, "y"), 2);
        assert_eq!((log.len(), log.batch(Framing::JsonLines.into(), 1).unwrap().messages), (1, 1));
    }

    #[test]
    fn a_long_backlog_comes_in_bounded_pieces() {
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
    fn remembered_batches_count_and_take_no_more_than_the_log_may() {
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
        /// Whatever was posted and wherever a reader stands, it gets every kept message once, in order, and a gap for the rest.
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
