//! One connected period of a client: what a transport works with.

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::task::{Poll, ready};

use wire::ServerItem;

use crate::client::{Client, PendingPost, PostSender};
use crate::delivery;
use crate::error::{Fault, SessionEnd};
use crate::net::connection::{Connection, ReadHalf, open};
use crate::protocol::http_request::Requests;
use crate::run_context::RunContext;
use crate::scheduler::Scheduler;
use crate::tasks::Tasks;

/// Connections from one source address to one destination before another source address is used.
/// The usual port range has 28,232.
const PORTS_PER_SOURCE: u64 = 25_000;

#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) run: Rc<RunContext>,
    pub(crate) client: Rc<Client>,
    pub(crate) scheduler: Rc<Scheduler>,
    pub(crate) tasks: Rc<Tasks>,
}

impl Session {
    /// Opens a connection to the server.
    pub(crate) async fn open(&self) -> Result<ReadHalf, Fault> {
        let run = &self.run;
        let node = self.client.node(run);
        let to = if run.transport.is_http() { node.http } else { node.tcp };
        let sources = run.plan.sockets(run.transport) / PORTS_PER_SOURCE + 1;
        let source = (sources > 1 && to.ip().is_loopback() && to.is_ipv4())
            .then(|| Ipv4Addr::new(127, 0, 0, 1 + (u64::from(self.client.id) % sources) as u8));
        let half = open(to, source, self.client.id, &run.connections).await?;
        run.counters.borrow_mut().traffic.connections += 1;
        self.client.last_read_s.set(run.cached_second());
        Ok(half)
    }

    /// Opens a connection for the posts in the queue. The first of them counts as sent now, because
    /// connecting is part of what it costs. The others are delayed by the transport.
    pub(crate) async fn open_for_posts(&self) -> Result<ReadHalf, Fault> {
        if let Some(post) = self.client.queue.borrow_mut().front_mut().filter(|post| !post.sent) {
            delivery::mark_sent(&self.run, &self.client, post);
            post.sent = true;
        }
        let opened = self.open().await;
        self.client.mark_delayed();
        opened
    }

    /// Waits for bytes. They are at the start of the scratch buffer afterwards; 0 is the end of the
    /// connection.
    pub(crate) fn read(&self, half: &mut ReadHalf) -> impl Future<Output = Result<usize, Fault>> {
        poll_fn(move |cx| {
            let read = ready!(half.poll_read(cx, &self.run.scratch))?;
            if let Some(trace) = &self.run.trace {
                trace.note(self.client.id, false, &self.run.scratch.borrow()[..read]);
            }
            self.client.last_read_s.set(self.run.cached_second());
            self.run.counters.borrow_mut().traffic.socket_reads += 1;
            Poll::Ready(Ok(read))
        })
    }

    /// Handles an item from the server: `item_bytes` of encoding, `framing_bytes` around it.
    pub(crate) fn receive(
        &self,
        item: ServerItem<'_>,
        item_bytes: usize,
        framing_bytes: usize,
    ) -> Result<(), SessionEnd> {
        delivery::receive(&self.run, &self.client, item, item_bytes, framing_bytes)
    }

    pub(crate) fn join(&self, after: u64) {
        self.client.join(&self.run, after);
    }

    /// Sends posts with this sender from now on.
    pub(crate) fn attach(&self, sender: Rc<dyn PostSender>) {
        *self.client.sender.borrow_mut() = Some(sender);
        self.client.flush(&self.run);
    }

    /// Sends posts with the sender that the client keeps over its sessions, which `create` makes. A
    /// client that never posts needs none.
    pub(crate) fn attach_kept(&self, create: impl FnOnce() -> Rc<dyn PostSender>) {
        if self.run.has_posts(self.client.id) {
            let kept = self.client.kept_sender.borrow().clone();
            let sender = kept.unwrap_or_else(create);
            *self.client.kept_sender.borrow_mut() = Some(Rc::clone(&sender));
            self.attach(sender);
        }
    }

    /// Whether the client has joined and has no sender yet.
    pub(crate) fn needs_sender(&self) -> bool {
        self.client.joined.get() && self.client.sender.borrow().is_none()
    }

    /// Takes the client's next post from its queue.
    pub(crate) fn next_post(&self) -> Option<PendingPost> {
        self.client.queue.borrow_mut().pop_front()
    }

    /// The connection that idle detection closes.
    pub(crate) fn set_connection(&self, connection: &Rc<Connection>) {
        *self.client.connection.borrow_mut() = Some(Rc::clone(connection));
    }

    /// Sends the posts of all clients of the worker that are due.
    pub(crate) fn send_scheduled(&self) {
        self.scheduler.send_scheduled(&self.run);
    }

    /// The HTTP requests of this client.
    pub(crate) fn requests(&self, parameters: &str, headers: &str) -> Requests {
        let room = self.run.plan.room_name(self.client.room);
        let host = self.client.node(&self.run).http;
        let token = self.run.target.token.as_deref();
        Requests::new((host, token), self.run.transport, &room, parameters, headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;

    #[tokio::test]
    async fn a_connection_that_is_opened_twice_for_a_post_marks_it_as_sent_once() {
        let session = session(1, 1, "");
        session.client.queue.borrow_mut().push_back(PendingPost::new(1));
        for _ in 0..2 {
            assert!(session.open_for_posts().await.is_err());
        }
        assert_eq!(session.run.counters.borrow().traffic.posted, 1);
    }
}
