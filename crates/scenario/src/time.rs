//! Times of a scenario as durations.

use std::time::Duration;

/// Seconds as written, in whole microseconds: the resolution of the plan. The ranges keep them between 0 and a day.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_micros((seconds * 1e6).round() as u64)
}
