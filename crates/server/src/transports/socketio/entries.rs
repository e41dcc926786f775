//! The sessions there are, each from the request that opened it until socketioxide has let go of that request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use socketioxide::socket::Sid;

use super::upgrade_state::UpgradeState;
use crate::flow::Flow;
use crate::meter::Label;

/// All sessions; those that make further requests are found by their names.
pub(super) struct Entries {
    max: usize,
    open: AtomicUsize,
    named: Mutex<HashMap<Sid, Weak<Entry>>>,
}

impl Entries {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, open: AtomicUsize::new(0), named: Mutex::default() })
    }

    /// Lets a session begin, unless there are too many.
    pub(super) fn begin(self: &Arc<Self>, label: Label) -> Option<Arc<Entry>> {
        self.open.fetch_update(SeqCst, SeqCst, |open| (open < self.max).then_some(open + 1)).ok()?;
        Some(Arc::new(Entry {
            label,
            flow: Arc::default(),
            upgrade: UpgradeState::default(),
            sid: OnceLock::new(),
            entries: Arc::clone(self),
        }))
    }

    pub(super) fn find(&self, sid: Sid) -> Option<Arc<Entry>> {
        self.lock().get(&sid)?.upgrade()
    }

    /// Ends the polls of all sessions that are on polling.
    pub(super) fn end_polls(&self) {
        // An entry that is dropped here takes the lock again.
        let entries: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        for entry in entries {
            entry.upgrade.end_poll();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sid, Weak<Entry>>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session. It is kept by the request that opened it, which socketioxide keeps as long as the session.
pub(super) struct Entry {
    pub(super) label: Label,
    pub(super) flow: Arc<Flow>,
    pub(super) upgrade: UpgradeState,
    sid: OnceLock<Sid>,
    entries: Arc<Entries>,
}

impl Entry {
    /// The session has a name: its next requests find it by that.
    pub(super) fn name(self: &Arc<Self>, sid: Sid) {
        self.entries.lock().insert(*self.sid.get_or_init(|| sid), Arc::downgrade(self));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(sid) = self.sid.get() {
            self.entries.lock().remove(sid);
        }
        self.entries.open.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_and_is_found_until_it_is_dropped() {
        let (entries, sid) = (Entries::new(1), Sid::new());
        let entry = entries.begin(Label::OTHER).unwrap();
        assert!(entries.begin(Label::OTHER).is_none());
        entry.name(sid);
        assert!(Arc::ptr_eq(&entries.find(sid).unwrap(), &entry));
        drop(entry);
        assert!(entries.find(sid).is_none() && entries.begin(Label::OTHER).is_some());
    }
}
