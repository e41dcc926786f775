//! Servers that only repeat what they are told: posts go up as they would to ours and come back as they are, without a seq. The worker
//! numbers them as it first sees them, and the ledger works with those numbers. What that can tell: whether every receiver got every
//! post once, unaltered, each author's in their order. What it cannot: whether all receivers saw the authors in one common order,
//! because nobody promised that.

use results::{ByteClass, Direction, Incident, IncidentKind, TrafficKind};
use wire::{Message, Post, ServerItem, decode_post_json};

use crate::client::Client;
use crate::error::SessionEnd;
use crate::worker::{PROBE_AUTHOR, Worker};

/// The probe's number in every room.
const PROBE_NUMBER: u64 = 1;

/// The numbers a worker gave.
pub(crate) struct LocalSequence {
    /// By post; 0 has none yet.
    by_post: Box<[u32]>,
    /// Last one given, by room.
    last: Box<[u32]>,
    /// Newest ordinal seen of each author.
    newest: Box<[u64]>,
}

impl LocalSequence {
    pub(crate) fn new(plan: &scenario::Plan) -> Self {
        let posts = usize::try_from(plan.posts_total()).expect("the plan bounds its posts");
        Self {
            by_post: vec![0; posts].into(),
            last: vec![PROBE_NUMBER as u32; plan.rooms as usize].into(),
            newest: vec![0; plan.clients as usize].into(),
        }
    }

    /// The number of a post, now that it is seen.
    fn number(&mut self, room: u32, index: usize, post: &Post<'_>) -> u64 {
        let newest = &mut self.newest[post.author as usize];
        *newest = post.ordinal.max(*newest);
        let (number, last) = (&mut self.by_post[index], &mut self.last[room as usize]);
        if *number == 0 {
            *last += 1;
            *number = *last;
        }
        u64::from(*number)
    }
}

impl Worker {
    /// Takes a text that came down.
    pub(crate) fn receive_text(&self, client: &Client, text: &[u8], framing_bytes: usize) -> Result<(), SessionEnd> {
        let known = decode_post_json(text).ok().and_then(|post| Some((self.number(client, &post)?, post)));
        let Some((seq, post)) = known else {
            self.count_unknown(client, text.len(), framing_bytes);
            return Ok(());
        };
        let overtaken = self.is_overtaken(client, seq, &post);
        let Post { author, ordinal, text: words } = post;
        let message = Message { seq, author, ordinal, text: words };
        self.receive(client, ServerItem::Message(message), text.len(), framing_bytes)?;
        let mut hot = self.counters.borrow_mut();
        if overtaken {
            hot.ledger.note(Incident { kind: IncidentKind::Reordered, client: client.id, seq });
        }
        if author == client.id {
            self.confirm(&mut hot, client, ordinal);
        }
        Ok(())
    }

    /// The number of a post of the plan, or of the probe.
    fn number(&self, client: &Client, post: &Post<'_>) -> Option<u64> {
        if post.author == PROBE_AUTHOR {
            return Some(PROBE_NUMBER);
        }
        let index = self.plan.post_index(post.author, post.ordinal)?;
        let mut hot = self.counters.borrow_mut();
        Some(hot.numbers.as_mut()?.number(client.room, index, post))
    }

    /// Whether a client that has not seen this post has seen a later one of its author.
    fn is_overtaken(&self, client: &Client, seq: u64, post: &Post<'_>) -> bool {
        if post.author == PROBE_AUTHOR || client.ledger.borrow().contains(seq) {
            return false;
        }
        let hot = self.counters.borrow();
        let Some(numbers) = &hot.numbers else { return false };
        let later = (post.ordinal + 1..=numbers.newest[post.author as usize])
            .filter_map(|ordinal| self.plan.post_index(post.author, ordinal));
        let ledger = client.ledger.borrow();
        later.map(|index| numbers.by_post[index]).any(|number| number != 0 && ledger.contains(number.into()))
    }

    /// A text that is no post of ours: a greeting until the client has seen the probe, and nobody's from then on.
    fn count_unknown(&self, client: &Client, text_bytes: usize, framing_bytes: usize) {
        let mut hot = self.counters.borrow_mut();
        hot.traffic.add(Direction::Down, TrafficKind::SetUp, ByteClass::Envelope, text_bytes);
        hot.traffic.add(Direction::Down, TrafficKind::SetUp, ByteClass::Framing, framing_bytes);
        if client.probed.get() {
            hot.ledger.note(Incident { kind: IncidentKind::Unexpected, client: client.id, seq: 0 });
        }
    }

    /// Such a server confirms nothing: what left on a connection that was whole to the end has reached it.
    pub(crate) fn confirm_sent_posts(&self) {
        for client in self.clients.iter().filter(|client| client.joined.get() && !client.was_disconnected.get()) {
            let posts =
                (1..=self.plan.posts_of(client.id)).filter_map(|ordinal| self.plan.post_index(client.id, ordinal));
            posts
                .filter(|index| self.posts.sent_us(*index).is_some())
                .for_each(|index| self.posts.mark_accepted(index));
        }
    }
}

#[cfg(test)]
mod tests;
