//! What a server sends at once: a frame, an event, a chunk or a body, in whatever envelope. The
//! worker numbers the messages itself, see [`crate::measure::local_sequence`]. So it can be checked
//! that every client receives every post once, unaltered, and each author's posts in order. It cannot
//! be checked that all clients receive the authors in one common order, because such a server does
//! not promise that.

use results::{ByteClass, Direction, Incident, IncidentKind, TrafficKind};
use wire::{Message, ServerItem};

use crate::client::Client;
use crate::delivery;
use crate::error::SessionEnd;
use crate::measure::marker::MarkedPost;
use crate::measure::probe::{PROBE_AUTHOR, PROBE_SEQ};
use crate::run_context::RunContext;
use crate::session::Session;

/// Reads units one after the other.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    /// The posts found so far: a text that the unit repeats is one delivery.
    posts: Vec<(u32, u64)>,
    bytes: usize,
    text_bytes: usize,
    /// A response repeats what earlier ones had.
    repeats: bool,
}

impl Unit {
    /// Responses that repeat what earlier ones had: a known message is no duplicate.
    pub(super) fn repeating() -> Self {
        Self { repeats: true, ..Self::default() }
    }

    /// Handles the posts in some bytes of the unit. Returns how many bytes were read: all of them,
    /// or where more may follow, those before an incomplete text.
    pub(crate) fn read(&mut self, session: &Session, bytes: &[u8], more_follows: bool) -> Result<usize, SessionEnd> {
        let run = &*session.run;
        let Some(markers) = &run.markers else { return Ok(bytes.len()) };
        let read = markers.scan(&run.plan, bytes, more_follows, |post| {
            if self.posts.contains(&(post.author, post.ordinal)) {
                return Ok(());
            }
            self.posts.push((post.author, post.ordinal));
            self.text_bytes += receive(session, &post, self.repeats)?;
            Ok::<_, SessionEnd>(())
        })?;
        self.bytes += read;
        Ok(read)
    }

    /// Ends the unit and counts what is not text, with `framing` bytes around it; as `without_text`
    /// if there was no text. Returns whether there was one.
    pub(crate) fn end(&mut self, run: &RunContext, without_text: TrafficKind, framing: usize) -> bool {
        let has_text = self.text_bytes > 0;
        let kind = if has_text { TrafficKind::Delivery } else { without_text };
        let mut counters = run.counters.borrow_mut();
        counters.traffic.unmarked += u64::from(self.posts.is_empty() && self.bytes > 0);
        counters.traffic.add(Direction::Down, kind, ByteClass::Envelope, self.bytes - self.text_bytes);
        counters.traffic.add(Direction::Down, kind, ByteClass::Framing, framing);
        self.posts.clear();
        (self.bytes, self.text_bytes) = (0, 0);
        has_text
    }
}

/// Handles a post. Returns the bytes of text that were counted.
fn receive(session: &Session, post: &MarkedPost, repeats: bool) -> Result<usize, SessionEnd> {
    let (run, client) = (&*session.run, &*session.client);
    let Some(seq) = number(run, client, post) else {
        let mut counters = run.counters.borrow_mut();
        counters.ledger.note(Incident { kind: IncidentKind::Unexpected, client: client.id, seq: 0 });
        return Ok(0);
    };
    let is_known = client.ledger.borrow().contains(seq);
    if is_known && repeats {
        return Ok(0);
    }
    let is_probe = post.author == PROBE_AUTHOR;
    let is_overtaken = !is_known && !is_probe && is_overtaken(run, client, post);
    let text_bytes = if post.is_intact { post.bytes } else { 0 };
    let text = if is_probe || !post.is_intact { "" } else { run.plan.text(post.author, post.ordinal) };
    let envelope = text_bytes - text.len();
    let message = Message { seq, author: post.author, ordinal: post.ordinal, text: text.into() };
    session.receive(ServerItem::Message(message), text.len() + envelope, 0)?;
    let mut counters = run.counters.borrow_mut();
    if is_overtaken {
        counters.ledger.note(Incident { kind: IncidentKind::Reordered, client: client.id, seq });
    }
    if post.author == client.id && run.own_message_acknowledges() {
        delivery::confirm(run, &mut counters, client, post.ordinal);
    }
    Ok(text_bytes)
}

/// The seq of a post that this client is to receive, or of the probe; `None` for any other.
fn number(run: &RunContext, client: &Client, post: &MarkedPost) -> Option<u64> {
    if post.author == PROBE_AUTHOR {
        return Some(PROBE_SEQ);
    }
    let index = run.plan.post_index(post.author, post.ordinal)?;
    let is_own = post.author == client.id && !run.plan.author_receives;
    let is_expected = run.plan.room_of(post.author) == client.room && !is_own;
    let sequence = run.local_sequence.as_ref().filter(|_| is_expected)?;
    Some(sequence.borrow_mut().number(client.room, index, post.author, post.ordinal))
}

/// Whether this client has received a later post of the same author and not this one.
fn is_overtaken(run: &RunContext, client: &Client, post: &MarkedPost) -> bool {
    let Some(sequence) = &run.local_sequence else { return false };
    let ledger = client.ledger.borrow();
    sequence.borrow().later_of_author(&run.plan, post.author, post.ordinal).any(|later| ledger.contains(later))
}

#[cfg(test)]
mod tests;
