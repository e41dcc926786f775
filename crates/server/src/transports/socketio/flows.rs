//! The flows of all sessions, by the name socketioxide has for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use socketioxide::socket::Sid;

use crate::flow::Flow;

/// The flows of all sessions that have come to a namespace.
#[derive(Default)]
pub(super) struct Flows(Mutex<HashMap<Sid, Weak<Flow>>>);

impl Flows {
    /// A session's flow, which both namespaces share.
    pub(super) fn enter(&self, sid: Sid) -> Arc<Flow> {
        let mut flows = self.lock();
        if let Some(flow) = flows.get(&sid).and_then(Weak::upgrade) {
            return flow;
        }
        let flow = Arc::<Flow>::default();
        flows.insert(sid, Arc::downgrade(&flow));
        flow
    }

    /// A namespace is done with a flow.
    pub(super) fn leave(&self, sid: Sid) {
        let mut flows = self.lock();
        if flows.get(&sid).is_some_and(|flow| flow.strong_count() <= 1) {
            flows.remove(&sid);
        }
    }

    pub(super) fn of(&self, sid: Sid) -> Option<Arc<Flow>> {
        self.lock().get(&sid)?.upgrade()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sid, Weak<Flow>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_forgotten_with_its_last_namespace() {
        let (flows, sid) = (Flows::default(), Sid::new());
        let (one, other) = (flows.enter(sid), flows.enter(sid));
        assert!(Arc::ptr_eq(&one, &other));
        flows.leave(sid);
        assert_eq!(flows.len(), 1);
        drop(one);
        flows.leave(sid);
        assert_eq!((flows.len(), flows.of(sid).is_none()), (0, true));
    }
}
