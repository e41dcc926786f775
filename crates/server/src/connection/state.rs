//! What a connection is doing. Decides which timeout applies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

use super::Connection;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Between requests: the idle timeout applies.
    Idle,
    /// A request head or a join has begun and is not complete: the header timeout applies.
    InRequest,
    /// The server works on it or holds it open (a stream, a held poll, a joined socket): no timeout
    /// of the read side applies.
    Busy,
}

pub(crate) struct ConnectionState {
    phase: AtomicU8,
    has_stalled: AtomicBool,
    has_unread_body: AtomicBool,
    is_write_blocked: AtomicBool,
}

impl Default for ConnectionState {
    fn default() -> Self {
        Self {
            phase: AtomicU8::new(Phase::InRequest as u8),
            has_stalled: AtomicBool::new(false),
            has_unread_body: AtomicBool::new(false),
            is_write_blocked: AtomicBool::new(false),
        }
    }
}

impl ConnectionState {
    /// The head of a request is complete.
    pub(crate) fn set_idle(&self) {
        self.set(Phase::Idle);
    }

    /// The client has to send more before it is served: its join.
    pub(crate) fn expect_request(&self) {
        self.set(Phase::InRequest);
    }

    /// The server holds the connection open until it ends.
    pub(crate) fn set_busy(&self) {
        self.set(Phase::Busy);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.is(Phase::Busy)
    }

    /// The body of the last request was not read to its end.
    pub(crate) fn set_unread_body(&self) {
        self.has_unread_body.store(true, Relaxed);
    }

    pub(crate) fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Relaxed)
    }

    /// Whether the last write has to wait for the client to read.
    pub(crate) fn is_write_blocked(&self) -> bool {
        self.is_write_blocked.load(Relaxed)
    }

    pub(super) fn set_write_blocked(&self, blocked: bool) {
        self.is_write_blocked.store(blocked, Relaxed);
    }

    pub(super) fn is_in_request(&self) -> bool {
        self.is(Phase::InRequest)
    }

    /// The first bytes after an idle time begin a request.
    pub(super) fn begin_if_idle(&self) {
        if self.is(Phase::Idle) {
            self.set(Phase::InRequest);
        }
    }

    /// True on the first call.
    pub(super) fn stall_begins(&self) -> bool {
        !self.has_stalled.swap(true, Relaxed)
    }

    fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) == phase as u8
    }
}

/// Marks a connection as busy until it is dropped.
pub(crate) struct BusyGuard(Arc<Connection>);

impl BusyGuard {
    pub(super) const fn new(connection: Arc<Connection>) -> Self {
        Self(connection)
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.state.set_idle();
    }
}
