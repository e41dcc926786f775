//! A deliberate slowdown: a known cost for each delivered message. The gate is tested with it.

use std::str::FromStr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Limits against typing errors.
const CPU_MAX: Duration = Duration::from_secs(1);
const ALLOCS_MAX: u64 = 65_536;
/// A loop of about a tenth of a millisecond, measured so many times.
const CALIBRATION_TURNS: u64 = 100_000;
const CALIBRATIONS: usize = 100;

/// Additional cost of each delivered message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slowdown {
    /// CPU time, spent just before the message is written.
    pub cpu: Duration,
    /// Number of memory allocations.
    pub allocs: u64,
}

impl FromStr for Slowdown {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut slowdown = Self::default();
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("cpu", value)) => slowdown.cpu = duration(value)?,
                Some(("allocs", value)) => slowdown.allocs = count(value)?,
                _ => return Err(format!("unknown cost {part:?}; use cpu=5us, allocs=2 or both, separated by a comma")),
            }
        }
        Ok(slowdown)
    }
}

fn count(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| *count <= ALLOCS_MAX);
    count.ok_or_else(|| format!("{text:?} is not a whole number from 0 to {ALLOCS_MAX}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..unit].parse::<u64>().ok();
    let duration = number.and_then(|number| match &text[unit..] {
        "ns" => Some(Duration::from_nanos(number)),
        "us" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        _ => None,
    });
    duration
        .filter(|duration| *duration <= CPU_MAX)
        .ok_or_else(|| format!("{text:?} is not a duration such as 500ns, 5us or 1ms, at most 1000ms"))
}

impl Slowdown {
    /// Spends the cost of `messages` messages.
    pub(crate) fn apply(&self, messages: u64) {
        for _ in 0..self.allocs * messages {
            drop(std::hint::black_box(Box::new(messages)));
        }
        let turns = self.cpu.as_nanos() as f64 * *TURNS_PER_NS * messages as f64;
        turn(turns as u64);
    }

    /// Does beforehand what would make the first message more expensive than the others.
    pub(crate) fn prepare(&self) {
        LazyLock::force(&TURNS_PER_NS);
    }
}

/// A loop whose time follows from its turns: to read a clock costs as much as the shortest
/// slowdown. It uses registers only. A loop over memory is three times as fast when it runs often,
/// as while it is calibrated, as between other work.
fn turn(turns: u64) {
    let mut state = std::hint::black_box(turns);
    for _ in 0..turns {
        state = (state ^ (state >> 29)).wrapping_mul(6_364_136_223_846_793_005);
    }
    std::hint::black_box(state);
}

/// Of the fastest measurement, which nothing interrupted.
static TURNS_PER_NS: LazyLock<f64> = LazyLock::new(|| {
    let measure = |_| {
        let begun = Instant::now();
        turn(CALIBRATION_TURNS);
        CALIBRATION_TURNS as f64 / begun.elapsed().as_nanos().max(1) as f64
    };
    (0..CALIBRATIONS).map(measure).fold(0.0, f64::max)
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_slowdown_is_about_what_was_asked_for() {
        let slowdown = Slowdown { cpu: Duration::from_micros(20), allocs: 0 };
        slowdown.prepare();
        let time = |_| {
            let begun = Instant::now();
            slowdown.apply(10);
            begun.elapsed()
        };
        // The fastest of many: other programs only make it longer. The machine may have become
        // faster since it was measured.
        let fastest = (0..500).map(time).min().unwrap();
        assert!((100..=300).contains(&fastest.as_micros()), "{fastest:?}");
    }

    #[test]
    fn a_slowdown_is_parsed_or_refused() {
        let both = Slowdown { cpu: Duration::from_micros(5), allocs: 2 };
        assert_eq!("cpu=5us,allocs=2".parse(), Ok(both));
        assert_eq!("cpu=500ns".parse(), Ok(Slowdown { cpu: Duration::from_nanos(500), allocs: 0 }));
        for bad in ["", "cpu", "cpu=5", "cpu=5s", "cpu=us", "cpu=2000ms", "allocs=-1", "allocs=99999999", "bytes=64"] {
            assert!(bad.parse::<Slowdown>().is_err(), "{bad}");
        }
    }
}
