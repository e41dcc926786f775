//! Posts on the connection that carries the messages.

use std::rc::Rc;

use wire::Post;

use crate::client::{Client, PostSender};
use crate::delivery;
use crate::error::Fault;
use crate::net::connection::Connection;
use crate::run_context::RunContext;
use crate::session::Session;

/// Appends a post in the encoding of a transport, and counts its bytes.
pub(super) type Encode = fn(&RunContext, &Post<'_>, &mut Vec<u8>);

struct InBand {
    connection: Rc<Connection>,
    encode: Encode,
}

/// Sends the client's posts on this connection, once the client has joined.
pub(super) fn attach(session: &Session, connection: &Rc<Connection>, encode: Encode) {
    if session.needs_sender() {
        session.set_connection(connection);
        session.attach(Rc::new(InBand { connection: Rc::clone(connection), encode }));
    }
}

impl PostSender for InBand {
    fn flush(&self, run: &RunContext, client: &Client) -> Result<(), Fault> {
        while let Some(pending) = client.queue.borrow_mut().pop_front() {
            let mut buffer = run.send_buffer.borrow_mut();
            buffer.clear();
            (self.encode)(run, &run.post(client.id, pending.ordinal), &mut buffer);
            delivery::mark_sent(run, client, &pending);
            run.send(&self.connection, &buffer)?;
        }
        Ok(())
    }
}
