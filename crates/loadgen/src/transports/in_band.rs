//! Posts on the connection that carries the messages.

use std::rc::Rc;

use wire::Post;

use crate::client::{Client, PostSender};
use crate::delivery;
use crate::error::Fault;
use crate::net::connection::Connection;
use crate::run_context::RunContext;
use crate::session::Session;

/// How posts become bytes.
pub(super) trait Encode {
    /// Appends a post, and counts its bytes.
    fn encode(&self, run: &RunContext, client: &Client, post: &Post<'_>, out: &mut Vec<u8>);
}

impl<F: Fn(&RunContext, &Post<'_>, &mut Vec<u8>)> Encode for F {
    fn encode(&self, run: &RunContext, _: &Client, post: &Post<'_>, out: &mut Vec<u8>) {
        self(run, post, out);
    }
}

struct InBand<E> {
    connection: Rc<Connection>,
    encode: E,
}

/// Sends the client's posts on this connection, once the client has joined.
pub(super) fn attach<E: Encode + 'static>(session: &Session, connection: &Rc<Connection>, encode: E) {
    if session.needs_sender() {
        session.set_connection(connection);
        session.attach(Rc::new(InBand { connection: Rc::clone(connection), encode }));
    }
}

impl<E: Encode> PostSender for InBand<E> {
    fn flush(&self, run: &RunContext, client: &Client) -> Result<(), Fault> {
        while let Some(pending) = client.queue.borrow_mut().pop_front() {
            let mut buffer = run.send_buffer.borrow_mut();
            buffer.clear();
            self.encode.encode(run, client, &run.post(client.id, pending.ordinal), &mut buffer);
            delivery::mark_sent(run, client, &pending);
            run.send(&self.connection, &buffer)?;
            if run.nothing_acknowledges() {
                delivery::accept(run, &mut run.counters.borrow_mut(), client, pending.ordinal);
            }
        }
        Ok(())
    }
}
