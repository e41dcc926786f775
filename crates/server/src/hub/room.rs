//! One room: its log and its readers, behind one lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use wire::{BatchFormat, HubUsage, Post, RoomName, StartAt};

use super::HubLimits;
use super::log::{Batch, Log};
use super::waiters::{WaiterId, Waiters};

/// The room accepts no more posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoomClosed;

/// The cursor is beyond the end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CursorAhead {
    pub(crate) head: u64,
}

/// What a waiting reader gets.
#[derive(Debug)]
pub(crate) enum Next {
    Batch(Batch),
    Closed,
}

pub(crate) struct Room {
    name: RoomName,
    inner: Mutex<Inner>,
    /// The round of the waiters, which a registered reader reads without the lock.
    round: AtomicU64,
}

struct Inner {
    log: Log,
    waiters: Waiters,
    readers: u64,
    closed: bool,
    last_used: Instant,
}

impl Inner {
    fn cursor(&self, start: StartAt) -> Result<u64, CursorAhead> {
        let head = self.log.head();
        match start {
            StartAt::Live => Ok(head),
            StartAt::After(seq) if seq > head => Err(CursorAhead { head }),
            StartAt::After(seq) => Ok(seq),
        }
    }
}

impl Room {
    pub(super) fn new(name: RoomName, limits: HubLimits) -> Self {
        Self {
            name,
            inner: Mutex::new(Inner {
                log: Log::new(limits),
                waiters: Waiters::default(),
                readers: 0,
                closed: false,
                last_used: Instant::now(),
            }),
            round: AtomicU64::new(0),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Appends a post, wakes all waiting readers, and returns its sequence number.
    pub(crate) fn publish(&self, post: &Post<'_>) -> Result<u64, RoomClosed> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(RoomClosed);
        }
        let seq = inner.log.push(post);
        inner.last_used = Instant::now();
        self.wake_all(inner);
        Ok(seq)
    }

    fn wake_all(&self, mut inner: MutexGuard<'_, Inner>) {
        let woken = inner.waiters.take();
        self.round.store(inner.waiters.round(), Ordering::Release);
        drop(inner);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Counts a reader and returns its first cursor.
    pub(super) fn enter(&self, start: StartAt) -> Result<u64, CursorAhead> {
        let mut inner = self.lock();
        let cursor = inner.cursor(start)?;
        inner.readers += 1;
        Ok(cursor)
    }

    /// The next first cursor of a reader, which does not wait.
    pub(super) fn restart(&self, start: StartAt, waiter: Option<WaiterId>) -> Result<u64, CursorAhead> {
        let mut inner = self.lock();
        inner.waiters.remove(waiter);
        inner.cursor(start)
    }

    /// Counts a reader that starts before the first message.
    pub(super) fn enter_at_start(&self) {
        self.lock().readers += 1;
    }

    pub(super) fn since(&self, format: BatchFormat, after: u64) -> Option<Batch> {
        self.lock().log.batch(format, after)
    }

    /// The next batch. A reader that `waits_again` is registered for the one after it, too.
    pub(super) fn poll(
        &self,
        format: BatchFormat,
        after: u64,
        waits_again: bool,
        waiter: &mut Option<WaiterId>,
        waker: &Waker,
    ) -> Poll<Next> {
        // Nothing has happened since the reader was registered.
        if waiter.is_some_and(|waiter| waiter.round == self.round.load(Ordering::Acquire)) {
            return Poll::Pending;
        }
        let mut inner = self.lock();
        if let Some(batch) = inner.log.batch(format, after) {
            if waits_again && batch.to == inner.log.head() && !inner.closed {
                inner.waiters.register(waiter, waker);
            }
            return Poll::Ready(Next::Batch(batch));
        }
        if inner.closed {
            return Poll::Ready(Next::Closed);
        }
        inner.waiters.register(waiter, waker);
        Poll::Pending
    }

    pub(super) fn leave(&self, waiter: Option<WaiterId>) {
        let mut inner = self.lock();
        inner.waiters.remove(waiter);
        inner.readers -= 1;
        inner.last_used = Instant::now();
    }

    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        self.wake_all(inner);
    }

    pub(super) fn is_expired(&self, idle: Duration) -> bool {
        let inner = self.lock();
        inner.readers == 0 && (inner.log.head() == 0 || inner.last_used.elapsed() >= idle)
    }

    pub(super) fn usage(&self) -> HubUsage {
        let inner = self.lock();
        HubUsage {
            rooms: 1,
            readers: inner.readers,
            log_messages: inner.log.len() as u64,
            log_bytes: inner.log.bytes() as u64,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code under this lock leaves the room in an inconsistent state, so a panic elsewhere
        // need not make it unusable.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
