//! A protocol on a WebSocket: each message is a unit.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;

use memchr::memmem;
use results::TrafficKind;
use scenario::Step;
use wire::Post;

use super::joining::Joining;
use super::names::{NamedPost, Place};
use super::posts;
use super::requests::Speaker;
use super::unit::Unit;
use crate::client::Client;
use crate::delivery;
use crate::error::{Fault, SessionEnd};
use crate::net::connection::Connection;
use crate::protocol::ws_handshake::Offer;
use crate::run_context::RunContext;
use crate::session::Session;
use crate::transports::in_band::{self, Encode};
use crate::transports::ws_connection::{WsConnection, push_text, send_text};

const SUBPROTOCOL: &str = "sec-websocket-protocol";

pub(super) async fn run_session(session: &Session, speaker: Rc<Speaker>) -> Result<Infallible, SessionEnd> {
    let (run, client) = (&*session.run, &*session.client);
    let read = &speaker.protocol().read;
    let subprotocol = read.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(SUBPROTOCOL));
    let offer = Offer::new(subprotocol.map(|(_, value)| value.text()));
    let mut request = Vec::new();
    let form = read.without_header(SUBPROTOCOL);
    speaker.push_request(&client.learned.borrow(), &form, &offer.headers(), None, &mut request);
    let mut socket = WsConnection::open(session, &request, &offer).await?;
    let unanswered = Unanswered::default();
    let (mut joining, mut unit) = (Joining::default(), Unit::default());
    let connection = Rc::clone(socket.connection());
    joining.advance(session, &speaker, |step, _| send_step(session, &speaker, &connection, step))?;
    loop {
        attach(session, &speaker, &connection, &unanswered);
        session.send_scheduled();
        socket
            .read(session, |connection, message, header_bytes| {
                let bytes = message.bytes();
                unit.read(session, bytes, false)?;
                let is_answer = unanswered.is_answered_by(session, &speaker, bytes);
                unit.end(run, if is_answer { TrafficKind::Posting } else { kind_without_text(client) }, header_bytes);
                if joining.is_answered_by(bytes) {
                    joining.advance(session, &speaker, |step, _| send_step(session, &speaker, connection, step))?;
                }
                Ok(())
            })
            .await?;
    }
}

/// How a message without a text is counted: before the probe it belongs to the set-up.
pub(super) fn kind_without_text(client: &Client) -> TrafficKind {
    if client.probed.get() { TrafficKind::KeepAlive } else { TrafficKind::SetUp }
}

fn send_step(session: &Session, speaker: &Speaker, connection: &Connection, step: &Step) -> Result<(), Fault> {
    let Some(send) = &step.send else { return Ok(()) };
    let mut text = Vec::new();
    speaker.names.render(send, &session.client.learned.borrow(), None, Place::Body, &mut text);
    send_text(&session.run, connection, TrafficKind::SetUp, &text)
}

/// Sends the posts of a client that has joined: on the WebSocket, or as requests.
fn attach(session: &Session, speaker: &Rc<Speaker>, connection: &Rc<Connection>, unanswered: &Unanswered) {
    if !session.needs_sender() {
        return;
    }
    if speaker.protocol().post.request.is_some() {
        session.set_connection(connection);
        posts::attach(session, speaker);
    } else {
        let frames = Frames { speaker: Rc::clone(speaker), unanswered: unanswered.clone() };
        in_band::attach(session, connection, frames);
    }
}

/// Ordinals of the posts that the server has not acknowledged with a message.
#[derive(Debug, Clone, Default)]
struct Unanswered(Rc<RefCell<VecDeque<u64>>>);

impl Unanswered {
    /// Whether a message acknowledges the oldest post without an acknowledgement, which it then has.
    fn is_answered_by(&self, session: &Session, speaker: &Speaker, message: &[u8]) -> bool {
        let (Some(until), Some(ordinal)) = (&speaker.protocol().post.until, self.0.borrow().front().copied()) else {
            return false;
        };
        let (run, client) = (&session.run, &session.client);
        let post = NamedPost::new(run, &run.post(client.id, ordinal));
        let mut text = Vec::new();
        speaker.names.render(until, &client.learned.borrow(), Some(&post), Place::Body, &mut text);
        if memmem::find(message, &text).is_none() {
            return false;
        }
        self.0.borrow_mut().pop_front();
        delivery::confirm(run, &mut run.counters.borrow_mut(), client, ordinal);
        true
    }
}

/// Posts as text messages.
struct Frames {
    speaker: Rc<Speaker>,
    unanswered: Unanswered,
}

impl Encode for Frames {
    fn encode(&self, run: &RunContext, client: &Client, post: &Post<'_>, out: &mut Vec<u8>) {
        let (named, mut text) = (NamedPost::new(run, post), Vec::new());
        let step = &self.speaker.protocol().post;
        if let Some(send) = &step.send {
            self.speaker.names.render(send, &client.learned.borrow(), Some(&named), Place::Body, &mut text);
        }
        let (bytes, payload) = (text.len(), named.text.len().min(text.len()));
        let header = push_text(text, out);
        run.count_post(payload, bytes - payload, header);
        if step.until.is_some() {
            self.unanswered.0.borrow_mut().push_back(post.ordinal);
        }
    }
}
