//! Number of blocks and length of the window that fit a gate's budget.

use std::time::Duration;

use report::gate::Rule;

const SIDES: u32 = 3;
/// Shorter windows give no metrics.
const WINDOW_MIN: Duration = Duration::from_secs(1);
const BLOCKS: usize = 16;
const BLOCKS_LONG: usize = 24;

/// Blocks and window of a gate that fits its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fit {
    pub(crate) blocks: usize,
    pub(crate) window: Duration,
}

/// Chooses 24 blocks when they fit with the scenario's window, else 16 with a window as long as the
/// budget allows. When not even the shortest window fits, fewer blocks, as long as `cells` metrics
/// can still be judged. `overhead` is the time of a run besides its window. `Err` is the budget it
/// would need.
pub(crate) fn fit(
    budget: Duration,
    window_max: Duration,
    overhead: Duration,
    transports: usize,
    cells: usize,
    blocks: Option<usize>,
) -> Result<Fit, Duration> {
    let runs = |blocks: usize| SIDES * u32::try_from(blocks * transports).unwrap_or(u32::MAX);
    let window_of = |blocks: usize| (budget / runs(blocks).max(1)).saturating_sub(overhead).min(window_max);
    let least = WINDOW_MIN.min(window_max);
    let wanted = blocks.map_or(vec![BLOCKS_LONG, BLOCKS], |blocks| vec![blocks]);
    for blocks in wanted {
        let window = window_of(blocks);
        let enough = if blocks == BLOCKS_LONG { window_max } else { least };
        if window >= enough {
            return Ok(Fit { blocks, window });
        }
    }
    let blocks_min = blocks.unwrap_or_else(|| Rule::blocks_min(cells));
    let fewer = (blocks_min..BLOCKS).rev().find(|blocks| window_of(*blocks) >= least);
    fewer.map(|blocks| Fit { blocks, window: window_of(blocks) }).ok_or((least + overhead) * runs(blocks_min))
}

/// Parses `90s` or `5m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "takes a time from 1s to 1440m, such as 90s or 5m".to_owned();
    let (number, seconds) = match (text.strip_suffix('m'), text.strip_suffix('s')) {
        (Some(minutes), _) => (minutes, 60),
        (_, Some(seconds)) => (seconds, 1),
        (None, None) => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let duration = Duration::from_secs(number.saturating_mul(seconds));
    if duration.is_zero() || duration > Duration::from_secs(86_400) { Err(wrong()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_budget_becomes_blocks_and_windows() {
        let of =
            |budget, transports| fit(s(budget), s(5), Duration::from_millis(2_200), transports, transports * 5, None);
        let fitted = of(360, 2).unwrap();
        assert!(fitted.blocks == 16 && fitted.window > s(1) && fitted.window < s(2), "{fitted:?}");
        assert_eq!(of(3_600, 2), Ok(Fit { blocks: 24, window: s(5) }));
        assert!(matches!(of(200, 2), Ok(Fit { blocks: 7..16, .. })));
        assert!(of(60, 6).is_err_and(|needed| needed > s(300)));
        assert!(fit(s(60), s(5), s(2), 2, 10, Some(16)).is_err());
    }

    #[test]
    fn times_are_read() {
        assert_eq!((parse_duration("5m"), parse_duration("90s")), (Ok(s(300)), Ok(s(90))));
        for bad in ["", "5", "m", "0s", "-1s", "1h", "99999m"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
