//! How a worker's posts leave: when they are due, by the way their seat has.

use std::time::Duration;

use results::Series;
use wire::Post;

use crate::fault::Fault;
use crate::link::{Link, Reading};
use crate::seat::{Due, Seat, Way};
use crate::transports;
use crate::worker::{PROBE_AUTHOR, Worker};

/// Its place in an outbox: plans count from 1.
pub(crate) const PROBE_ORDINAL: u64 = 0;
pub(crate) const PROBE_TEXT: &str = "probe";

impl Worker {
    /// Sends what is due. Called by the timer, and after every read: a busy worker is then as punctual as an idle one.
    pub(crate) fn pace(&self) {
        if self.next_due_us.get() == i64::MAX {
            return;
        }
        let now = self.clock.now_us();
        if now < self.next_due_us.get() {
            return;
        }
        loop {
            let Some(post) = self.pacer.borrow_mut().pop(&self.plan, now) else { break };
            let seat = self.seat(post.seat);
            seat.outbox.borrow_mut().push_back(Due::now(post.ordinal));
            self.flush(seat);
        }
        self.next_due_us.set(self.pacer.borrow().due_us().map_or(i64::MAX, i64::from));
    }

    /// Time until the next post is due; `None` when there is none.
    pub(crate) fn until_due(&self) -> Option<Duration> {
        let next = self.next_due_us.get();
        (next != i64::MAX).then(|| Duration::from_micros(u64::try_from(next - self.clock.now_us()).unwrap_or(0)))
    }

    /// Posts the room's probe.
    pub(crate) fn probe(&self, seat: &Seat) {
        seat.outbox.borrow_mut().push_back(Due::now(PROBE_ORDINAL));
        self.flush(seat);
    }

    /// Sends what the seat's outbox holds, as far as its way lets it.
    pub(crate) fn flush(&self, seat: &Seat) {
        let sent = match &*seat.way.borrow() {
            Way::InBand(link) => self.flush_in_band(seat, link),
            Way::Second(line) => line.flush(self, seat),
            Way::Packets(line) => line.flush(self, seat),
            Way::None => {
                seat.mark_blocked();
                Ok(())
            }
            Way::Between => {
                seat.bell.notify_one();
                Ok(())
            }
        };
        if let Err(fault) = sent {
            // The reading side meets the same end, and comes back.
            self.fault(fault);
        }
    }

    fn flush_in_band(&self, seat: &Seat, link: &Link) -> Result<(), Fault> {
        while let Some(due) = seat.outbox.borrow_mut().pop_front() {
            let mut compose = self.compose.borrow_mut();
            compose.clear();
            transports::compose_in_band(self, &self.post(seat, due.ordinal), &mut compose);
            self.leave(seat, &due);
            self.send(link, &compose)?;
        }
        Ok(())
    }

    /// The words of a seat's post.
    pub(crate) fn post<'a>(&'a self, seat: &Seat, ordinal: u64) -> Post<'a> {
        if ordinal == PROBE_ORDINAL {
            return Post { author: PROBE_AUTHOR, ordinal, text: PROBE_TEXT.into() };
        }
        Post { author: seat.id, ordinal, text: self.plan.text(seat.id, ordinal).into() }
    }

    /// Opens a connection for what the outbox holds. The first post's journey begins here, and the connecting is part of what it costs;
    /// whatever waits when it is over had to wait for the transport.
    pub(crate) async fn open_for_posts(&self, seat: &Seat) -> Result<Reading, Fault> {
        if let Some(due) = seat.outbox.borrow_mut().front_mut().filter(|due| !due.left) {
            self.leave(seat, due);
            due.left = true;
        }
        let opened = self.open(seat).await;
        seat.mark_blocked();
        opened
    }

    /// A post leaves now: called just before its first byte is written, or its connection opened.
    pub(crate) fn leave(&self, seat: &Seat, due: &Due) {
        let Some(index) = self.plan.post_index(seat.id, due.ordinal) else { return };
        let now = self.clock.now_us();
        self.posts.leave(index, now);
        let mut hot = self.hot.borrow_mut();
        hot.tally.posted += 1;
        hot.tally.posts_delayed += u64::from(due.blocked);
        if !due.blocked && self.is_in_window(index) {
            hot.recorder.record(Series::SendDelay, now - i64::from(self.plan.due_us(index)));
        }
    }
}
