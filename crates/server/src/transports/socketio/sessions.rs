//! The sessions there are, each from the request that opened it until socketioxide has let go of that request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use socketioxide::socket::Sid;

use super::upgrade_state::UpgradeState;
use crate::counters::TransportSlot;
use crate::flow::Backpressure;

/// All sessions; those that make further requests are found by their names.
pub(super) struct Sessions {
    max: usize,
    open: AtomicUsize,
    by_sid: Mutex<HashMap<Sid, Weak<SessionHandle>>>,
}

impl Sessions {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, open: AtomicUsize::new(0), by_sid: Mutex::default() })
    }

    /// Lets a session begin, unless there are too many.
    pub(super) fn begin(self: &Arc<Self>, slot: TransportSlot) -> Option<Arc<SessionHandle>> {
        self.open.fetch_update(SeqCst, SeqCst, |open| (open < self.max).then_some(open + 1)).ok()?;
        Some(Arc::new(SessionHandle {
            slot,
            backpressure: Arc::default(),
            upgrade: UpgradeState::default(),
            sid: OnceLock::new(),
            sessions: Arc::clone(self),
        }))
    }

    pub(super) fn find(&self, sid: Sid) -> Option<Arc<SessionHandle>> {
        self.lock().get(&sid)?.upgrade()
    }

    /// Ends the polls of all sessions that are on polling.
    pub(super) fn end_polls(&self) {
        // An session that is dropped here takes the lock again.
        let sessions: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        for session in sessions {
            session.upgrade.end_poll();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sid, Weak<SessionHandle>>> {
        self.by_sid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session. It is kept by the request that opened it, which socketioxide keeps as long as the session.
pub(super) struct SessionHandle {
    pub(super) slot: TransportSlot,
    pub(super) backpressure: Arc<Backpressure>,
    pub(super) upgrade: UpgradeState,
    sid: OnceLock<Sid>,
    sessions: Arc<Sessions>,
}

impl SessionHandle {
    /// The session has a name: its next requests find it by that.
    pub(super) fn register(self: &Arc<Self>, sid: Sid) {
        self.sessions.lock().insert(*self.sid.get_or_init(|| sid), Arc::downgrade(self));
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        if let Some(sid) = self.sid.get() {
            self.sessions.lock().remove(sid);
        }
        self.sessions.open.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_and_is_found_until_it_is_dropped() {
        let (sessions, sid) = (Sessions::new(1), Sid::new());
        let session = sessions.begin(TransportSlot::OTHER).unwrap();
        assert!(sessions.begin(TransportSlot::OTHER).is_none());
        session.register(sid);
        assert!(Arc::ptr_eq(&sessions.find(sid).unwrap(), &session));
        drop(session);
        assert!(sessions.find(sid).is_none() && sessions.begin(TransportSlot::OTHER).is_some());
    }
}
