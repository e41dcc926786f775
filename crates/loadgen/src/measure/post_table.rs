//! State of every planned post, shared by all workers of a run: when it was sent, whether the
//! server accepted it, whether a client received it.

use std::sync::atomic::{
    AtomicU8, AtomicU32,
    Ordering::{AcqRel, Relaxed},
};

/// The fan-out spread is measured for one post in this many.
const SPREAD_EVERY: usize = 8;

const ACCEPTED: u8 = 1;
const RECEIVED: u8 = 2;
const UNANSWERED: u8 = 4;

pub(crate) struct PostTable {
    /// Microseconds since T0, plus one; 0 is a post that was not sent.
    sent: Box<[AtomicU32]>,
    state: Box<[AtomicU8]>,
    spread: Box<[Spread]>,
}

struct Spread {
    first_us: AtomicU32,
    last_us: AtomicU32,
    receivers: AtomicU32,
}

impl Spread {
    const fn new() -> Self {
        Self { first_us: AtomicU32::new(u32::MAX), last_us: AtomicU32::new(0), receivers: AtomicU32::new(0) }
    }
}

impl PostTable {
    pub(crate) fn new(posts: usize) -> Self {
        Self {
            sent: (0..posts).map(|_| AtomicU32::new(0)).collect(),
            state: (0..posts).map(|_| AtomicU8::new(0)).collect(),
            spread: (0..posts.div_ceil(SPREAD_EVERY)).map(|_| Spread::new()).collect(),
        }
    }

    pub(crate) fn mark_sent(&self, index: usize, now_us: i64) {
        let stamp = u32::try_from(now_us.max(0)).unwrap_or(u32::MAX - 1) + 1;
        self.sent[index].store(stamp, Relaxed);
    }

    /// When a post was sent, in microseconds since T0; `None` if it was not.
    pub(crate) fn sent_us(&self, index: usize) -> Option<i64> {
        self.sent[index].load(Relaxed).checked_sub(1).map(i64::from)
    }

    pub(crate) fn mark_accepted(&self, index: usize) {
        self.state[index].fetch_or(ACCEPTED, Relaxed);
    }

    /// A client received it.
    pub(crate) fn mark_received(&self, index: usize) {
        self.state[index].fetch_or(RECEIVED, Relaxed);
    }

    /// It was refused, or its connection ended before it was answered: the server may have it.
    pub(crate) fn mark_unanswered(&self, index: usize) {
        self.state[index].fetch_or(UNANSWERED, Relaxed);
    }

    /// Whether its author does not know that the server has it.
    pub(crate) fn is_unanswered(&self, index: usize) -> bool {
        self.state[index].load(Relaxed) & (UNANSWERED | ACCEPTED) == UNANSWERED
    }

    /// Whether the server has it: it was acknowledged, or a client received it.
    pub(crate) fn is_on_server(&self, index: usize) -> bool {
        self.state[index].load(Relaxed) & (ACCEPTED | RECEIVED) != 0
    }

    /// Notes a receiver of a post. Returns the time from the first to the last receiver when this
    /// is the last of `receivers`.
    pub(crate) fn spread_us(&self, index: usize, now_us: i64, receivers: u32) -> Option<i64> {
        if !index.is_multiple_of(SPREAD_EVERY) || receivers < 2 {
            return None;
        }
        let spread = &self.spread[index / SPREAD_EVERY];
        let now = u32::try_from(now_us.max(0)).unwrap_or(u32::MAX);
        // Workers arrive in another order than their timestamps, so the last one needs the times of
        // all.
        spread.first_us.fetch_min(now, Relaxed);
        spread.last_us.fetch_max(now, Relaxed);
        let before = spread.receivers.fetch_add(1, AcqRel);
        let between = || spread.last_us.load(Relaxed).saturating_sub(spread.first_us.load(Relaxed));
        (before + 1 == receivers).then(|| i64::from(between()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_receiver_gives_the_spread() {
        let posts = PostTable::new(9);
        assert_eq!(posts.spread_us(8, 100, 3), None);
        assert_eq!(posts.spread_us(8, 150, 3), None);
        assert_eq!(posts.spread_us(8, 340, 3), Some(240));
        assert_eq!(posts.spread_us(1, 0, 1), None);
    }

    #[test]
    fn a_spread_is_never_negative() {
        let posts = PostTable::new(1);
        assert_eq!((posts.spread_us(0, 340, 2), posts.spread_us(0, 100, 2)), (None, Some(240)));
    }

    #[test]
    fn a_post_sent_at_t0_is_a_sent_post() {
        let posts = PostTable::new(1);
        assert_eq!((posts.sent_us(0), posts.is_on_server(0)), (None, false));
        posts.mark_sent(0, 0);
        assert_eq!(posts.sent_us(0), Some(0));
        posts.mark_unanswered(0);
        assert!(!posts.is_on_server(0) && posts.is_unanswered(0));
        posts.mark_accepted(0);
        assert!(posts.is_on_server(0) && !posts.is_unanswered(0));
    }
}
