//! A subscriber: a cursor, and a place among those who wait.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use wire::{Framing, StartAt};

use super::log::{Batch, BatchFormat};
use super::room::{CursorAhead, Next, Room};
use super::waiters::WaiterId;

pub(crate) struct Reader {
    room: Arc<Room>,
    format: BatchFormat,
    cursor: u64,
    waiter: Option<WaiterId>,
}

impl Room {
    /// A cursor over the log.
    pub(crate) fn reader(self: &Arc<Self>, format: BatchFormat, start: StartAt) -> Result<Reader, CursorAhead> {
        let cursor = self.enter(start)?;
        Ok(Reader { room: Arc::clone(self), format: format, cursor, waiter: None })
    }

    /// A cursor before the first message.
    pub(crate) fn reader_from_start(self: &Arc<Self>, format: BatchFormat) -> Reader {
        self.enter_at_start();
        Reader { room: Arc::clone(self), format: format, cursor: 0, waiter: None }
    }
}

impl Reader {
    /// Seq of the last message handed out, or where the reader began.
    pub(crate) const fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(crate) const fn framing(&self) -> Framing {
        self.format.framing
    }

    pub(crate) const fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// What is there now.
    pub(crate) fn since(&mut self) -> Option<Batch> {
        let batch = self.room.since(self.format, self.cursor)?;
        self.cursor = batch.to;
        Some(batch)
    }

    /// What is there, or the next thing to come.
    pub(crate) async fn wait(&mut self) -> Next {
        poll_fn(|cx| self.poll_wait(cx)).await
    }

    pub(crate) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let next = self.room.poll(self.format, self.cursor, &mut self.waiter, cx.waker());
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
    use crate::hub::{Hub, HubLimits};
    use wire::Post;

    fn hub() -> Hub {
        Hub::new(HubLimits { rooms_max: 10, log_messages_max: 100, log_bytes_max: 1 << 20, padding_bytes: 0 })
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
    async fn closing_ends_readers_after_what_is_left() {
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
