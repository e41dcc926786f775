//! Posts of a protocol as requests.

use std::rc::Rc;

use results::{ByteClass, Direction, TrafficKind};
use scenario::Request;
use wire::Post;

use super::names::NamedPost;
use super::requests::{POST, Speaker};
use crate::client::Client;
use crate::delivery;
use crate::error::Fault;
use crate::run_context::RunContext;
use crate::session::Session;
use crate::transports::http::connection::Expected;
use crate::transports::http::post_connection::{self, PostRequests};

pub(super) struct RequestPosts {
    pub(super) speaker: Rc<Speaker>,
}

impl RequestPosts {
    fn form(&self) -> &Request {
        self.speaker.protocol().post.request.as_ref().expect("the scenario checks that such a post is a request")
    }
}

impl PostRequests for RequestPosts {
    fn push(&self, run: &RunContext, client: &Client, post: &Post<'_>, out: &mut Vec<u8>) -> (usize, usize) {
        let (form, named) = (self.form(), NamedPost::new(run, post));
        let body = self.speaker.push_request(&client.learned.borrow(), form, "", Some(&named), out);
        let is_in_body = form.body.as_ref().is_some_and(|body| body.names().any(|name| name == "text"));
        (body, if is_in_body { named.text.len() } else { 0 })
    }

    fn expected(&self) -> Expected {
        POST
    }

    fn receive(&self, session: &Session, ordinal: u64, body: &[u8]) -> Result<(), Fault> {
        let mut counters = session.run.counters.borrow_mut();
        counters.traffic.add(Direction::Down, TrafficKind::Posting, ByteClass::Envelope, body.len());
        delivery::confirm(&session.run, &mut counters, &session.client, ordinal);
        Ok(())
    }
}

/// Sends the client's posts as requests from now on, on a connection of their own.
pub(in crate::transports) fn attach(session: &Session, speaker: &Rc<Speaker>) {
    post_connection::attach(session, || RequestPosts { speaker: Rc::clone(speaker) });
}
