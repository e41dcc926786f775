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

/// What a room has of its messages.
enum Copy {
    /// Nothing yet: they are in the shared log.
    None,
    /// Nothing yet, but these, which came while the others are copied.
    Begun(Vec<(u64, Post<'static>)>),
    /// All up to the newest.
    Done,
}

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
    copy: Copy,
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
        let copy = if matches!(order, Order::Here) { Copy::Done } else { Copy::None };
        Self {
            name,
            order,
            limits,
            inner: Mutex::new(Inner {
                log: Log::new(limits),
                waiters: Waiters::default(),
                readers: 0,
                closed: false,
                copy,
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

    /// Whether a reader may start there without a look at the shared log.
    pub(crate) fn covers(&self, start: StartAt) -> bool {
        matches!(self.order, Order::Here) || {
            let inner = self.lock();
            matches!(inner.copy, Copy::Done) && inner.cursor(start).is_ok()
        }
    }

    /// Takes the next message of the shared log.
    pub(crate) fn follow(&self, seq: u64, post: &Post<'_>) -> Copied {
        let mut inner = self.lock();
        match &mut inner.copy {
            Copy::None => Copied::Whole,
            // Those that do not fit are copied once more.
            Copy::Begun(early) if early.len() == EARLY_MAX => Copied::Whole,
            Copy::Begun(early) => {
                early.push((seq, Post { text: post.text.clone().into_owned().into(), ..*post }));
                Copied::Whole
            }
            Copy::Done => {
                let copied = inner.take(seq, post);
                self.wake_all(inner);
                copied
            }
        }
    }

    /// Begins to keep what comes while the messages before it are copied. Returns the newest number
    /// here.
    pub(crate) fn begin_copy(&self) -> u64 {
        let mut inner = self.lock();
        if matches!(inner.copy, Copy::None) {
            inner.copy = Copy::Begun(Vec::new());
        }
        inner.log.head()
    }

    /// Gives up a copy that cannot be made.
    pub(crate) fn abandon_copy(&self) {
        let mut inner = self.lock();
        if matches!(inner.copy, Copy::Begun(_)) {
            inner.copy = Copy::None;
        }
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
        let early = match std::mem::replace(&mut inner.copy, Copy::Done) {
            Copy::Begun(early) => early,
            Copy::None | Copy::Done => Vec::new(),
        };
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

    /// The next first cursor of a reader, which does not wait; `None` if the room is closed.
    pub(super) fn restart(&self, start: StartAt, waiter: Option<WaiterId>) -> Option<Result<u64, CursorAhead>> {
        let mut inner = self.lock();
        inner.waiters.remove(waiter);
        (!inner.closed).then(|| inner.cursor(start))
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

#[cfg(test)]
mod tests {
    use wire::Framing;

    use super::*;

    fn shared_room() -> Room {
        let limits = HubLimits { rooms_max: 1, log_messages_max: 100, log_bytes_max: 1 << 20 };
        Room::new("r".parse().unwrap(), limits, Order::Shared(tokio::sync::mpsc::channel(1).0))
    }

    fn message(seq: u64) -> (u64, Post<'static>) {
        (seq, Post { author: 1, ordinal: seq, text: "x".into() })
    }

    fn follow(room: &Room, seq: u64) -> Copied {
        room.follow(seq, &message(seq).1)
    }

    fn messages(room: &Room) -> u64 {
        room.since(Framing::JsonLines.into(), 0).map_or(0, |batch| batch.messages)
    }

    #[test]
    fn messages_that_come_during_a_copy_follow_it() {
        let room = shared_room();
        // Nobody reads the room yet, so nothing is kept.
        assert_eq!((follow(&room, 1), messages(&room)), (Copied::Whole, 0));
        assert!(!room.covers(StartAt::Live));
        assert_eq!(room.begin_copy(), 0);
        for seq in [2, 3, 4] {
            follow(&room, seq);
        }
        assert_eq!(room.copy([1, 2, 3].map(message)), Copied::Whole);
        assert_eq!((messages(&room), room.covers(StartAt::After(4)), room.covers(StartAt::After(5))), (4, true, false));
        assert_eq!((follow(&room, 4), follow(&room, 5), messages(&room)), (Copied::Whole, Copied::Whole, 5));
    }

    #[test]
    fn a_room_that_misses_messages_is_copied_again() {
        let room = shared_room();
        room.begin_copy();
        assert_eq!(room.copy([7, 8].map(message)), Copied::Whole);
        assert_eq!((follow(&room, 10), messages(&room)), (Copied::Behind, 2));
        assert_eq!((room.begin_copy(), room.copy([9, 10].map(message)), messages(&room)), (8, Copied::Whole, 4));
        // The shared log is shorter than what is missing.
        assert_eq!((room.copy([20].map(message)), messages(&room)), (Copied::Whole, 1));
        let batch = room.since(Framing::JsonLines.into(), 10).unwrap();
        assert!(batch.gap && batch.to == 20);
    }

    #[test]
    fn more_messages_than_a_room_keeps_during_a_copy_are_copied_again() {
        let room = shared_room();
        room.begin_copy();
        let last = EARLY_MAX as u64 + 10;
        (1..=last).for_each(|seq| assert_eq!(follow(&room, seq), Copied::Whole));
        assert_eq!(room.copy([]), Copied::Behind);
        assert_eq!(room.copy((EARLY_MAX as u64 + 1..=last).map(message)), Copied::Whole);
        assert!(room.covers(StartAt::After(last)));
    }
}
