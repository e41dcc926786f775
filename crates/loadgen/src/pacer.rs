//! When the next post is due. Late posts leave at once, in order; none is skipped or bunched.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use scenario::Plan;
use tokio::io::unix::AsyncFd;

/// One of a worker's posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NextPost {
    pub(crate) due_us: u32,
    pub(crate) client: u32,
    pub(crate) ordinal: u64,
}

/// The posts of a worker's share, soonest first: one entry an author, whatever the length of the run.
pub(crate) struct ScheduleCursor {
    next: BinaryHeap<Reverse<NextPost>>,
}

impl ScheduleCursor {
    pub(crate) fn new(plan: &Plan, clients: impl Iterator<Item = u32>) -> Self {
        Self { next: clients.filter_map(|client| next_post(plan, client, 1)).map(Reverse).collect() }
    }

    /// When the next post is due.
    pub(crate) fn due_us(&self) -> Option<u32> {
        self.next.peek().map(|next| next.0.due_us)
    }

    /// The next post, if it is due by now.
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
    Some(NextPost { due_us: plan.due_us(index), client: client, ordinal })
}

/// A timer of the kernel's own resolution: the runtime's has a millisecond, more than a whole delivery takes.
pub(crate) struct PreciseTimer {
    timer: TimerFd,
    /// The same file, for the runtime to wait on.
    ready: AsyncFd<OwnedFd>,
}

impl PreciseTimer {
    pub(crate) fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // SAFETY: an `OwnedFd` keeps its descriptor open and the same for as long as it lives.
        #[expect(unsafe_code, reason = "tokio has no safe way to wait on a descriptor that is not a socket")]
        let ready = unsafe { AsyncFd::register(timer.as_fd().try_clone_to_owned()?) }?;
        Ok(Self { timer, ready })
    }

    /// Sleeps; at once when there is nothing to sleep.
    pub(crate) async fn sleep(&self, duration: Duration) -> io::Result<()> {
        if duration.is_zero() {
            tokio::task::yield_now().await;
            return Ok(());
        }
        self.timer.set(Expiration::OneShot(TimeSpec::from_duration(duration)), TimerSetTimeFlags::empty())?;
        loop {
            let mut ready = self.ready.readable().await?;
            let mut expirations = [0; 8];
            match nix::unistd::read(&self.timer, &mut expirations) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EAGAIN) => ready.clear_ready(),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
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
    fn all_posts_of_a_share_come_once_in_order_and_never_early() {
        for arrivals in ["poisson", "uniform", "staggered", "burst"] {
            let plan = plan(arrivals);
            let mut all = 0;
            for worker in 0..2 {
                let mut pacer = ScheduleCursor::new(&plan, plan.clients_of_worker(worker, 2));
                let mut ordinals = std::collections::HashMap::new();
                let (mut now, mut last) = (0, 0);
                while let Some(due) = pacer.due_us() {
                    assert_eq!(pacer.pop(&plan, i64::from(due) - 1), None, "early");
                    now = (now + 7_000).max(i64::from(due));
                    while let Some(post) = pacer.pop(&plan, now) {
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
