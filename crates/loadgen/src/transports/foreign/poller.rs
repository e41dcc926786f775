//! A protocol that answers requests: a response is a unit.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use results::TrafficKind;
use scenario::ValueSource;
use tokio::time::sleep;

use super::posts;
use super::requests::{READ, Speaker, append, checked_head};
use super::unit::Unit;
use crate::client::PendingPost;
use crate::delivery;
use crate::error::SessionEnd;
use crate::protocol::Remainder;
use crate::protocol::http_response::Part;
use crate::session::Session;
use crate::transports::http::connection::Request;
use crate::transports::http::poller::count_poll;
use crate::transports::http::post_connection::PostRequests;
use crate::transports::http::requester::{Requester, append_body};
use crate::transports::polling::{self, PollingClient};

/// A long polling client has joined when its first request is answered, or has been held for this
/// long: the server must know it before there are messages. In lock-step the clients join one after
/// the other.
const HELD: Duration = Duration::from_millis(50);
const HELD_IN_LOCK_STEP: Duration = Duration::from_millis(2);

struct Poller<'a> {
    session: &'a Session,
    speaker: Rc<Speaker>,
    requester: Requester,
    request: Vec<u8>,
    unit: Unit,
}

pub(super) async fn run_polling(
    session: &Session,
    speaker: Rc<Speaker>,
    requester: Requester,
) -> Result<Infallible, SessionEnd> {
    polling::run(session, Poller::new(session, speaker, requester)).await
}

pub(super) async fn run_long_polling(
    session: &Session,
    speaker: Rc<Speaker>,
    requester: Requester,
) -> Result<Infallible, SessionEnd> {
    let mut poller = Poller::new(session, Rc::clone(&speaker), requester);
    {
        let mut first = std::pin::pin!(poller.poll());
        tokio::select! {
            polled = first.as_mut() => {
                polled?;
                posts::attach(session, &speaker);
            }
            () = sleep(if session.run.lock_step { HELD_IN_LOCK_STEP } else { HELD }) => {
                session.join(0);
                posts::attach(session, &speaker);
                first.await?;
            }
        }
    }
    loop {
        poller.poll().await?;
    }
}

impl<'a> Poller<'a> {
    fn new(session: &'a Session, speaker: Rc<Speaker>, requester: Requester) -> Self {
        // Without a cursor a server answers with everything that it has.
        let unit = if speaker.protocol().cursor.is_empty() { Unit::repeating() } else { Unit::default() };
        Self { session, speaker, requester, request: Vec::new(), unit }
    }
}

impl PollingClient for Poller<'_> {
    async fn poll(&mut self) -> Result<(), SessionEnd> {
        let Self { session, speaker, requester, request, unit } = self;
        let (run, client) = (&*session.run, &*session.client);
        let protocol = speaker.protocol();
        let keeps_body = protocol.cursor.values().any(|source| matches!(source, ValueSource::Json(_)));
        let keeps_head = !protocol.cursor.is_empty();
        request.clear();
        let close = if run.tuning().keep_alive { "" } else { "connection: close\r\n" };
        let asked = speaker.push_request(&client.learned.borrow(), &protocol.read, close, None, request);
        let poll = Request { bytes: request, body: asked, payload: 0, expected: READ };
        let (mut remainder, mut head_bytes, mut body) = (Remainder::default(), Vec::new(), Vec::new());
        let on_part = |part: Part<'_>| {
            match part {
                Part::Head(_, bytes) => {
                    let checked = checked_head(bytes)?;
                    if keeps_head {
                        head_bytes.extend_from_slice(checked);
                    }
                }
                Part::Body(bytes) => {
                    if keeps_body {
                        append(bytes, &mut body)?;
                    }
                    remainder.feed(bytes, |bytes| unit.read(session, bytes, true))?;
                }
                Part::Framing(_) | Part::End => {}
            }
            Ok(())
        };
        let head = requester.request_parts(session, &poll, on_part).await?;
        // No post could be sent during the poll.
        client.mark_delayed();
        unit.read(session, &remainder.take(), false)?;
        let has_text = unit.end(run, TrafficKind::Empty, 0);
        if has_text {
            poll.reclassify(run, &head, TrafficKind::Delivery);
        }
        count_poll(session, has_text, !has_text);
        speaker.learn_cursor(client, &head_bytes, &body, has_text)?;
        if !client.joined.get() {
            session.join(0);
        }
        session.send_scheduled();
        Ok(())
    }

    async fn post(&mut self, pending: PendingPost) -> Result<(), SessionEnd> {
        let session = self.session;
        let (run, client) = (&*session.run, &*session.client);
        let posts = posts::RequestPosts { speaker: Rc::clone(&self.speaker) };
        self.request.clear();
        delivery::mark_sent(run, client, &pending);
        let (body, payload) = posts.push(run, client, &run.post(client.id, pending.ordinal), &mut self.request);
        let request = Request { bytes: &self.request, body, payload, expected: posts.expected() };
        let mut answer = Vec::new();
        self.requester.request(session, &request, |bytes| Ok(append_body(bytes, &mut answer)?)).await?;
        client.mark_delayed();
        Ok(posts.receive(session, pending.ordinal, &answer)?)
    }
}
