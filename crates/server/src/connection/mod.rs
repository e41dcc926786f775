//! One accepted connection: its counters, its state, and its socket. Knows no protocol.

mod armed;
mod state;
mod stats;
mod stream;
mod timeouts;
mod timer;

use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

pub(crate) use state::BusyGuard;
pub(crate) use stream::{CountedStream, with_scratch};
pub(crate) use timeouts::Timeouts;
pub(crate) use timer::Timer;

use crate::counters::{Counter, Counters, TransportSlot};
use state::ConnectionState;
use stats::ConnectionStats;

/// What is known of one connection. Its socket and the handlers of its requests share it.
pub(crate) struct Connection {
    pub(crate) stats: ConnectionStats,
    pub(crate) state: ConnectionState,
    /// Called with the number of bytes after each write.
    on_written: OnceLock<Box<dyn Fn(usize) + Send + Sync>>,
}

impl Connection {
    /// Counts a connection as open until this value is dropped.
    pub(crate) fn new(counters: Arc<Counters>, open: Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self {
            stats: ConnectionStats::new(counters, open),
            state: ConnectionState::default(),
            on_written: OnceLock::new(),
        })
    }

    /// Starts a request: what was read for it, and what follows, is counted for `slot`.
    pub(crate) fn begin_request(&self, slot: TransportSlot) {
        self.stats.count_request();
        self.assign(slot);
        self.stats.counters().add(slot, Counter::Requests, 1);
    }

    /// Counts the connection and its traffic for `slot` from now on.
    pub(crate) fn assign(&self, slot: TransportSlot) {
        self.state.set_idle();
        self.stats.assign(slot);
    }

    /// Marks the connection as busy until the guard is dropped.
    pub(crate) fn busy_guard(self: &Arc<Self>) -> BusyGuard {
        self.state.set_busy();
        BusyGuard::new(Arc::clone(self))
    }

    /// Calls `callback` with the number of bytes after each write. Only the first callback is kept.
    pub(crate) fn on_written(&self, callback: impl Fn(usize) + Send + Sync + 'static) {
        self.on_written.get_or_init(|| Box::new(callback));
    }

    fn count_read(&self, bytes: usize) {
        if bytes > 0 {
            self.state.begin_if_idle();
        }
        self.stats.count_read(bytes, self.state.is_busy());
    }

    fn count_write(&self, bytes: usize) {
        self.stats.count_write(bytes);
        if let Some(callback) = self.on_written.get() {
            callback(bytes);
        }
    }

    /// Counts an error of the socket as a stall if the kernel's own limit for unread data ended it.
    /// That limit may expire before ours.
    fn count_error(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            self.count_stall();
        }
    }

    /// Counts a client that left its data unread for too long: once, whether the read side, the
    /// write side or both see it.
    fn count_stall(&self) {
        if self.state.stall_begins() {
            self.stats.count(Counter::Stalled);
        }
    }
}
