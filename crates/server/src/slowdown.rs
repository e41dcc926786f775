//! A deliberate slowdown: a known cost for each delivered message. The gate is tested with it.

use std::str::FromStr;
use std::time::{Duration, Instant};

/// Limits against typing errors.
const CPU_MAX: Duration = Duration::from_secs(1);
const ALLOCS_MAX: u64 = 65_536;

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
        if !self.cpu.is_zero() {
            let end = Instant::now() + self.cpu * u32::try_from(messages).unwrap_or(u32::MAX);
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
