//! A value over repetitions: the median of the runs, with its interval.

use results::median;
use serde::{Deserialize, Serialize};

/// A value with its uncertainty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Median over the runs.
    pub value: f64,
    /// Lower end of the 95 % interval: of the median by order statistics, for at least six runs
    /// (the range of n runs contains the median with probability 1 − 2·½ⁿ); for a percentile of a
    /// single run, of its messages.
    pub low: Option<f64>,
    /// Upper end of the 95 % interval.
    pub high: Option<f64>,
    /// Minimum over the runs, if there are several.
    pub least: Option<f64>,
    /// Maximum over the runs.
    pub greatest: Option<f64>,
    /// Number of runs.
    pub runs: usize,
}

impl Estimate {
    /// A value without an interval.
    pub fn alone(value: f64) -> Self {
        Self { value, ..Self::default() }
    }

    /// The same value with this 95 % interval.
    pub fn with_interval(self, interval: Option<(f64, f64)>) -> Self {
        let (low, high) = interval.unzip();
        Self { low, high, ..self }
    }

    /// The 95 % interval.
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.low.zip(self.high)
    }

    /// The 95 % interval over runs; a single run has none.
    pub fn over_runs(&self) -> Option<(f64, f64)> {
        self.interval().filter(|_| self.runs > 1)
    }

    /// Minimum and maximum over the runs, if there are several.
    pub fn range(&self) -> Option<(f64, f64)> {
        self.least.zip(self.greatest)
    }

    /// The range that plots show: the interval, or minimum and maximum if there is none.
    pub fn ends(&self) -> Option<(f64, f64)> {
        self.interval().or(self.range())
    }

    /// The estimate times a factor.
    pub fn times(&self, factor: f64) -> Self {
        let scaled = |part: Option<f64>| part.map(|part| part * factor);
        Self {
            value: self.value * factor,
            low: scaled(self.low),
            high: scaled(self.high),
            least: scaled(self.least),
            greatest: scaled(self.greatest),
            runs: self.runs,
        }
    }
}

/// The median over runs; `None` without any.
pub fn over_runs(values: &[f64]) -> Option<Estimate> {
    let value = median(values)?;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |rank: u64| sorted[rank as usize - 1];
    let interval = ranks(sorted.len() as u64).map(|(low, high)| (at(low), at(high)));
    let (least, greatest) = (sorted.len() > 1).then(|| (sorted[0], sorted[sorted.len() - 1])).unzip();
    Some(Estimate { least, greatest, runs: sorted.len(), ..Estimate::alone(value).with_interval(interval) })
}

/// Ranks (from 1) of the exact 95 % interval of the median (sign test); `None` if minimum and
/// maximum do not contain it.
fn ranks(runs: u64) -> Option<(u64, u64)> {
    const TAIL: f64 = 0.025;
    let (mut left_out, mut below, mut chance) = (0, 0.0, 0.5_f64.powf(runs as f64));
    while left_out < runs / 2 && below + chance <= TAIL {
        below += chance;
        chance *= (runs - left_out) as f64 / (left_out + 1) as f64;
        left_out += 1;
    }
    (left_out > 0).then(|| (left_out, runs + 1 - left_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_runs_have_a_range_and_no_interval() {
        assert_eq!(over_runs(&[]), None);
        assert_eq!(over_runs(&[3.0]), Some(Estimate { runs: 1, ..Estimate::alone(3.0) }));
        let three = Estimate { least: Some(1.0), greatest: Some(5.0), runs: 3, ..Estimate::alone(3.0) };
        assert_eq!(over_runs(&[5.0, 1.0, 3.0]), Some(three));
        let six = over_runs(&[5.0, 1.0, 3.0, 2.0, 4.0, 6.0]).unwrap();
        assert_eq!((six.value, six.interval(), six.ends()), (3.5, Some((1.0, 6.0)), Some((1.0, 6.0))));
    }

    /// Counts all ways in which runs can be below and above the true median.
    fn coverage(ranks: (usize, usize), runs: u32) -> f64 {
        let inside = (0..1_u32 << runs).filter(|below| (ranks.0..ranks.1).contains(&(below.count_ones() as usize)));
        inside.count() as f64 / f64::from(1_u32 << runs)
    }

    #[test]
    fn an_interval_contains_the_median_with_its_coverage() {
        for runs in 6..=18_u32 {
            let values: Vec<f64> = (1..=runs).map(f64::from).collect();
            let (low, high) = over_runs(&values).unwrap().interval().unwrap();
            let covered = coverage((low as usize, high as usize), runs);
            assert!(covered >= 0.95, "{runs} runs: {covered}");
            let shorter = coverage((low as usize + 1, high as usize - 1), runs);
            assert!(shorter < 0.95, "{runs} runs: {shorter} is enough");
        }
        assert!(over_runs(&[1.0; 5]).unwrap().interval().is_none() && coverage((1, 5), 5) < 0.95);
    }

    proptest! {
        #[test]
        fn an_interval_contains_the_median_and_stays_within_the_runs(values in proptest::collection::vec(0.0_f64..1e6, 2..30)) {
            let estimate = over_runs(&values).unwrap();
            let (least, most) = estimate.range().unwrap();
            let (low, high) = estimate.ends().unwrap();
            prop_assert!(least <= low && low <= estimate.value && estimate.value <= high && high <= most);
        }
    }
}
