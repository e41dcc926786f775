//! A timer of one task that costs nothing until it expires: the runtime is asked only once after
//! the timer was set.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

use super::armed::Armed;

pub(crate) struct Timer<S: Deref<Target = Sleep>> {
    sleep: Pin<S>,
    armed: Armed,
}

impl<S: DerefMut<Target = Sleep>> Timer<S> {
    pub(crate) fn new(sleep: Pin<S>) -> Self {
        Self { sleep, armed: Armed::default() }
    }

    fn deadline(&self) -> Instant {
        self.sleep.deadline()
    }

    pub(crate) fn reset(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.armed.clear();
    }

    /// Ready at the deadline.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.armed.is_for(cx) && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        let expired = self.sleep.as_mut().poll(cx);
        self.armed.update(cx, &expired);
        expired
    }

    /// Ready at `end`. Moves the deadline only if it is later, or when it is reached: a task that
    /// waits again and again, and mostly not for long, sets its timer rarely.
    pub(crate) fn poll_until(&mut self, end: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline() > end {
            self.reset(end);
        }
        loop {
            ready!(self.poll(cx));
            if self.deadline() >= end {
                return Poll::Ready(());
            }
            self.reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_timer_expires_at_its_deadline_also_after_a_reset() {
        let start = Instant::now();
        let mut timer = Timer::new(Box::pin(sleep(SECOND)));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed(), SECOND);
        timer.reset(start + 3 * SECOND);
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed(), 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn later_and_earlier_ends_are_kept_exactly() {
        let start = Instant::now();
        let mut timer = Timer::new(Box::pin(sleep(SECOND)));
        for end_s in [3, 5, 6, 20] {
            poll_fn(|cx| timer.poll_until(start + end_s * SECOND, cx)).await;
            assert_eq!(start.elapsed(), end_s * SECOND);
            // Another wait that would have been longer.
            let longer = poll_fn(|cx| Poll::Ready(timer.poll_until(start + 100 * SECOND, cx))).await;
            assert!(longer.is_pending());
        }
    }
}
