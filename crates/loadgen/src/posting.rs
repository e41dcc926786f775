//! How a worker's posts leave: when they are due, by the way their client has.

use std::time::Duration;

use results::Series;
use wire::Post;

use crate::client::{Client, PendingPost, Way};
use crate::error::Fault;
use crate::link::{Connection, ReadHalf};
use crate::transports;
use crate::worker::{PROBE_AUTHOR, Worker};

/// Its place in an outbox: plans count from 1.
pub(crate) const PROBE_ORDINAL: u64 = 0;
pub(crate) const PROBE_TEXT: &str = "probe";

impl Worker {
    /// Sends what is due. Called by the timer, and after every read: a busy worker is then as punctual as an idle one.
    pub(crate) fn send_scheduled(&self) {
        if self.next_due_us.get() == i64::MAX {
            return;
        }
        let now = self.clock.now_us();
        if now < self.next_due_us.get() {
            return;
        }
        loop {
            let Some(post) = self.pacer.borrow_mut().pop(&self.plan, now) else { break };
            let client = self.client(post.client);
            client.queue.borrow_mut().push_back(PendingPost::now(post.ordinal));
            self.flush(client);
        }
        self.next_due_us.set(self.pacer.borrow().due_us().map_or(i64::MAX, i64::from));
    }

    /// Time until the next post is due; `None` when there is none.
    pub(crate) fn until_next_post(&self) -> Option<Duration> {
        let next = self.next_due_us.get();
        (next != i64::MAX).then(|| Duration::from_micros(u64::try_from(next - self.clock.now_us()).unwrap_or(0)))
    }

    /// Posts the room's probe.
    pub(crate) fn probe(&self, client: &Client) {
        client.queue.borrow_mut().push_back(PendingPost::now(PROBE_ORDINAL));
        self.flush(client);
    }

    /// Sends what the client's outbox holds, as far as its way lets it.
    pub(crate) fn flush(&self, client: &Client) {
        let sent = match &*client.sender.borrow() {
            Way::InBand(link) => self.flush_in_band(client, link),
            Way::Second(line) => line.flush(self, client),
            Way::Packets(line) => line.flush(self, client),
            Way::None => {
                client.mark_delayed();
                Ok(())
            }
            Way::Between => {
                client.post_ready.notify_one();
                Ok(())
            }
        };
        if let Err(fault) = sent {
            // The reading side meets the same end, and comes back.
            self.fault(fault);
        }
    }

    fn flush_in_band(&self, client: &Client, link: &Connection) -> Result<(), Fault> {
        while let Some(due) = client.queue.borrow_mut().pop_front() {
            let mut compose = self.compose.borrow_mut();
            compose.clear();
            transports::encode_in_band(self, &self.post(client, due.ordinal), &mut compose);
            self.mark_sent(client, &due);
            self.send(link, &compose)?;
        }
        Ok(())
    }

    /// The words of a client's post.
    pub(crate) fn post<'a>(&'a self, client: &Client, ordinal: u64) -> Post<'a> {
        if ordinal == PROBE_ORDINAL {
            return Post { author: PROBE_AUTHOR, ordinal, text: PROBE_TEXT.into() };
        }
        Post { author: client.id, ordinal, text: self.plan.text(client.id, ordinal).into() }
    }

    /// Opens a connection for what the outbox holds. The first post's journey begins here, and the connecting is part of what it costs;
    /// whatever waits when it is over had to wait for the transport.
    pub(crate) async fn open_for_posts(&self, client: &Client) -> Result<ReadHalf, Fault> {
        if let Some(due) = client.queue.borrow_mut().front_mut().filter(|due| !due.sent) {
            self.mark_sent(client, due);
            due.sent = true;
        }
        let opened = self.open(client).await;
        client.mark_delayed();
        opened
    }

    /// A post leaves now: called just before its first byte is written, or its connection opened.
    pub(crate) fn mark_sent(&self, client: &Client, due: &PendingPost) {
        let Some(index) = self.plan.post_index(client.id, due.ordinal) else { return };
        let now = self.clock.now_us();
        self.posts.mark_sent(index, now);
        let mut hot = self.counters.borrow_mut();
        hot.traffic.posted += 1;
        hot.traffic.posts_delayed += u64::from(due.delayed);
        if !due.delayed && self.is_in_window(index) {
            hot.histograms.record(Series::SendDelay, now - i64::from(self.plan.due_us(index)));
        }
    }
}
