//! Which messages a receiver saw: once, in order, the right ones. Pure.

/// What a seq means to a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The one that had to come, or one after a hole: new either way.
    InOrder,
    /// From a hole: new, but too late in the order.
    FilledGap,
    /// Seen before.
    Duplicate,
}

/// One receiver's account: where it stands, and the holes behind it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientLedger {
    last: u64,
    gaps: Vec<(u64, u64)>,
    /// Planned messages seen, once each.
    pub(crate) received: u32,
}

impl ClientLedger {
    /// Cursor to come back with.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// Begins behind `after`: what was before is nobody's loss.
    pub(crate) fn start_after(&mut self, after: u64) {
        self.last = after;
        self.gaps.clear();
    }

    /// Whether this message was seen.
    pub(crate) fn contains(&self, seq: u64) -> bool {
        seq <= self.last && !self.gaps.iter().any(|&(from, to)| (from..=to).contains(&seq))
    }

    /// First message that was jumped over and has not come since.
    pub(crate) fn first_gap(&self) -> Option<u64> {
        self.gaps.first().map(|hole| hole.0)
    }

    /// What came under this seq was not the message that belongs there: its place is open again.
    pub(crate) fn reopen(&mut self, seq: u64) {
        let at = self.gaps.partition_point(|hole| hole.0 < seq);
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

/// What a room's seqs stand for, as the first receiver of a worker saw it; the others must see the same.
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

    /// The server lost the log: its seqs stand for nothing that is known, and contradict nothing.
    pub(crate) fn restart(&mut self) {
        self.restarted = true;
    }

    pub(crate) const fn was_restarted(&self) -> bool {
        self.restarted
    }

    /// The probe came under this seq: the plan's posts follow it.
    pub(crate) fn set_base(&mut self, probe_seq: u64) -> bool {
        *self.base.get_or_insert(probe_seq) == probe_seq
    }

    /// Notes which post a seq stands for. `None` when it contradicts what was seen before; true when it is the first sighting.
    pub(crate) fn check(&mut self, seq: u64, post: u32) -> Option<bool> {
        if self.restarted {
            return Some(false);
        }
        let at = usize::try_from(seq.checked_sub(self.base? + 1)?).ok()?;
        let known = self.by_seq.get_mut(at)?;
        if *known == UNKNOWN {
            *known = post;
            return Some(true);
        }
        (*known == post).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_fault_shows_as_what_it_is() {
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
    fn a_strange_message_leaves_the_place_of_the_right_one_open() {
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
    fn receivers_must_agree_on_what_a_seq_stands_for() {
        let mut room = RoomOrder::new(3);
        assert_eq!(room.check(2, 7), None);
        assert!(room.set_base(1));
        assert!(!room.set_base(2));
        assert_eq!((room.check(2, 7), room.check(2, 7), room.check(2, 8)), (Some(true), Some(false), None));
        assert_eq!((room.check(1, 7), room.check(5, 7)), (None, None));
    }

    proptest! {
        /// In whatever order and however often messages come: each is new once, and what never came is a hole or a tail.
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
