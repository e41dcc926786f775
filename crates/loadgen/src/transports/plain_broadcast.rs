//! A WebSocket to a server that broadcasts each text as it is, without a seq. A client has joined
//! when it is connected.
//!
//! The worker numbers messages itself (see `measure::local_sequence`). This can check that every
//! client receives every post once, unaltered, and each author's posts in order. It cannot check
//! that all clients receive the authors in one common order, because such a server does not promise
//! that.

use std::convert::Infallible;
use std::rc::Rc;

use results::{ByteClass, Direction, Incident, IncidentKind, TrafficKind};
use wire::{Message, Post, ServerItem, decode_post_json};

use super::ws_connection::WsConnection;
use super::{in_band, websocket};
use crate::client::Client;
use crate::delivery;
use crate::error::SessionEnd;
use crate::measure::local_sequence::PROBE_SEQ;
use crate::protocol::ws_handshake::Offer;
use crate::run_context::{PROBE_AUTHOR, RunContext};
use crate::session::Session;

pub(super) async fn run_session(session: &Session, path: &str) -> Result<Infallible, SessionEnd> {
    let path = path.replace("{room}", &session.run.plan.room_name(session.client.room).to_string());
    let (host, offer) = (session.run.target.http, Offer::new(None));
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{}\r\n", offer.headers());
    let mut socket = WsConnection::open(session, request.as_bytes(), &offer).await?;
    session.join(0);
    in_band::attach(session, socket.connection(), websocket::encode);
    loop {
        socket.read(session, |_, message, header_bytes| receive_text(session, message.bytes(), header_bytes)).await?;
        session.send_scheduled();
    }
}

/// Handles a text from the server.
fn receive_text(session: &Session, text: &[u8], framing_bytes: usize) -> Result<(), SessionEnd> {
    let (run, client) = (&*session.run, &*session.client);
    let known = decode_post_json(text).ok().and_then(|post| Some((number(run, client, &post)?, post)));
    let Some((seq, post)) = known else {
        count_unknown(run, client, text.len(), framing_bytes);
        return Ok(());
    };
    let is_overtaken = is_overtaken(run, client, seq, &post);
    let Post { author, ordinal, text: message } = post;
    session.receive(ServerItem::Message(Message { seq, author, ordinal, text: message }), text.len(), framing_bytes)?;
    let mut counters = run.counters.borrow_mut();
    if is_overtaken {
        counters.ledger.note(Incident { kind: IncidentKind::Reordered, client: client.id, seq });
    }
    if author == client.id {
        delivery::confirm(run, &mut counters, client, ordinal);
    }
    Ok(())
}

/// The seq of a planned post or of the probe; `None` for any other text.
fn number(run: &RunContext, client: &Client, post: &Post<'_>) -> Option<u64> {
    if post.author == PROBE_AUTHOR {
        return Some(PROBE_SEQ);
    }
    let index = run.plan.post_index(post.author, post.ordinal)?;
    Some(run.local_sequence.as_ref()?.borrow_mut().number(client.room, index, post))
}

/// Whether this client has received a later post of the same author and not this one.
fn is_overtaken(run: &RunContext, client: &Client, seq: u64, post: &Post<'_>) -> bool {
    let ledger = client.ledger.borrow();
    if post.author == PROBE_AUTHOR || ledger.contains(seq) {
        return false;
    }
    let Some(sequence) = &run.local_sequence else { return false };
    sequence.borrow().later_of_author(&run.plan, post).any(|later| ledger.contains(later))
}

/// Counts a text that is no planned post. Before the probe it may be a greeting; after it, it is
/// unexpected.
fn count_unknown(run: &RunContext, client: &Client, text_bytes: usize, framing_bytes: usize) {
    let mut counters = run.counters.borrow_mut();
    counters.traffic.add(Direction::Down, TrafficKind::SetUp, ByteClass::Envelope, text_bytes);
    counters.traffic.add(Direction::Down, TrafficKind::SetUp, ByteClass::Framing, framing_bytes);
    if client.probed.get() {
        counters.ledger.note(Incident { kind: IncidentKind::Unexpected, client: client.id, seq: 0 });
    }
}

/// Marks the posts of such a server as accepted, because it acknowledges nothing: what was sent on
/// a connection that never broke has reached it.
pub(crate) fn confirm_sent_posts(run: &RunContext, clients: &[Rc<Client>]) {
    for client in clients.iter().filter(|client| client.joined.get() && !client.was_disconnected.get()) {
        let posts = (1..=run.plan.posts_of(client.id)).filter_map(|ordinal| run.plan.post_index(client.id, ordinal));
        posts.filter(|index| run.posts.sent_us(*index).is_some()).for_each(|index| run.posts.mark_accepted(index));
    }
}

#[cfg(test)]
mod tests;
