//! What is known of a connection: whose it is, whether it is waited for, what went through it. Its socket and those who handle its
//! requests share it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::Socket;
use crate::flow::Flow;
use crate::hub::Batch;
use crate::meter::{Count, Label, Meter};

/// Whether a connection is waited for, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Between requests.
    Idle,
    /// A request or join has begun and is not complete.
    Head,
    /// We are the ones who keep it: a stream, a held poll, a joined socket.
    Held,
}

/// What becomes of a socket that a handler takes back from HTTP.
pub(crate) type Handover = Box<dyn FnOnce(Socket) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What is known of a connection, shared by its socket and by those who handle its requests.
pub(crate) struct Gauge {
    meter: Arc<Meter>,
    open: Arc<AtomicUsize>,
    label: AtomicU8,
    home: AtomicU8,
    phase: AtomicU8,
    has_stalled: AtomicBool,
    has_unread_body: AtomicBool,
    requests: AtomicU32,
    /// How long the next write is to be kept back, in a server with a handicap.
    pause_us: AtomicU32,
    up_unclaimed: AtomicU64,
    reads_unclaimed: AtomicU64,
    handover: Mutex<Option<Handover>>,
    /// Who is told of every write, if anybody is.
    flow: OnceLock<Arc<Flow>>,
}

impl Gauge {
    /// Counts a connection for as long as the gauge lives.
    pub(crate) fn new(meter: Arc<Meter>, open: Arc<AtomicUsize>) -> Arc<Self> {
        open.fetch_add(1, Relaxed);
        meter.add(Label::OTHER, Count::ConnectionsOpened, 1);
        Arc::new(Self {
            meter,
            open,
            label: AtomicU8::new(Label::OTHER.to_u8()),
            home: AtomicU8::new(Label::OTHER.to_u8()),
            phase: AtomicU8::new(Phase::Head as u8),
            has_stalled: AtomicBool::new(false),
            has_unread_body: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            pause_us: AtomicU32::new(0),
            up_unclaimed: AtomicU64::new(0),
            reads_unclaimed: AtomicU64::new(0),
            handover: Mutex::new(None),
            flow: OnceLock::new(),
        })
    }

    /// The head of a request is complete; whose it is, its handler says.
    pub(crate) fn end_head(&self) {
        self.phase.store(Phase::Idle as u8, Relaxed);
    }

    /// A request is complete: what was read for it, and what follows, belongs to `label`.
    pub(crate) fn begin_request(&self, label: Label) {
        self.requests.store(self.requests.load(Relaxed).wrapping_add(1), Relaxed);
        self.attribute(label);
        self.count(Count::Requests);
    }

    /// Whose connection this is from now on; the first owner is the one it is counted for.
    pub(crate) fn attribute(&self, label: Label) {
        self.phase.store(Phase::Idle as u8, Relaxed);
        self.label.store(label.to_u8(), Relaxed);
        if label != Label::OTHER && self.home() == Label::OTHER {
            self.home.store(label.to_u8(), Relaxed);
            self.meter.take_back(Label::OTHER, Count::ConnectionsOpened);
            self.meter.add(label, Count::ConnectionsOpened, 1);
        }
        self.claim();
    }

    /// The client owes us more before it is served (a join behind the connect).
    pub(crate) fn expect_more(&self) {
        self.phase.store(Phase::Head as u8, Relaxed);
    }

    /// The connection is ours to keep until it ends.
    pub(crate) fn keep(&self) {
        self.phase.store(Phase::Held as u8, Relaxed);
    }

    /// The connection is ours to keep until the guard is dropped.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        self.keep();
        Hold(Arc::clone(self))
    }

    /// A handler wants the socket: whoever drives the connection gives it up, with the request unanswered.
    pub(crate) fn take_over(&self, handover: Handover) {
        *self.handover.lock().unwrap_or_else(PoisonError::into_inner) = Some(handover);
    }

    /// Tells a flow what leaves through this connection, from now on; the first one to ask stays.
    pub(crate) fn drain_into(&self, flow: &Arc<Flow>) {
        self.flow.get_or_init(|| Arc::clone(flow));
    }

    /// What the socket is wanted for, if it is.
    pub(crate) fn taken_over(&self) -> Option<Handover> {
        self.handover.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The body of the last request was not read to its end.
    pub(crate) fn leave_body_unread(&self) {
        self.has_unread_body.store(true, Relaxed);
    }

    pub(crate) fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Relaxed)
    }

    pub(crate) fn label(&self) -> Label {
        Label::from_u8(self.label.load(Relaxed))
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(crate) fn count(&self, count: Count) {
        self.meter.add(self.label(), count, 1);
    }

    /// Counts a batch that is about to be written, with what stands around its items.
    pub(crate) fn deliver(&self, label: Label, batch: &Batch, more_frames: u64) {
        if batch.gap {
            self.meter.add(label, Count::Gaps, 1);
        }
        self.meter.add_batch(label, batch.messages, batch.frames() + more_frames, batch.split);
        if let Some(handicap) = &self.meter.handicap {
            handicap.spend(batch.messages);
            let pause = handicap.delay.as_micros() * u128::from(batch.messages);
            self.pause_us.store(u32::try_from(pause).unwrap_or(u32::MAX), Relaxed);
        }
    }

    fn home(&self) -> Label {
        Label::from_u8(self.home.load(Relaxed))
    }

    /// Whether the connection is ours to keep just now.
    pub(crate) fn is_held(&self) -> bool {
        self.is(Phase::Held)
    }

    /// Whether a request or join has begun and is not complete.
    pub(super) fn is_in_head(&self) -> bool {
        self.is(Phase::Head)
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
            self.phase.store(Phase::Head as u8, Relaxed);
        }
        if self.is(Phase::Held) {
            self.meter.add_all(self.label(), [(Count::SocketReads, 1), (Count::UpTotal, bytes as u64)]);
        } else {
            self.up_unclaimed.store(self.up_unclaimed.load(Relaxed) + bytes as u64, Relaxed);
            self.reads_unclaimed.store(self.reads_unclaimed.load(Relaxed) + 1, Relaxed);
        }
    }

    pub(super) fn on_write(&self, bytes: usize) {
        self.meter.add_all(self.label(), [(Count::SocketWrites, 1), (Count::DownTotal, bytes as u64)]);
        if let Some(flow) = self.flow.get() {
            flow.drain(bytes);
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
            self.count(Count::Stalled);
        }
    }

    pub(super) fn claim(&self) {
        let (bytes, reads) = (self.up_unclaimed.load(Relaxed), self.reads_unclaimed.load(Relaxed));
        self.meter.add_all(self.label(), [(Count::SocketReads, reads), (Count::UpTotal, bytes)]);
        self.up_unclaimed.store(0, Relaxed);
        self.reads_unclaimed.store(0, Relaxed);
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.claim();
        self.meter.add(self.home(), Count::ConnectionsClosed, 1);
        self.open.fetch_sub(1, Relaxed);
    }
}

/// Keeps a connection from being taken for an idle one.
pub(crate) struct Hold(Arc<Gauge>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.phase.store(Phase::Idle as u8, Relaxed);
    }
}
