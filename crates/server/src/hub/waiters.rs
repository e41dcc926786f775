//! The wakers of the readers that wait for the next message. A reader registers once per round; a
//! round ends when all readers are woken.

use std::task::Waker;

use slab::Slab;

#[derive(Default)]
pub(super) struct Waiters {
    wakers: Slab<Waker>,
    round: u64,
}

/// The registration of one reader in one round.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaiterId {
    pub(super) round: u64,
    key: usize,
}

impl Waiters {
    /// Registers a reader, or replaces its waker.
    pub(super) fn register(&mut self, id: &mut Option<WaiterId>, waker: &Waker) {
        match id {
            Some(id) if id.round == self.round => self.wakers[id.key].clone_from(waker),
            _ => *id = Some(WaiterId { round: self.round, key: self.wakers.insert(waker.clone()) }),
        }
    }

    pub(super) fn remove(&mut self, id: Option<WaiterId>) {
        if let Some(id) = id.filter(|id| id.round == self.round) {
            self.wakers.remove(id.key);
        }
    }

    /// Ends the round. The caller wakes the readers after it has released its lock.
    pub(super) fn take(&mut self) -> Slab<Waker> {
        self.round += 1;
        let next = Slab::with_capacity(self.wakers.len());
        std::mem::replace(&mut self.wakers, next)
    }

    /// Number of rounds that have ended.
    pub(super) const fn round(&self) -> u64 {
        self.round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_registered_once_and_removed_with_its_id() {
        let mut waiters = Waiters::default();
        let (mut a, mut b) = (None, None);
        let waker = Waker::noop();
        waiters.register(&mut a, waker);
        waiters.register(&mut a, waker);
        waiters.register(&mut b, waker);
        assert_eq!(waiters.wakers.len(), 2);
        waiters.remove(a);
        assert_eq!(waiters.take().len(), 1);
        waiters.remove(b);
        waiters.register(&mut b, waker);
        assert_eq!(waiters.take().len(), 1);
    }
}
