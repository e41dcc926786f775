//! The open sessions. A session begins with the request that opens it and ends when socketioxide
//! drops that request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use socketioxide::socket::Sid;

use super::backpressure::Backpressure;
use super::upgrade_state::UpgradeState;
use crate::connection::Connection;
use crate::counters::TransportSlot;

/// All sessions, and an index by session id for those that make further requests.
pub(super) struct Sessions {
    max: usize,
    open: AtomicUsize,
    by_sid: Mutex<HashMap<Sid, Weak<SessionHandle>>>,
}

impl Sessions {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, open: AtomicUsize::new(0), by_sid: Mutex::default() })
    }

    /// Begins a session, or returns `None` at the limit.
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

    /// Ends the polls of all sessions.
    pub(super) fn end_polls(&self) {
        // Dropping a session takes the lock again, so it must not be held here.
        let sessions: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        for session in sessions {
            session.upgrade.end_poll();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sid, Weak<SessionHandle>>> {
        self.by_sid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session. The request that opened it holds the handle, and socketioxide keeps that request as
/// long as the session.
pub(super) struct SessionHandle {
    pub(super) slot: TransportSlot,
    pub(super) backpressure: Arc<Backpressure>,
    pub(super) upgrade: UpgradeState,
    sid: OnceLock<Sid>,
    sessions: Arc<Sessions>,
}

impl SessionHandle {
    /// Registers the session id, by which further requests find the session.
    pub(super) fn register(self: &Arc<Self>, sid: Sid) {
        self.sessions.lock().insert(*self.sid.get_or_init(|| sid), Arc::downgrade(self));
    }

    /// Reports what is written on a connection to the session's backpressure.
    pub(super) fn observe_writes(&self, connection: &Connection) {
        let backpressure = Arc::clone(&self.backpressure);
        connection.on_written(move |bytes| backpressure.written(bytes));
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
