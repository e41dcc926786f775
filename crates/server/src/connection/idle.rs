//! How long a client is waited for that sends nothing. Pure: the subscriber says what time it is.
//!
//! Requests that come fast are not timed one by one. While they come, the connection is looked at [`LOOKS_PER_IDLE_TIMEOUT`] times in an
//! idle timeout, and so it ends at most one such part of it too late. Everything else is timed exactly.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::ServerLimits;

const CHECKS_PER_IDLE_TIMEOUT: u32 = 32;

/// How long a socket waits for its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) stall: Duration,
}

impl From<&ServerLimits> for Timeouts {
    fn from(limits: &ServerLimits) -> Self {
        Self { header: limits.header_timeout, idle: limits.idle_timeout, stall: limits.stall_timeout }
    }
}

impl Timeouts {
    fn limit(&self, seen: Activity) -> Duration {
        if seen.in_request { self.header } else { self.idle }
    }

    fn check_interval(&self) -> Duration {
        self.idle / CHECKS_PER_IDLE_TIMEOUT
    }
}

/// Requests so far, and whether another had begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Activity {
    pub(super) requests: u32,
    pub(super) in_request: bool,
}

/// What was true when a wait began. Its end is the subscriber's to keep, in a timer.
pub(super) struct IdleDeadline {
    seen: Activity,
    /// Whether it ends with the client's time, and not with the next look.
    is_limit: bool,
}

impl IdleDeadline {
    /// A wait and its end.
    pub(super) fn start(timeouts: &Timeouts, seen: Activity, now: Instant) -> (Self, Instant) {
        (Self { seen, is_limit: true }, now + timeouts.limit(seen))
    }

    /// Takes note of what has happened. A wait with another end begins then, but not for each of many requests.
    pub(super) fn update(
        &mut self,
        timeouts: &Timeouts,
        seen: Activity,
        end: Instant,
        now: impl FnOnce() -> Instant,
    ) -> Option<Instant> {
        if self.seen == seen || !(self.is_limit || seen.in_request) {
            return None;
        }
        let now = now();
        let was_quiet = end < now + (timeouts.idle - timeouts.check_interval());
        self.is_limit = seen.in_request || self.seen.in_request || was_quiet;
        self.seen = seen;
        Some(now + if self.is_limit { timeouts.limit(seen) } else { timeouts.check_interval() })
    }

    /// Where the wait goes on to behind its end; `None` when the client has had its time.
    pub(super) fn extend(&mut self, timeouts: &Timeouts, seen: Activity, end: Instant) -> Option<Instant> {
        if self.is_limit {
            return None;
        }
        self.is_limit = self.seen == seen;
        self.seen = seen;
        Some(end + if self.is_limit { timeouts.idle - timeouts.check_interval() } else { timeouts.check_interval() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts =
        Timeouts { header: Duration::from_secs(10), idle: Duration::from_secs(75), stall: Duration::from_secs(30) };

    /// A connection that was just accepted, and the instant it is at.
    struct SimulatedConnection {
        wait: IdleDeadline,
        end: Instant,
        seen: Activity,
        at: Instant,
        /// Times a wait was begun for something that happened.
        noted: u32,
    }

    impl SimulatedConnection {
        fn new() -> Self {
            let (seen, at) = (Activity { requests: 0, in_request: true }, Instant::now());
            let (wait, end) = IdleDeadline::start(&TIMEOUTS, seen, at);
            Self { wait, end, seen, at, noted: 0 }
        }

        /// Lets time pass; `None` when the client had no more.
        fn pass(&mut self, time: Duration) -> Option<()> {
            self.at += time;
            while self.end <= self.at {
                self.end = self.wait.extend(&TIMEOUTS, self.seen, self.end)?;
            }
            Some(())
        }

        fn see(&mut self, requests: u32, in_head: bool) {
            self.seen = Activity { requests: self.seen.requests + requests, in_request: in_head };
            if let Some(end) = self.wait.update(&TIMEOUTS, self.seen, self.end, || self.at) {
                (self.end, self.noted) = (end, self.noted + 1);
            }
        }

        /// Time until the connection ends if nothing more happens.
        fn time_to_end(&mut self) -> Duration {
            while let Some(end) = self.wait.extend(&TIMEOUTS, self.seen, self.end) {
                self.end = end;
            }
            self.end - self.at
        }
    }

    #[test]
    fn the_idle_timeout_begins_with_the_last_request_however_often_they_came() {
        for (every_ms, count) in [(0, 0), (10, 7), (100, 300), (1_000, 20), (5_000, 10), (60_000, 3), (74_000, 3)] {
            let mut connection = SimulatedConnection::new();
            connection.see(1, false);
            for _ in 0..count {
                connection.pass(Duration::from_millis(every_ms)).unwrap();
                connection.see(1, false);
            }
            let took = connection.time_to_end();
            assert!((TIMEOUTS.idle..TIMEOUTS.idle.mul_f64(1.04)).contains(&took), "{took:?} after {every_ms} ms");
        }
    }

    #[test]
    fn many_requests_begin_few_waits() {
        let mut connection = SimulatedConnection::new();
        for _ in 0..10_000 {
            connection.see(1, false);
            connection.pass(Duration::from_millis(10)).unwrap();
        }
        assert_eq!(connection.noted, 2, "the first request ends the wait for its head, the second the quiet behind it");
    }

    #[test]
    fn a_head_has_its_own_timeout_from_its_first_byte() {
        assert_eq!(SimulatedConnection::new().time_to_end(), TIMEOUTS.header, "no byte came");
        for quiet_s in [0, 1, 4, 70] {
            let mut connection = SimulatedConnection::new();
            connection.see(1, false);
            connection.pass(Duration::from_secs(quiet_s)).unwrap();
            connection.see(0, true);
            assert_eq!(connection.time_to_end(), TIMEOUTS.header, "half a head after {quiet_s} s");
        }
    }
}
