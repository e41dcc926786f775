//! How long a socket waits for its client, and the timer of one that sends nothing.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::timer::Timer;
use crate::config::ServerLimits;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// For a request head or a join.
    pub(super) header: Duration,
    /// Between requests.
    pub(super) idle: Duration,
    /// For a client that does not read.
    pub(super) stall: Duration,
}

impl From<&ServerLimits> for Timeouts {
    fn from(limits: &ServerLimits) -> Self {
        Self { header: limits.header_timeout, idle: limits.idle_timeout, stall: limits.stall_timeout }
    }
}

/// Requests so far, and whether another one has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Activity {
    pub(super) requests: u32,
    pub(super) in_request: bool,
}

/// The time of a client that sends nothing. It begins anew with each activity.
pub(super) struct IdleTimer {
    timer: Timer<Box<Sleep>>,
    /// `None`: the client's time does not run.
    activity: Option<Activity>,
    end: Instant,
}

impl IdleTimer {
    pub(super) fn new(timeouts: &Timeouts) -> Self {
        let end = Instant::now() + timeouts.header;
        Self { timer: Timer::new(Box::pin(sleep_until(end))), activity: None, end }
    }

    /// The client's time begins again with the next call of [`IdleTimer::poll`].
    pub(super) const fn stop(&mut self) {
        self.activity = None;
    }

    /// Ready when the client has had enough time.
    pub(super) fn poll(&mut self, timeouts: &Timeouts, activity: Activity, cx: &mut Context<'_>) -> Poll<()> {
        if self.activity.replace(activity) != Some(activity) {
            self.end = Instant::now() + if activity.in_request { timeouts.header } else { timeouts.idle };
        }
        self.timer.poll_until(self.end, cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const TIMEOUTS: Timeouts =
        Timeouts { header: Duration::from_secs(10), idle: Duration::from_secs(75), stall: Duration::from_secs(30) };

    /// Polls after this time. Returns whether the client's time is over.
    async fn is_over(idle: &mut IdleTimer, requests: u32, in_request: bool, after: Duration) -> bool {
        tokio::time::sleep(after).await;
        let activity = Activity { requests, in_request };
        poll_fn(|cx| Poll::Ready(idle.poll(&TIMEOUTS, activity, cx))).await.is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn the_idle_timeout_begins_with_the_last_request_at_any_rate() {
        for (every_ms, count) in [(10, 7), (100, 300), (1_000, 20), (60_000, 3), (74_000, 3)] {
            let mut idle = IdleTimer::new(&TIMEOUTS);
            for request in 1..=count {
                assert!(!is_over(&mut idle, request, false, Duration::from_millis(every_ms)).await, "{every_ms} ms");
            }
            let start = Instant::now();
            poll_fn(|cx| idle.poll(&TIMEOUTS, Activity { requests: count, in_request: false }, cx)).await;
            assert_eq!(start.elapsed(), TIMEOUTS.idle, "{every_ms} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_header_timeout_begins_with_the_first_byte() {
        let mut idle = IdleTimer::new(&TIMEOUTS);
        assert!(!is_over(&mut idle, 1, false, Duration::ZERO).await);
        assert!(!is_over(&mut idle, 1, true, Duration::from_secs(70)).await);
        assert!(!is_over(&mut idle, 1, true, TIMEOUTS.header - Duration::from_millis(1)).await);
        assert!(is_over(&mut idle, 1, true, Duration::from_millis(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_server_works_does_not_count() {
        let mut idle = IdleTimer::new(&TIMEOUTS);
        assert!(!is_over(&mut idle, 1, false, Duration::ZERO).await);
        idle.stop();
        assert!(!is_over(&mut idle, 1, false, 2 * TIMEOUTS.idle).await);
        assert!(!is_over(&mut idle, 1, false, TIMEOUTS.idle - Duration::from_millis(1)).await);
        assert!(is_over(&mut idle, 1, false, Duration::from_millis(1)).await);
    }
}
