//! Which messages a receiver saw: once, in order, the right ones. Pure.

/// What a seq means to a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// The one that had to come, or one after a hole: new either way.
    New,
    /// From a hole: new, but too late in the order.
    Late,
    /// Seen before.
    Again,
}

/// One receiver's account: where it stands, and the holes behind it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeatLedger {
    last: u64,
    holes: Vec<(u64, u64)>,
    /// Planned messages seen, once each.
    pub(crate) seen: u32,
}

impl SeatLedger {
    /// Cursor to come back with.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// Begins behind `after`: what was before is nobody's loss.
    pub(crate) fn begin(&mut self, after: u64) {
        self.last = after;
        self.holes.clear();
    }

    /// Whether this message was seen.
    pub(crate) fn has(&self, seq: u64) -> bool {
        seq <= self.last && !self.holes.iter().any(|&(from, to)| (from..=to).contains(&seq))
    }

    /// First message that was jumped over and has not come since.
    pub(crate) fn first_hole(&self) -> Option<u64> {
        self.holes.first().map(|hole| hole.0)
    }

    /// What came under this seq was not the message that belongs there: its place is open again.
    pub(crate) fn reopen(&mut self, seq: u64) {
        let at = self.holes.partition_point(|hole| hole.0 < seq);
        self.holes.insert(at, (seq, seq));
    }

    pub(crate) fn see(&mut self, seq: u64) -> Sighting {
        if seq == self.last + 1 {
            self.last = seq;
            return Sighting::New;
        }
        if seq > self.last {
            self.holes.push((self.last + 1, seq - 1));
            self.last = seq;
            return Sighting::New;
        }
        let Some(at) = self.holes.iter().position(|&(from, to)| (from..=to).contains(&seq)) else {
            return Sighting::Again;
        };
        let (from, to) = self.holes.remove(at);
        if seq < to {
            self.holes.insert(at, (seq + 1, to));
        }
        if from < seq {
            self.holes.insert(at, (from, seq - 1));
        }
        Sighting::Late
    }
}

/// What a room's seqs stand for, as the first receiver of a worker saw it; the others must see the same.
#[derive(Debug)]
pub(crate) struct RoomLedger {
    base: Option<u64>,
    by_seq: Box<[u32]>,
    began_anew: bool,
}

const NOT_SEEN: u32 = u32::MAX;

impl RoomLedger {
    pub(crate) fn new(posts: u64) -> Self {
        let posts = usize::try_from(posts).expect("the plan bounds its posts");
        Self { base: None, by_seq: vec![NOT_SEEN; posts].into(), began_anew: false }
    }

    /// The server lost the log: its seqs stand for nothing that is known, and contradict nothing.
    pub(crate) fn begin_anew(&mut self) {
        self.began_anew = true;
    }

    pub(crate) const fn began_anew(&self) -> bool {
        self.began_anew
    }

    /// The probe came under this seq: the plan's posts follow it.
    pub(crate) fn set_base(&mut self, probe_seq: u64) -> bool {
        *self.base.get_or_insert(probe_seq) == probe_seq
    }

    /// Notes which post a seq stands for. `None` when it contradicts what was seen before; true when it is the first sighting.
    pub(crate) fn agree(&mut self, seq: u64, post: u32) -> Option<bool> {
        if self.began_anew {
            return Some(false);
        }
        let at = usize::try_from(seq.checked_sub(self.base? + 1)?).ok()?;
        let known = self.by_seq.get_mut(at)?;
        if *known == NOT_SEEN {
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
        let mut ledger = SeatLedger::default();
        ledger.begin(10);
        assert_eq!(ledger.see(11), Sighting::New);
        assert_eq!(ledger.see(11), Sighting::Again);
        assert_eq!(ledger.see(14), Sighting::New);
        assert_eq!(ledger.see(13), Sighting::Late);
        assert_eq!(ledger.see(13), Sighting::Again);
        assert_eq!((ledger.first_hole(), ledger.last()), (Some(12), 14));
        assert_eq!(ledger.see(9), Sighting::Again);
    }

    #[test]
    fn a_strange_message_leaves_the_place_of_the_right_one_open() {
        let mut ledger = SeatLedger::default();
        (1..=3).for_each(|seq| assert_eq!(ledger.see(seq), Sighting::New));
        ledger.reopen(3);
        ledger.reopen(2);
        assert_eq!((ledger.first_hole(), ledger.see(4)), (Some(2), Sighting::New));
        assert_eq!((ledger.see(2), ledger.first_hole(), ledger.see(3)), (Sighting::Late, Some(3), Sighting::Late));
        assert_eq!((ledger.first_hole(), ledger.last()), (None, 4));
    }

    #[test]
    fn receivers_must_agree_on_what_a_seq_stands_for() {
        let mut room = RoomLedger::new(3);
        assert_eq!(room.agree(2, 7), None);
        assert!(room.set_base(1));
        assert!(!room.set_base(2));
        assert_eq!((room.agree(2, 7), room.agree(2, 7), room.agree(2, 8)), (Some(true), Some(false), None));
        assert_eq!((room.agree(1, 7), room.agree(5, 7)), (None, None));
    }

    proptest! {
        /// In whatever order and however often messages come: each is new once, and what never came is a hole or a tail.
        #[test]
        fn every_message_is_counted_once(arrivals in proptest::collection::vec(1_u64..40, 0..120)) {
            let mut ledger = SeatLedger::default();
            let mut distinct = std::collections::BTreeSet::new();
            for seq in &arrivals {
                let new = ledger.see(*seq) != Sighting::Again;
                prop_assert_eq!(new, distinct.insert(*seq));
            }
            let first_missing = (1..=ledger.last()).find(|seq| !distinct.contains(seq));
            prop_assert_eq!(ledger.first_hole(), first_missing);
        }
    }
}
