//! The order in which a worker's posts are due. A late post is sent at once, in order; none is
//! skipped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use scenario::Plan;

/// A planned post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NextPost {
    pub(crate) due_us: u32,
    pub(crate) client: u32,
    pub(crate) ordinal: u64,
}

/// The posts of a worker's clients, earliest first. It holds one entry per author, however long the
/// run is.
pub(crate) struct ScheduleCursor {
    next: BinaryHeap<Reverse<NextPost>>,
}

impl ScheduleCursor {
    pub(crate) fn new(plan: &Plan, clients: impl Iterator<Item = u32>) -> Self {
        Self { next: clients.filter_map(|client| next_post(plan, client, 1)).map(Reverse).collect() }
    }

    /// When the next post is due, in microseconds since T0.
    pub(crate) fn due_us(&self) -> Option<u32> {
        self.next.peek().map(|next| next.0.due_us)
    }

    /// Takes the next post, if it is due by `now_us`.
    pub(crate) fn pop(&mut self, plan: &Plan, now_us: i64) -> Option<NextPost> {
        let mut top = self.next.peek_mut().filter(|top| i64::from(top.0.due_us) <= now_us)?;
        let post = top.0;
        match next_post(plan, post.client, post.ordinal + 1) {
            Some(following) => *top = Reverse(following),
            None => drop(std::collections::binary_heap::PeekMut::pop(top)),
        }
        Some(post)
    }
}

fn next_post(plan: &Plan, client: u32, ordinal: u64) -> Option<NextPost> {
    let index = plan.post_index(client, ordinal)?;
    Some(NextPost { due_us: plan.due_us(index), client, ordinal })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arrivals: &str) -> Plan {
        let text = format!(
            "name = \"t\"\nquestion = \"?\"\nclients = 12\nrooms = 3\n[posts]\nper_client_per_s = 20.0\narrivals = \"{arrivals}\"\n[phases]\nwarm_up_s = 1.0\nwindow_s = 2.0\n"
        );
        scenario::parse("t.toml", &text, &[]).unwrap().plans.remove(0)
    }

    #[test]
    fn posts_come_once_in_order_and_never_early() {
        for arrivals in ["poisson", "uniform", "staggered", "burst"] {
            let plan = plan(arrivals);
            let mut all = 0;
            for worker in 0..2 {
                let mut cursor = ScheduleCursor::new(&plan, plan.clients_of_worker(worker, 2));
                let mut ordinals = std::collections::HashMap::new();
                let (mut now, mut last) = (0, 0);
                while let Some(due) = cursor.due_us() {
                    assert_eq!(cursor.pop(&plan, i64::from(due) - 1), None, "early");
                    now = (now + 7_000).max(i64::from(due));
                    while let Some(post) = cursor.pop(&plan, now) {
                        assert!(post.due_us >= last);
                        last = post.due_us;
                        let ordinal = ordinals.entry(post.client).or_insert(0);
                        *ordinal += 1;
                        assert_eq!(post.ordinal, *ordinal);
                        all += 1;
                    }
                }
            }
            assert_eq!(all, plan.posts_total(), "{arrivals}");
        }
    }
}
