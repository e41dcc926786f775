//! What is known of a connection: whose it is, whether it is waited for, what went through it. Its socket and those who handle its
//! requests share it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::CountedStream;
use crate::counters::{Counter, Counters, TransportSlot};
use crate::flow::Backpressure;
use crate::hub::Batch;

/// Whether a connection is waited for, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Between requests.
    Idle,
    /// A request or join has begun and is not complete.
    InRequest,
    /// We are the ones who keep it: a stream, a held poll, a joined socket.
    Busy,
}

/// What becomes of a socket that a handler takes back from HTTP.
pub(crate) type TakeoverFn = Box<dyn FnOnce(CountedStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What is known of a connection, shared by its socket and by those who handle its requests.
pub(crate) struct Connection {
    counters: Arc<Counters>,
    open: Arc<AtomicUsize>,
    slot: AtomicU8,
    first_slot: AtomicU8,
    phase: AtomicU8,
    has_stalled: AtomicBool,
    has_unread_body: AtomicBool,
    requests: AtomicU32,
    /// How long the next write is to be kept back, in a server with a slowdown.
    pause_us: AtomicU32,
    unclaimed_bytes: AtomicU64,
    unclaimed_reads: AtomicU64,
    takeover: Mutex<Option<TakeoverFn>>,
    /// Who is told of every write, if anybody is.
    backpressure: OnceLock<Arc<Backpressure>>,
}

impl Connection {
    /// Counts a connection for as long as the connection lives.
    pub(crate) fn new(counters: Arc<Counters>, open: Arc<AtomicUsize>) -> Arc<Self> {
        open.fetch_add(1, Relaxed);
        counters.add(TransportSlot::OTHER, Counter::ConnectionsOpened, 1);
        Arc::new(Self {
            counters,
            open,
            slot: AtomicU8::new(TransportSlot::OTHER.to_u8()),
            first_slot: AtomicU8::new(TransportSlot::OTHER.to_u8()),
            phase: AtomicU8::new(Phase::InRequest as u8),
            has_stalled: AtomicBool::new(false),
            has_unread_body: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            pause_us: AtomicU32::new(0),
            unclaimed_bytes: AtomicU64::new(0),
            unclaimed_reads: AtomicU64::new(0),
            takeover: Mutex::new(None),
            backpressure: OnceLock::new(),
        })
    }

    /// The head of a request is complete; whose it is, its handler says.
    pub(crate) fn set_idle(&self) {
        self.phase.store(Phase::Idle as u8, Relaxed);
    }

    /// A request is complete: what was read for it, and what follows, belongs to `slot`.
    pub(crate) fn begin_request(&self, slot: TransportSlot) {
        self.requests.store(self.requests.load(Relaxed).wrapping_add(1), Relaxed);
        self.assign(slot);
        self.count(Counter::Requests);
    }

    /// Whose connection this is from now on; the first owner is the one it is counted for.
    pub(crate) fn assign(&self, slot: TransportSlot) {
        self.phase.store(Phase::Idle as u8, Relaxed);
        self.slot.store(slot.to_u8(), Relaxed);
        if slot != TransportSlot::OTHER && self.first_slot() == TransportSlot::OTHER {
            self.first_slot.store(slot.to_u8(), Relaxed);
            self.counters.take_back(TransportSlot::OTHER, Counter::ConnectionsOpened);
            self.counters.add(slot, Counter::ConnectionsOpened, 1);
        }
        self.count_unclaimed();
    }

    /// The client owes us more before it is served (a join behind the connect).
    pub(crate) fn expect_request(&self) {
        self.phase.store(Phase::InRequest as u8, Relaxed);
    }

    /// The connection is ours to keep until it ends.
    pub(crate) fn set_busy(&self) {
        self.phase.store(Phase::Busy as u8, Relaxed);
    }

    /// The connection is ours to keep until the guard is dropped.
    pub(crate) fn busy_guard(self: &Arc<Self>) -> BusyGuard {
        self.set_busy();
        BusyGuard(Arc::clone(self))
    }

    /// A handler wants the socket: whoever drives the connection gives it up, with the request unanswered.
    pub(crate) fn request_takeover(&self, handover: TakeoverFn) {
        *self.takeover.lock().unwrap_or_else(PoisonError::into_inner) = Some(handover);
    }

    /// Tells a backpressure what leaves through this connection, from now on; the first one to ask stays.
    pub(crate) fn drain_into(&self, backpressure: &Arc<Backpressure>) {
        self.backpressure.get_or_init(|| Arc::clone(backpressure));
    }

    /// What the socket is wanted for, if it is.
    pub(crate) fn take_takeover(&self) -> Option<TakeoverFn> {
        self.takeover.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The body of the last request was not read to its end.
    pub(crate) fn set_unread_body(&self) {
        self.has_unread_body.store(true, Relaxed);
    }

    pub(crate) fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Relaxed)
    }

    pub(crate) fn slot(&self) -> TransportSlot {
        TransportSlot::from_u8(self.slot.load(Relaxed))
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn count(&self, count: Counter) {
        self.counters.add(self.slot(), count, 1);
    }

    /// Counts a batch that is about to be written, with what stands around its items.
    pub(crate) fn count_batch(&self, slot: TransportSlot, batch: &Batch, more_frames: u64) {
        if batch.gap {
            self.counters.add(slot, Counter::Gaps, 1);
        }
        self.counters.add_batch(slot, batch.messages, batch.frames() + more_frames, batch.split);
        if let Some(slowdown) = &self.counters.slowdown {
            slowdown.apply(batch.messages);
            let pause = slowdown.delay.as_micros() * u128::from(batch.messages);
            self.pause_us.store(u32::try_from(pause).unwrap_or(u32::MAX), Relaxed);
        }
    }

    fn first_slot(&self) -> TransportSlot {
        TransportSlot::from_u8(self.first_slot.load(Relaxed))
    }

    /// Whether the connection is ours to keep just now.
    pub(crate) fn is_busy(&self) -> bool {
        self.is(Phase::Busy)
    }

    /// Whether a request or join has begun and is not complete.
    pub(super) fn is_in_request(&self) -> bool {
        self.is(Phase::InRequest)
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    /// How long the next write is to be kept back, if it is.
    pub(super) fn pause(&self) -> Option<Duration> {
        let pause_us = self.pause_us.load(Relaxed);
        (pause_us > 0).then(|| Duration::from_micros(pause_us.into()))
    }

    pub(super) fn end_pause(&self) {
        self.pause_us.store(0, Relaxed);
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) == phase as u8
    }

    pub(super) fn on_read(&self, bytes: usize) {
        if bytes > 0 && self.is(Phase::Idle) {
            self.phase.store(Phase::InRequest as u8, Relaxed);
        }
        if self.is(Phase::Busy) {
            self.counters.add_all(self.slot(), [(Counter::SocketReads, 1), (Counter::UpTotal, bytes as u64)]);
        } else {
            self.unclaimed_bytes.store(self.unclaimed_bytes.load(Relaxed) + bytes as u64, Relaxed);
            self.unclaimed_reads.store(self.unclaimed_reads.load(Relaxed) + 1, Relaxed);
        }
    }

    pub(super) fn on_write(&self, bytes: usize) {
        self.counters.add_all(self.slot(), [(Counter::SocketWrites, 1), (Counter::DownTotal, bytes as u64)]);
        if let Some(backpressure) = self.backpressure.get() {
            backpressure.written(bytes);
        }
    }

    /// The kernel, too, gives up on a client that leaves what it was sent unread, and may be the first to do so.
    pub(super) fn on_error(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            self.on_stall();
        }
    }

    /// Counted once, whether it is met in reading, in writing or in both.
    pub(super) fn on_stall(&self) {
        if !self.has_stalled.swap(true, Relaxed) {
            self.count(Counter::Stalled);
        }
    }

    pub(super) fn count_unclaimed(&self) {
        let (bytes, reads) = (self.unclaimed_bytes.load(Relaxed), self.unclaimed_reads.load(Relaxed));
        self.counters.add_all(self.slot(), [(Counter::SocketReads, reads), (Counter::UpTotal, bytes)]);
        self.unclaimed_bytes.store(0, Relaxed);
        self.unclaimed_reads.store(0, Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.count_unclaimed();
        self.counters.add(self.first_slot(), Counter::ConnectionsClosed, 1);
        self.open.fetch_sub(1, Relaxed);
    }
}

/// Keeps a connection from being taken for an idle one.
pub(crate) struct BusyGuard(Arc<Connection>);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.phase.store(Phase::Idle as u8, Relaxed);
    }
}
