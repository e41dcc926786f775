//! The clock of a run: microseconds since T0, the start of the warm-up; negative before it.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// One clock per worker. All workers of a run have the same T0.
pub(crate) struct Clock {
    base: Instant,
    t0_us: Cell<i64>,
}

impl Clock {
    /// A clock whose T0 is not yet known: every instant is before it.
    pub(crate) fn new(base: Instant) -> Self {
        Self { base, t0_us: Cell::new(i64::MAX / 2) }
    }

    pub(crate) fn set_t0(&self, t0: Instant) {
        self.t0_us.set(micros(t0.saturating_duration_since(self.base)));
    }

    pub(crate) fn has_t0(&self) -> bool {
        self.t0_us.get() < i64::MAX / 2
    }

    /// Microseconds since T0.
    pub(crate) fn now_us(&self) -> i64 {
        self.run_us() - self.t0_us.get()
    }

    /// Microseconds since the run began; also defined before T0.
    pub(crate) fn run_us(&self) -> i64 {
        micros(self.base.elapsed())
    }

    /// The instant of a time since T0.
    pub(crate) fn instant(&self, since_t0: Duration) -> Instant {
        self.base + Duration::from_micros(self.t0_us.get().unsigned_abs()) + since_t0
    }
}

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> i64 {
    // In 64 bits, because this runs for every message.
    i64::try_from(duration.as_secs() * 1_000_000 + u64::from(duration.subsec_micros())).unwrap_or(i64::MAX)
}
