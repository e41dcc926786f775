//! The sessions there are, each from the request that opened it until socketioxide has let go of that request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use socketioxide::socket::Sid;

use crate::flow::Flow;
use crate::meter::Label;

/// All sessions, and the flows of those that make further requests.
pub(super) struct Entries {
    max: usize,
    open: AtomicUsize,
    flows: Mutex<HashMap<Sid, Arc<Flow>>>,
}

impl Entries {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, open: AtomicUsize::new(0), flows: Mutex::default() })
    }

    /// Lets a session begin, unless there are too many.
    pub(super) fn begin(self: &Arc<Self>, label: Label) -> Option<Arc<Entry>> {
        self.open.fetch_update(SeqCst, SeqCst, |open| (open < self.max).then_some(open + 1)).ok()?;
        Some(Arc::new(Entry {
            label,
            flow: Arc::default(),
            sid: OnceLock::new(),
            namespaces: Mutex::default(),
            entries: Arc::clone(self),
        }))
    }

    pub(super) fn flow(&self, sid: Sid) -> Option<Arc<Flow>> {
        self.lock().get(&sid).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sid, Arc<Flow>>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session. It is kept by the request that opened it, which socketioxide keeps as long as the session.
pub(super) struct Entry {
    pub(super) label: Label,
    pub(super) flow: Arc<Flow>,
    sid: OnceLock<Sid>,
    namespaces: Mutex<Vec<String>>,
    entries: Arc<Entries>,
}

impl Entry {
    /// The session has a name: its next requests find its flow by it.
    pub(super) fn name(&self, sid: Sid) {
        self.entries.lock().insert(*self.sid.get_or_init(|| sid), Arc::clone(&self.flow));
    }

    /// Takes a place in a namespace, of which a session has one: socketioxide would forget the first for a second.
    pub(super) fn come_to(self: &Arc<Self>, namespace: &str) -> Option<Place> {
        let mut namespaces = self.namespaces();
        if namespaces.iter().any(|taken| taken == namespace) {
            return None;
        }
        namespaces.push(namespace.to_owned());
        Some(Place { entry: Arc::clone(self), namespace: namespace.to_owned() })
    }

    fn namespaces(&self) -> MutexGuard<'_, Vec<String>> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A session's place in a namespace, free again when this is dropped.
pub(super) struct Place {
    entry: Arc<Entry>,
    namespace: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.entry.namespaces().retain(|taken| *taken != self.namespace);
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
        assert!(Arc::ptr_eq(&entries.flow(sid).unwrap(), &entry.flow));
        let place = entry.come_to("/").unwrap();
        assert!(entry.come_to("/").is_none() && entry.come_to("/chat").is_some());
        drop(place);
        assert!(entry.come_to("/").is_some());
        drop(entry);
        assert!(entries.flow(sid).is_none() && entries.begin(Label::OTHER).is_some());
    }
}
