//! When a client that sends nothing has had enough time. Pure: the caller passes the current time.
//!
//! Requests in quick succession do not each restart the timer. While they come, the connection is
//! checked [`CHECKS_PER_IDLE_TIMEOUT`] times per idle timeout, so it ends at most one such interval
//! too late. All other deadlines are exact.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::ServerLimits;

const CHECKS_PER_IDLE_TIMEOUT: u32 = 4;

/// How long a socket waits for its client.
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

impl Timeouts {
    fn limit(&self, activity: Activity) -> Duration {
        if activity.in_request { self.header } else { self.idle }
    }

    fn check_interval(&self) -> Duration {
        self.idle / CHECKS_PER_IDLE_TIMEOUT
    }
}

/// Requests so far, and whether another one has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Activity {
    pub(super) requests: u32,
    pub(super) in_request: bool,
}

/// The state behind a deadline. The caller keeps the deadline itself, in a timer.
pub(super) struct IdleDeadline {
    /// The activity when the deadline was set.
    activity: Activity,
    /// Whether the client's time ends at the deadline. Otherwise the next check is due.
    is_limit: bool,
}

impl IdleDeadline {
    /// The first deadline.
    pub(super) fn start(timeouts: &Timeouts, activity: Activity, now: Instant) -> (Self, Instant) {
        (Self { activity, is_limit: true }, now + timeouts.limit(activity))
    }

    /// Returns a new deadline if the activity requires one. Not every one of many requests does.
    pub(super) fn update(
        &mut self,
        timeouts: &Timeouts,
        activity: Activity,
        deadline: Instant,
        now: impl FnOnce() -> Instant,
    ) -> Option<Instant> {
        if self.activity == activity || !(self.is_limit || activity.in_request) {
            return None;
        }
        let now = now();
        let was_quiet = deadline < now + (timeouts.idle - timeouts.check_interval());
        self.is_limit = activity.in_request || self.activity.in_request || was_quiet;
        self.activity = activity;
        Some(now + if self.is_limit { timeouts.limit(activity) } else { timeouts.check_interval() })
    }

    /// The next deadline after one has passed, or `None` when the client's time is over.
    pub(super) fn extend(&mut self, timeouts: &Timeouts, activity: Activity, deadline: Instant) -> Option<Instant> {
        if self.is_limit {
            return None;
        }
        self.is_limit = self.activity == activity;
        self.activity = activity;
        let rest = timeouts.idle - timeouts.check_interval();
        Some(deadline + if self.is_limit { rest } else { timeouts.check_interval() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts =
        Timeouts { header: Duration::from_secs(10), idle: Duration::from_secs(75), stall: Duration::from_secs(30) };

    /// A connection that was just accepted, and a simulated clock.
    struct SimulatedConnection {
        state: IdleDeadline,
        deadline: Instant,
        activity: Activity,
        now: Instant,
        /// New deadlines because of activity.
        updates: u32,
    }

    impl SimulatedConnection {
        fn new() -> Self {
            let (activity, now) = (Activity { requests: 0, in_request: true }, Instant::now());
            let (state, deadline) = IdleDeadline::start(&TIMEOUTS, activity, now);
            Self { state, deadline, activity, now, updates: 0 }
        }

        /// Advances the clock. `None`: the client's time was over before.
        fn advance(&mut self, time: Duration) -> Option<()> {
            self.now += time;
            while self.deadline <= self.now {
                self.deadline = self.state.extend(&TIMEOUTS, self.activity, self.deadline)?;
            }
            Some(())
        }

        fn act(&mut self, requests: u32, in_request: bool) {
            self.activity = Activity { requests: self.activity.requests + requests, in_request };
            if let Some(deadline) = self.state.update(&TIMEOUTS, self.activity, self.deadline, || self.now) {
                (self.deadline, self.updates) = (deadline, self.updates + 1);
            }
        }

        /// Time until the connection ends without further activity.
        fn time_to_end(&mut self) -> Duration {
            while let Some(deadline) = self.state.extend(&TIMEOUTS, self.activity, self.deadline) {
                self.deadline = deadline;
            }
            self.deadline - self.now
        }
    }

    #[test]
    fn the_idle_timeout_begins_with_the_last_request_at_any_rate() {
        for (every_ms, count) in [(0, 0), (10, 7), (100, 300), (1_000, 20), (5_000, 10), (60_000, 3), (74_000, 3)] {
            let mut connection = SimulatedConnection::new();
            connection.act(1, false);
            for _ in 0..count {
                connection.advance(Duration::from_millis(every_ms)).unwrap();
                connection.act(1, false);
            }
            let took = connection.time_to_end();
            assert!((TIMEOUTS.idle..TIMEOUTS.idle.mul_f64(1.26)).contains(&took), "{took:?} after {every_ms} ms");
        }
    }

    #[test]
    fn many_requests_set_few_deadlines() {
        let mut connection = SimulatedConnection::new();
        for _ in 0..10_000 {
            connection.act(1, false);
            connection.advance(Duration::from_millis(10)).unwrap();
        }
        assert_eq!(connection.updates, 2, "the first request ends the header timeout, the second starts the checks");
    }

    #[test]
    fn the_header_timeout_begins_with_the_first_byte() {
        assert_eq!(SimulatedConnection::new().time_to_end(), TIMEOUTS.header, "no byte was received");
        for quiet_s in [0, 1, 4, 70] {
            let mut connection = SimulatedConnection::new();
            connection.act(1, false);
            connection.advance(Duration::from_secs(quiet_s)).unwrap();
            connection.act(0, true);
            assert_eq!(connection.time_to_end(), TIMEOUTS.header, "half a head after {quiet_s} s");
        }
    }
}
