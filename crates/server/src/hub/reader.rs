//! A reader: a cursor over the log of a room.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use wire::{BatchFormat, StartAt};

use super::log::Batch;
use super::room::{CursorAhead, Next, Room};
use super::waiters::WaiterId;

pub(crate) struct Reader {
    room: Arc<Room>,
    format: BatchFormat,
    cursor: u64,
    waiter: Option<WaiterId>,
}

impl Room {
    /// A reader that starts at `start`.
    pub(crate) fn reader(self: &Arc<Self>, format: BatchFormat, start: StartAt) -> Result<Reader, CursorAhead> {
        let cursor = self.enter(start)?;
        Ok(Reader { room: Arc::clone(self), format, cursor, waiter: None })
    }

    /// A reader that starts before the first message.
    pub(crate) fn reader_from_start(self: &Arc<Self>, format: BatchFormat) -> Reader {
        self.enter_at_start();
        Reader { room: Arc::clone(self), format, cursor: 0, waiter: None }
    }
}

impl Reader {
    /// The same reader, as one that starts at `start`; `None` if its room is closed.
    pub(super) fn restarted(mut self, start: StartAt) -> Option<Result<Self, CursorAhead>> {
        let cursor = self.room.restart(start, self.waiter.take())?;
        Some(cursor.map(|cursor| {
            self.cursor = cursor;
            self
        }))
    }

    /// Sequence number of the last message returned, or the start.
    pub(crate) const fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(crate) const fn format(&self) -> BatchFormat {
        self.format
    }

    pub(crate) const fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The messages after the cursor, if there are any.
    pub(crate) fn since(&mut self) -> Option<Batch> {
        let batch = self.room.since(self.format, self.cursor)?;
        self.cursor = batch.to;
        Some(batch)
    }

    /// Waits until there are messages after the cursor, or the room is closed. For readers that
    /// wait again afterwards, always in the same task.
    pub(crate) async fn wait(&mut self) -> Next {
        poll_fn(|cx| self.poll(true, cx)).await
    }

    /// The same for a reader that does not wait again soon.
    pub(crate) fn poll_once(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        self.poll(false, cx)
    }

    fn poll(&mut self, waits_again: bool, cx: &mut Context<'_>) -> Poll<Next> {
        let next = self.room.poll(self.format, self.cursor, waits_again, &mut self.waiter, cx.waker());
        if let Poll::Ready(Next::Batch(batch)) = &next {
            self.cursor = batch.to;
        }
        next
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.room.leave(self.waiter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Hub, HubLimits, Order};
    use wire::{Framing, Post};

    fn hub() -> Hub {
        Hub::new(HubLimits { rooms_max: 10, log_messages_max: 100, log_bytes_max: 1 << 20 }, Order::Here)
    }

    fn post(ordinal: u64) -> Post<'static> {
        Post { author: 1, ordinal, text: "x".into() }
    }

    #[tokio::test]
    async fn a_waiting_reader_gets_all_that_is_new_in_one_batch() {
        let room = hub().room("r").unwrap();
        let mut reader = room.reader(Framing::JsonLines.into(), StartAt::Live).unwrap();
        let waiting = tokio::spawn(async move { (reader.wait().await, reader) });
        tokio::task::yield_now().await;
        for ordinal in 1..=8 {
            room.publish(&post(ordinal)).unwrap();
        }
        let (next, reader) = waiting.await.unwrap();
        assert!(matches!(next, Next::Batch(batch) if batch.messages == 8));
        assert_eq!(reader.cursor(), 8);
    }

    #[tokio::test]
    async fn a_cursor_beyond_the_end_is_refused() {
        let room = hub().room("r").unwrap();
        room.publish(&post(1)).unwrap();
        assert_eq!(room.reader(Framing::JsonLines.into(), StartAt::After(2)).err().map(|ahead| ahead.head), Some(1));
        assert!(room.reader(Framing::JsonLines.into(), StartAt::After(1)).unwrap().since().is_none());
    }

    #[tokio::test]
    async fn closing_ends_readers_after_the_last_message() {
        let hub = hub();
        let room = hub.room("r").unwrap();
        let mut reader = room.reader(Framing::JsonLines.into(), StartAt::Live).unwrap();
        room.publish(&post(1)).unwrap();
        hub.close();
        assert!(room.publish(&post(2)).is_err());
        assert!(matches!(reader.wait().await, Next::Batch(_)));
        assert!(matches!(reader.wait().await, Next::Closed));
    }
}
