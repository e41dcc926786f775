//! The clock of a run: microseconds since T0, the start of the first lead-in, without the rests
//! between slices; negative before it.

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
        self.set_t0_us(micros(t0.saturating_duration_since(self.base)));
    }

    /// Sets T0 in microseconds since the run began. Each slice sets it anew, so that the time of the
    /// schedule stands still between slices; it may then be before the run.
    pub(crate) fn set_t0_us(&self, t0_us: i64) {
        self.t0_us.set(t0_us);
    }

    /// When the run began.
    pub(crate) fn base(&self) -> Instant {
        self.base
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
        let since_base = self.t0_us.get() + micros(since_t0);
        self.base + Duration::from_micros(u64::try_from(since_base).unwrap_or(0))
    }
}

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> i64 {
    // In 64 bits, because this runs for every message.
    i64::try_from(duration.as_secs() * 1_000_000 + u64::from(duration.subsec_micros())).unwrap_or(i64::MAX)
}
