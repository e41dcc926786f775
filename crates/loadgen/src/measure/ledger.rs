//! Which messages a client received: each once, in order, the right ones. Pure.

/// What the seq of a message says about its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next message, or a later one that leaves a gap.
    InOrder,
    /// A new message from a gap: too late.
    FilledGap,
    /// Received before.
    Duplicate,
}

/// What one client received: its cursor, and the gaps before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientLedger {
    last: u64,
    gaps: Vec<(u64, u64)>,
    /// Planned messages received, each counted once.
    pub(crate) received: u32,
}

impl ClientLedger {
    /// The cursor: the largest seq received.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// Starts after this seq. Earlier messages are not expected.
    pub(crate) fn start_after(&mut self, after: u64) {
        self.last = after;
        self.gaps.clear();
    }

    /// Whether the message with this seq was received.
    pub(crate) fn contains(&self, seq: u64) -> bool {
        seq <= self.last && !self.gaps.iter().any(|&(from, to)| (from..=to).contains(&seq))
    }

    /// First seq that was skipped and has not been received since.
    pub(crate) fn first_gap(&self) -> Option<u64> {
        self.gaps.first().map(|gap| gap.0)
    }

    /// Makes a seq a gap again, because the message received with it was not the one that belongs
    /// to it.
    pub(crate) fn reopen(&mut self, seq: u64) {
        let at = self.gaps.partition_point(|gap| gap.0 < seq);
        self.gaps.insert(at, (seq, seq));
    }

    pub(crate) fn receive(&mut self, seq: u64) -> Arrival {
        if seq == self.last + 1 {
            self.last = seq;
            return Arrival::InOrder;
        }
        if seq > self.last {
            self.gaps.push((self.last + 1, seq - 1));
            self.last = seq;
            return Arrival::InOrder;
        }
        let Some(at) = self.gaps.iter().position(|&(from, to)| (from..=to).contains(&seq)) else {
            return Arrival::Duplicate;
        };
        let (from, to) = self.gaps.remove(at);
        if seq < to {
            self.gaps.insert(at, (seq + 1, to));
        }
        if from < seq {
            self.gaps.insert(at, (from, seq - 1));
        }
        Arrival::FilledGap
    }
}

/// What a room's order says about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// The first message with this seq.
    First,
    /// Another client received the same post with this seq.
    Known,
    /// The log was restarted: the seq cannot be checked.
    Unchecked,
    /// Another client received another post with this seq, or no post can have it.
    Contradiction,
}

/// Which post each seq of a room belongs to, as the first client of the worker received it. All
/// other clients must receive the same.
#[derive(Debug)]
pub(crate) struct RoomOrder {
    base: Option<u64>,
    by_seq: Box<[u32]>,
    restarted: bool,
}

const UNKNOWN: u32 = u32::MAX;

impl RoomOrder {
    pub(crate) fn new(posts: u64) -> Self {
        let posts = usize::try_from(posts).expect("the plan bounds its posts");
        Self { base: None, by_seq: vec![UNKNOWN; posts].into(), restarted: false }
    }

    /// The server has restarted the log: its seqs are not known and contradict nothing from now on.
    pub(crate) fn restart(&mut self) {
        self.restarted = true;
    }

    /// Sets the seq of the probe, which the planned posts follow. Returns whether all clients agree
    /// on it.
    pub(crate) fn set_base(&mut self, probe_seq: u64) -> bool {
        *self.base.get_or_insert(probe_seq) == probe_seq
    }

    /// Notes that a post has this seq, and compares it with what other clients received.
    pub(crate) fn place(&mut self, seq: u64, post: u32) -> Placement {
        if self.restarted {
            return Placement::Unchecked;
        }
        match self.post_at(seq) {
            None => Placement::Contradiction,
            Some(known) if *known == UNKNOWN => {
                *known = post;
                Placement::First
            }
            Some(known) if *known == post => Placement::Known,
            Some(_) => Placement::Contradiction,
        }
    }

    fn post_at(&mut self, seq: u64) -> Option<&mut u32> {
        let at = seq.checked_sub(self.base? + 1)?;
        self.by_seq.get_mut(usize::try_from(at).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gaps_late_messages_and_duplicates() {
        let mut ledger = ClientLedger::default();
        ledger.start_after(10);
        assert_eq!(ledger.receive(11), Arrival::InOrder);
        assert_eq!(ledger.receive(11), Arrival::Duplicate);
        assert_eq!(ledger.receive(14), Arrival::InOrder);
        assert_eq!(ledger.receive(13), Arrival::FilledGap);
        assert_eq!(ledger.receive(13), Arrival::Duplicate);
        assert_eq!((ledger.first_gap(), ledger.last()), (Some(12), 14));
        assert_eq!(ledger.receive(9), Arrival::Duplicate);
    }

    #[test]
    fn a_message_with_a_wrong_seq_leaves_a_gap() {
        let mut ledger = ClientLedger::default();
        (1..=3).for_each(|seq| assert_eq!(ledger.receive(seq), Arrival::InOrder));
        ledger.reopen(3);
        ledger.reopen(2);
        assert_eq!((ledger.first_gap(), ledger.receive(4)), (Some(2), Arrival::InOrder));
        assert_eq!(
            (ledger.receive(2), ledger.first_gap(), ledger.receive(3)),
            (Arrival::FilledGap, Some(3), Arrival::FilledGap)
        );
        assert_eq!((ledger.first_gap(), ledger.last()), (None, 4));
    }

    #[test]
    fn all_clients_must_receive_the_same_post_with_a_seq() {
        let mut room = RoomOrder::new(3);
        assert_eq!(room.place(2, 7), Placement::Contradiction, "before the probe");
        assert!(room.set_base(1));
        assert!(!room.set_base(2));
        assert_eq!(
            [7, 7, 8].map(|post| room.place(2, post)),
            [Placement::First, Placement::Known, Placement::Contradiction]
        );
        assert_eq!([1, 5].map(|seq| room.place(seq, 7)), [Placement::Contradiction; 2]);
        room.restart();
        assert_eq!(room.place(5, 7), Placement::Unchecked);
    }

    proptest! {
        /// Messages in any order, any number of times: each is new once, and a missing one is in a
        /// gap or after the cursor.
        #[test]
        fn every_message_is_counted_once(arrivals in proptest::collection::vec(1_u64..40, 0..120)) {
            let mut ledger = ClientLedger::default();
            let mut distinct = std::collections::BTreeSet::new();
            for seq in &arrivals {
                let new = ledger.receive(*seq) != Arrival::Duplicate;
                prop_assert_eq!(new, distinct.insert(*seq));
            }
            let first_missing = (1..=ledger.last()).find(|seq| !distinct.contains(seq));
            prop_assert_eq!(ledger.first_gap(), first_missing);
        }
    }
}
