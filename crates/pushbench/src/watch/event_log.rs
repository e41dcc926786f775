//! The events of a page, in the order in which they were sent. A browser that connects gets all of
//! them, and one that reconnects those after its last.

use std::sync::Arc;

/// Maximum number of events. Beyond it every second one is forgotten.
const EVENTS_MAX: usize = 1_200;

pub(super) struct EventLog {
    /// Ids ascend. The first event describes the job and is kept.
    events: Vec<(u64, Arc<str>)>,
    next_id: u64,
}

impl EventLog {
    pub(super) fn new(first: String) -> Self {
        Self { events: vec![(1, first.into())], next_id: 2 }
    }

    pub(super) fn push(&mut self, event: String) {
        if self.events.len() >= EVENTS_MAX {
            let mut is_kept = false;
            self.events.retain(|(id, _)| {
                is_kept = !is_kept;
                is_kept || *id == 1
            });
        }
        self.events.push((self.next_id, event.into()));
        self.next_id += 1;
    }

    /// The first event after this id.
    pub(super) fn after(&self, id: u64) -> Option<(u64, Arc<str>)> {
        self.events.get(self.events.partition_point(|(known, _)| *known <= id)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_job_keeps_its_description_its_last_event_and_a_bounded_number_of_events() {
        let mut log = EventLog::new("job".to_owned());
        for number in 0..10 * EVENTS_MAX {
            log.push(number.to_string());
        }
        let (mut id, mut all) = (0, Vec::new());
        while let Some((next, event)) = log.after(id) {
            assert!(next > id);
            id = next;
            all.push(event);
        }
        assert!(all.len() <= EVENTS_MAX && all.len() >= EVENTS_MAX / 2, "{}", all.len());
        assert_eq!((&*all[0], &**all.last().unwrap()), ("job", (10 * EVENTS_MAX - 1).to_string().as_str()));
    }
}
