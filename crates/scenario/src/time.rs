//! Times of a scenario as durations.

use std::time::Duration;

/// Seconds of the file as a duration in whole microseconds, the resolution of the schedule. Ranges
/// limit it to one day.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_micros((seconds * 1e6).round() as u64)
}
