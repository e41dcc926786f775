//! Counts what one connection costs, for the transport it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::counters::{Counter, Counters, TransportSlot};
use crate::hub::Batch;

pub(crate) struct ConnectionStats {
    counters: Arc<Counters>,
    /// Open connections of the server.
    open: Arc<AtomicUsize>,
    slot: AtomicU8,
    /// The first transport. The connection itself is counted there.
    first_slot: AtomicU8,
    requests: AtomicU32,
    /// Bytes and reads whose transport is not known yet.
    unclaimed_bytes: AtomicU64,
    unclaimed_reads: AtomicU64,
}

impl ConnectionStats {
    pub(super) fn new(counters: Arc<Counters>, open: Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Relaxed);
        counters.add(TransportSlot::OTHER, Counter::ConnectionsOpened, 1);
        Self {
            counters,
            open,
            slot: AtomicU8::new(TransportSlot::OTHER.to_u8()),
            first_slot: AtomicU8::new(TransportSlot::OTHER.to_u8()),
            requests: AtomicU32::new(0),
            unclaimed_bytes: AtomicU64::new(0),
            unclaimed_reads: AtomicU64::new(0),
        }
    }

    pub(crate) fn slot(&self) -> TransportSlot {
        TransportSlot::from_u8(self.slot.load(Relaxed))
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn count(&self, counter: Counter) {
        self.counters.add(self.slot(), counter, 1);
    }

    /// Counts a batch that is about to be written. `more_frames`: frames around the items, such as
    /// a chunk.
    pub(crate) fn count_batch(&self, slot: TransportSlot, batch: &Batch, more_frames: u64) {
        if batch.gap {
            self.counters.add(slot, Counter::Gaps, 1);
        }
        self.counters.add_batch(slot, batch.messages, batch.frames() + more_frames, batch.byte_counts);
        self.counters.apply_slowdown(batch.messages);
    }

    pub(super) fn assign(&self, slot: TransportSlot) {
        self.slot.store(slot.to_u8(), Relaxed);
        if slot != TransportSlot::OTHER && self.first_slot() == TransportSlot::OTHER {
            self.first_slot.store(slot.to_u8(), Relaxed);
            self.counters.subtract_one(TransportSlot::OTHER, Counter::ConnectionsOpened);
            self.counters.add(slot, Counter::ConnectionsOpened, 1);
        }
        self.claim();
    }

    /// Counts the bytes and reads so far for the current transport.
    pub(super) fn claim(&self) {
        let (bytes, reads) = (self.unclaimed_bytes.load(Relaxed), self.unclaimed_reads.load(Relaxed));
        self.counters.add_all(self.slot(), [(Counter::SocketReads, reads), (Counter::UpTotal, bytes)]);
        self.unclaimed_bytes.store(0, Relaxed);
        self.unclaimed_reads.store(0, Relaxed);
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    pub(super) fn count_request(&self) {
        self.requests.store(self.requests.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Counts a read. `is_known`: whether it is for the current transport.
    pub(super) fn count_read(&self, bytes: usize, is_known: bool) {
        if is_known {
            self.counters.add_all(self.slot(), [(Counter::SocketReads, 1), (Counter::UpTotal, bytes as u64)]);
        } else {
            self.unclaimed_bytes.store(self.unclaimed_bytes.load(Relaxed) + bytes as u64, Relaxed);
            self.unclaimed_reads.store(self.unclaimed_reads.load(Relaxed) + 1, Relaxed);
        }
    }

    pub(super) fn count_write(&self, bytes: usize) {
        self.counters.add_all(self.slot(), [(Counter::SocketWrites, 1), (Counter::DownTotal, bytes as u64)]);
    }

    fn first_slot(&self) -> TransportSlot {
        TransportSlot::from_u8(self.first_slot.load(Relaxed))
    }
}

impl Drop for ConnectionStats {
    fn drop(&mut self) {
        self.claim();
        self.counters.add(self.first_slot(), Counter::ConnectionsClosed, 1);
        self.open.fetch_sub(1, Relaxed);
    }
}
