//! Histograms, one per series and worker. Each second has its own histograms; no sample is kept.

use hdrhistogram::Histogram;
use results::Series;

/// Largest recorded value, in microseconds. Larger ones are recorded as this.
pub(crate) const HISTOGRAM_MAX_US: u64 = 60_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// One histogram per series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histograms {
    series: Vec<Histogram<u64>>,
    /// Number of values above the largest.
    pub(crate) saturated: u64,
    /// Number of values below zero: a message received before its post was due. They are recorded
    /// as zero.
    pub(crate) negative: u64,
}

impl Histograms {
    pub(crate) fn new() -> Self {
        Self { series: vec![Self::empty(); Series::ALL.len()], saturated: 0, negative: 0 }
    }

    /// One histogram.
    pub(crate) fn empty() -> Histogram<u64> {
        Histogram::new_with_bounds(1, HISTOGRAM_MAX_US, SIGNIFICANT_DIGITS)
            .expect("the bounds and digits are within what the histogram takes")
    }

    pub(crate) fn record(&mut self, series: Series, value_us: i64) {
        let value = u64::try_from(value_us).unwrap_or_else(|_| {
            self.negative += 1;
            0
        });
        self.saturated += u64::from(value > HISTOGRAM_MAX_US);
        self.series[series as usize].saturating_record(value);
    }

    /// Returns what was recorded so far and starts with empty histograms.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new())
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.series.iter_mut().zip(&other.series) {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
        self.saturated += other.saturated;
        self.negative += other.negative;
    }

    pub(crate) fn of(&self, series: Series) -> &Histogram<u64> {
        &self.series[series as usize]
    }

    pub(crate) fn into_histograms(self) -> Vec<Histogram<u64>> {
        self.series
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histograms(values: &[i64]) -> Histograms {
        let mut histograms = Histograms::new();
        values.iter().for_each(|value| histograms.record(Series::DeliveryLatency, *value));
        histograms
    }

    #[test]
    fn values_out_of_range_are_counted_and_recorded() {
        let histograms = histograms(&[-5, 0, 10, 70_000_000]);
        assert_eq!(
            (histograms.of(Series::DeliveryLatency).len(), histograms.negative, histograms.saturated),
            (4, 1, 1)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn merging_is_associative_and_empty_is_its_identity(
            a in proptest::collection::vec(0_i64..100_000_000, 0..20),
            b in proptest::collection::vec(0_i64..100_000_000, 0..20),
            c in proptest::collection::vec(0_i64..100_000_000, 0..20),
        ) {
            let merged = |parts: &[&[i64]]| {
                let mut sum = Histograms::new();
                parts.iter().for_each(|part| sum.merge(&histograms(part)));
                sum
            };
            let mut ab = merged(&[&a, &b]);
            ab.merge(&histograms(&c));
            let mut a_bc = histograms(&a);
            a_bc.merge(&merged(&[&b, &c]));
            prop_assert_eq!(&ab, &a_bc);
            prop_assert_eq!(&ab, &histograms(&[a.clone(), b, c].concat()));
        }

        #[test]
        fn intervals_sum_to_the_whole(values in proptest::collection::vec(0_i64..100_000_000, 1..60), cut in 1_usize..10) {
            let (mut running, mut sum) = (Histograms::new(), Histograms::new());
            for (at, value) in values.iter().enumerate() {
                running.record(Series::DeliveryLatency, *value);
                if at % cut == 0 {
                    sum.merge(&running.take());
                }
            }
            sum.merge(&running);
            prop_assert_eq!(sum, histograms(&values));
        }
    }
}
