//! The second connection of a client whose first one waits for messages. It is opened before the
//! first slice, or when there is something to post, and kept until the server closes it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use results::FaultKind;
use wire::Post;

use super::connection::{Expected, HttpConnection, ReadOutcome, Request};
use super::poller::receive_ack;
use super::requester::append_body;
use crate::client::{Client, PendingPost, PostSender};
use crate::delivery;
use crate::error::{Fault, SessionEnd};
use crate::net::connection::Connection;
use crate::protocol::http_request::Requests;
use crate::protocol::http_response::Part;
use crate::run_context::RunContext;
use crate::session::Session;

/// Pause after an error, before the connection is opened again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// How posts become requests, and what the responses to them mean.
pub(crate) trait PostRequests {
    /// Appends a request. Returns the bytes of its body, and those of text in it.
    fn push(&self, run: &RunContext, client: &Client, post: &Post<'_>, out: &mut Vec<u8>) -> (usize, usize);

    /// The statuses that are expected.
    fn expected(&self) -> Expected {
        Expected::POST
    }

    /// Handles the response to a post.
    fn receive(&self, session: &Session, ordinal: u64, body: &[u8]) -> Result<(), Fault>;
}

impl PostRequests for Requests {
    fn push(&self, _: &RunContext, _: &Client, post: &Post<'_>, out: &mut Vec<u8>) -> (usize, usize) {
        (self.post(post, out), post.text.len())
    }

    fn receive(&self, session: &Session, _: u64, body: &[u8]) -> Result<(), Fault> {
        receive_ack(session, body)
    }
}

struct PostConnection<R> {
    requests: R,
    connection: RefCell<Option<Rc<Connection>>>,
    /// A post was sent and not answered yet.
    busy: Cell<bool>,
    /// Ordinal of that post.
    ordinal: Cell<u64>,
    /// A post was answered, or the connection was opened before there was one: the server may close
    /// it whenever it is not busy.
    is_kept: Cell<bool>,
    /// It is to be opened without a post.
    ahead: Cell<bool>,
}

/// Sends the client's posts this way from now on, with the requests that `create` makes. The task
/// ends with the worker.
pub(crate) fn attach<R: PostRequests + 'static>(session: &Session, create: impl FnOnce() -> R) {
    session.attach_kept(|| {
        let connection = Rc::new(PostConnection {
            requests: create(),
            connection: RefCell::default(),
            busy: Cell::new(false),
            ordinal: Cell::new(0),
            is_kept: Cell::new(false),
            ahead: Cell::new(false),
        });
        session.tasks.spawn(run(session.clone(), Rc::clone(&connection)));
        connection
    });
}

impl<R: PostRequests> PostSender for PostConnection<R> {
    /// Sends the next post if the connection is open and not busy, and opens it if there is none.
    fn flush(&self, run: &RunContext, client: &Client) -> Result<(), Fault> {
        let connection = self.connection.borrow();
        let Some(connection) = connection.as_ref() else {
            client.post_ready.notify_one();
            return Ok(());
        };
        if self.busy.get() {
            client.mark_delayed();
            return Ok(());
        }
        self.send_next(run, client, connection)
    }

    fn open(&self, client: &Client) {
        self.ahead.set(true);
        client.post_ready.notify_one();
    }

    fn leave(&self) {
        if let Some(connection) = &*self.connection.borrow() {
            connection.abort();
        }
    }
}

impl<R: PostRequests> PostConnection<R> {
    fn send_next(&self, run: &RunContext, client: &Client, connection: &Connection) -> Result<(), Fault> {
        let Some(pending) = client.queue.borrow_mut().pop_front() else { return Ok(()) };
        self.busy.set(true);
        self.ordinal.set(pending.ordinal);
        let post = run.post(client.id, pending.ordinal);
        let mut request = Vec::with_capacity(post.text.len() + 256);
        let (body, payload) = self.requests.push(run, client, &post, &mut request);
        if !pending.sent {
            delivery::mark_sent(run, client, &pending);
        }
        let request = Request { bytes: &request, body, payload, expected: self.requests.expected() };
        match request.send(run, connection) {
            // No byte was sent. The read half sees the same end, and a new connection is opened for
            // it.
            Err(fault) if fault.kind == FaultKind::Reset && self.is_kept.get() => {
                self.busy.set(false);
                client.queue.borrow_mut().push_front(PendingPost { sent: true, ..pending });
                Ok(())
            }
            sent => sent,
        }
    }

    /// Opens the connection and reads responses until it is closed between two posts.
    async fn serve(&self, session: &Session) -> Result<(), SessionEnd> {
        let mut http = HttpConnection::new(session.open_for_posts().await?);
        let (run, client, connection) = (&*session.run, &*session.client, Rc::clone(http.connection()));
        *self.connection.borrow_mut() = Some(Rc::clone(&connection));
        self.send_next(run, client, &connection)?;
        let mut answer = Vec::new();
        loop {
            let on_part = |part: Part<'_>| match part {
                Part::Body(bytes) => Ok(append_body(bytes, &mut answer)?),
                Part::Head(..) | Part::Framing(_) | Part::End => Ok(()),
            };
            match http.read(session, self.requests.expected(), || self.busy.get(), on_part).await? {
                ReadOutcome::Partial => {}
                ReadOutcome::Complete(head) => {
                    self.requests.receive(session, self.ordinal.get(), &std::mem::take(&mut answer))?;
                    self.busy.set(false);
                    self.is_kept.set(true);
                    if head.closes {
                        return Ok(());
                    }
                    self.send_next(run, client, &connection)?;
                }
                ReadOutcome::Closed(fault) if self.busy.get() => return Err(fault.into()),
                ReadOutcome::Closed(_) => return Ok(()),
            }
            session.send_scheduled();
        }
    }
}

async fn run<R: PostRequests>(session: Session, posts: Rc<PostConnection<R>>) {
    let client = &session.client;
    loop {
        while client.queue.borrow().is_empty() && !posts.ahead.get() {
            client.post_ready.notified().await;
        }
        posts.is_kept.set(posts.ahead.take());
        let served = posts.serve(&session).await;
        *posts.connection.borrow_mut() = None;
        posts.busy.set(false);
        posts.is_kept.set(false);
        if let Err(SessionEnd::Failed(fault)) = served {
            let pause = RETRY_PAUSE.max(fault.pause());
            session.run.fault(fault);
            client.give_up_answers(&session.run);
            tokio::time::sleep(pause).await;
            client.mark_delayed();
        }
    }
}

#[cfg(test)]
mod tests;
