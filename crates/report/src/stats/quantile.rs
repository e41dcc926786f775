//! Quantiles with intervals from order statistics; none if the sample is too small.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use results::{LatencySummary, Quantile};

/// The computed quantiles, by name.
pub const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999), ("p99_99", 0.9999)];

/// 97.5 % point of the normal distribution.
const Z: f64 = 1.959_964;

/// Probability on each side of the interval.
const TAIL: f64 = 0.025;

/// Ranks (from 1) of the 95 % interval of the `p` quantile of `n` independent values (normal
/// approximation, limited to the sample). `None` if `pⁿ`, the probability that all values are below
/// the quantile, exceeds 2.5 %.
pub fn order_interval(n: u64, p: f64) -> Option<(u64, u64)> {
    if n as f64 * p.ln() > TAIL.ln() {
        return None;
    }
    let mean = n as f64 * p;
    let half = Z * (mean * (1.0 - p)).sqrt();
    let low = (mean - half).floor().max(1.0) as u64;
    let high = (mean + half).ceil() as u64 + 1;
    Some((low, high.min(n)))
}

/// Summary of a series. `independent` counts messages, because deliveries of one message are not
/// independent.
pub fn latency(histogram: &Histogram<u64>, independent: u64) -> LatencySummary {
    let independent = independent.min(histogram.len());
    let quantiles = QUANTILES.iter().filter_map(|(name, p)| {
        let (low, high) = order_interval(independent, *p)?;
        let at = |rank: u64| histogram.value_at_quantile(rank as f64 / independent as f64);
        let quantile = Quantile { us: histogram.value_at_quantile(*p), low_us: at(low), high_us: at(high) };
        Some(((*name).to_owned(), quantile))
    });
    LatencySummary {
        samples: histogram.len(),
        independent,
        quantiles: quantiles.collect::<BTreeMap<_, _>>(),
        max_us: histogram.max(),
        mean_us: histogram.mean(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_a_percentile_needs() {
        for (p, needed) in [(0.99, 368), (0.999, 3_688), (0.9999, 36_887)] {
            assert!(order_interval(needed, p).is_some() && order_interval(needed - 1, p).is_none(), "{p}");
        }
    }

    /// Probability that the median of `n` values lies between these ranks, by counting outcomes.
    fn coverage(n: u64, low: u64, high: u64) -> f64 {
        let mut ways = 1.0_f64;
        let mut inside = 0.0;
        for below in 0..=n {
            inside += if (low..high).contains(&below) { ways } else { 0.0 };
            ways = ways * (n - below) as f64 / (below + 1) as f64;
        }
        inside / 2.0_f64.powi(i32::try_from(n).unwrap())
    }

    /// The shortest ranks with 95 % for a median in tables of the sign test, with their coverage in
    /// per cent.
    #[test]
    fn the_ranks_contain_those_of_published_tables() {
        let tables = [
            (10, 2, 9, 97.9),
            (15, 4, 12, 96.5),
            (20, 6, 15, 95.9),
            (30, 10, 21, 95.7),
            (50, 18, 33, 96.7),
            (100, 40, 61, 96.5),
        ];
        for (n, low, high, percent) in tables {
            assert!((100.0 * coverage(n, low, high) - percent).abs() < 0.06, "{n}: {}", coverage(n, low, high));
            let (ours_low, ours_high) = order_interval(n, 0.5).unwrap();
            assert!(ours_low <= low && high <= ours_high, "{n}: {ours_low} to {ours_high}");
            assert!(low - ours_low <= 1 && ours_high - high <= 1, "{n}: {ours_low} to {ours_high} is too wide");
        }
    }

    #[test]
    fn few_independent_messages_have_no_high_percentiles() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).unwrap();
        (0..100_000).for_each(|value| histogram.record(value % 1000 + 1).unwrap());
        let of = |independent| latency(&histogram, independent).quantiles.keys().cloned().collect::<Vec<_>>();
        assert_eq!(of(100), ["p50", "p90"]);
        assert_eq!(of(100_000), ["p50", "p90", "p99", "p99_9", "p99_99"]);
        let median = latency(&histogram, 400).quantiles["p50"];
        assert!(median.low_us < median.us && median.us < median.high_us, "{median:?}");
    }
}
