//! One room: its log and its readers, behind one lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use wire::{BatchFormat, HubUsage, Post, RoomName, StartAt};

use super::HubLimits;
use super::log::{Batch, Log};
use super::order::{NotTaken, Order, Published, Taken, append};
use super::waiters::{WaiterId, Waiters};

/// Messages of a shared log that a room keeps while it is being copied.
const EARLY_MAX: usize = 1_024;

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

/// How far the copy of a shared log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copied {
    Whole,
    /// There are messages before the newest that are not here.
    Behind,
}

pub(crate) struct Room {
    name: RoomName,
    order: Order,
    limits: HubLimits,
    inner: Mutex<Inner>,
    /// The round of the waiters, which a registered reader reads without the lock.
    round: AtomicU64,
}

struct Inner {
    log: Log,
    waiters: Waiters,
    readers: u64,
    closed: bool,
    /// Of a shared log: messages that came before the copy.
    early: Option<Vec<(u64, Post<'static>)>>,
    last_used: Instant,
}

impl Inner {
    /// Takes a message unless it is here already.
    fn take(&mut self, seq: u64, post: &Post<'_>) -> Copied {
        let head = self.log.head();
        if seq == head + 1 {
            self.log.push(post);
            self.last_used = Instant::now();
        }
        if seq <= head + 1 { Copied::Whole } else { Copied::Behind }
    }

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
    pub(super) fn new(name: RoomName, limits: HubLimits, order: Order) -> Self {
        let early = matches!(order, Order::Shared(_)).then(Vec::new);
        Self {
            name,
            order,
            limits,
            inner: Mutex::new(Inner {
                log: Log::new(limits),
                waiters: Waiters::default(),
                readers: 0,
                closed: false,
                early,
                last_used: Instant::now(),
            }),
            round: AtomicU64::new(0),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Appends a post, and wakes all waiting readers.
    pub(crate) fn publish(&self, post: &Post<'_>) -> Taken {
        let mut inner = self.lock();
        if inner.closed {
            return Err(NotTaken::Closed);
        }
        inner.last_used = Instant::now();
        if let Order::Shared(queue) = &self.order {
            return append(queue, &self.name, post);
        }
        let seq = inner.log.push(post);
        self.wake_all(inner);
        Ok(Published::At(seq))
    }

    /// Sequence number of the newest message here.
    pub(crate) fn head(&self) -> u64 {
        self.lock().log.head()
    }

    /// Whether a reader may start there without a look at the shared log.
    pub(crate) fn covers(&self, start: StartAt) -> bool {
        matches!(self.order, Order::Here) || {
            let inner = self.lock();
            inner.early.is_none() && inner.cursor(start).is_ok()
        }
    }

    /// Takes the next message of the shared log.
    pub(crate) fn follow(&self, seq: u64, post: &Post<'_>) -> Copied {
        let mut inner = self.lock();
        if let Some(early) = &mut inner.early {
            // Those that do not fit are copied once more.
            if early.len() < EARLY_MAX {
                early.push((seq, Post { text: post.text.clone().into_owned().into(), ..*post }));
            }
            return Copied::Whole;
        }
        let copied = inner.take(seq, post);
        self.wake_all(inner);
        copied
    }

    /// Takes the messages of the shared log after `head`. Older ones may be missing there.
    pub(crate) fn copy(&self, messages: impl IntoIterator<Item = (u64, Post<'static>)>) -> Copied {
        let mut inner = self.lock();
        for (seq, post) in messages {
            if inner.take(seq, &post) == Copied::Behind {
                inner.log = Log::after(seq - 1, self.limits);
                inner.take(seq, &post);
            }
        }
        let early = inner.early.take().unwrap_or_default();
        let is_whole =
            early.len() < EARLY_MAX && early.iter().all(|(seq, post)| inner.take(*seq, post) == Copied::Whole);
        self.wake_all(inner);
        if is_whole { Copied::Whole } else { Copied::Behind }
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
