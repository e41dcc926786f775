//! Who waits for the next message. A place in the list is taken once per round; a round ends when everybody is woken.

use std::task::Waker;

use slab::Slab;

#[derive(Default)]
pub(super) struct Waiters {
    wakers: Slab<Waker>,
    round: u64,
}

/// A reader's place in the list.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaiterId {
    round: u64,
    key: usize,
}

impl Waiters {
    /// Takes a place, or refreshes the one held.
    pub(super) fn join(&mut self, place: &mut Option<WaiterId>, waker: &Waker) {
        match place {
            Some(held) if held.round == self.round => self.wakers[held.key].clone_from(waker),
            _ => *place = Some(WaiterId { round: self.round, key: self.wakers.insert(waker.clone()) }),
        }
    }

    /// Gives a place back.
    pub(super) fn leave(&mut self, place: Option<WaiterId>) {
        if let Some(held) = place.filter(|held| held.round == self.round) {
            self.wakers.remove(held.key);
        }
    }

    /// Ends the round: the subscriber wakes them, outside its lock.
    pub(super) fn take(&mut self) -> Slab<Waker> {
        self.round += 1;
        std::mem::take(&mut self.wakers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_a_reader_and_none_after_it_left() {
        let mut waiting = Waiters::default();
        let (mut a, mut b) = (None, None);
        let waker = Waker::noop();
        waiting.join(&mut a, waker);
        waiting.join(&mut a, waker);
        waiting.join(&mut b, waker);
        assert_eq!(waiting.wakers.len(), 2);
        waiting.leave(a);
        assert_eq!(waiting.take().len(), 1);
        waiting.leave(b);
        waiting.join(&mut b, waker);
        assert_eq!(waiting.take().len(), 1);
    }
}
