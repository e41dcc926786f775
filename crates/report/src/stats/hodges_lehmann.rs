//! Hodges–Lehmann estimate of differences (median of pairwise means), with the interval of the
//! signed-rank test. Both are robust against outliers.

use super::normal_quantile;

/// The exact distribution of the rank sum takes a time that grows with the cube of the number of
/// differences; above this number the normal distribution is within 0.1 % of a tail of 2.5 %.
const EXACT_MAX: usize = 100;

/// Differences whose pairwise means are ordered.
///
/// The means are not stored: a mean of a given rank is found by bisection over its value, and the
/// means up to a value are counted in one pass over the sorted differences.
#[derive(Debug, Clone)]
pub struct PairwiseMeans {
    sorted: Vec<f64>,
}

impl PairwiseMeans {
    /// Means of all pairs, including each difference with itself; `None` without differences.
    pub fn of(differences: &[f64]) -> Option<Self> {
        let mut sorted = differences.to_vec();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(Self { sorted })
    }

    /// The estimate: their median.
    pub fn median(&self) -> f64 {
        let (below, above) = ((self.count() - 1) / 2, self.count() / 2);
        let low = self.of_rank(below);
        f64::midpoint(low, if above == below { low } else { self.of_rank(above) })
    }

    /// An interval with at least this coverage; `None` with too few differences.
    pub fn interval(&self, level: f64) -> Option<(f64, f64)> {
        let cut = signed_rank_cut(self.sorted.len(), (1.0 - level) / 2.0)?;
        Some((self.of_rank(cut), self.of_rank(self.count() - 1 - cut)))
    }

    /// Number of pairs.
    fn count(&self) -> usize {
        self.sorted.len() * (self.sorted.len() + 1) / 2
    }

    /// The mean with this many means before it.
    fn of_rank(&self, rank: usize) -> f64 {
        let (mut low, mut high) = (key(self.sorted[0]), key(self.sorted[self.sorted.len() - 1]));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.up_to(value(middle)) > rank { high = middle } else { low = middle + 1 }
        }
        value(low)
    }

    /// Number of pairs with a mean of at most this value. The larger the first of a pair, the fewer
    /// seconds are small enough.
    fn up_to(&self, most: f64) -> usize {
        let (mut end, mut pairs) = (self.sorted.len(), 0);
        for (at, first) in self.sorted.iter().enumerate() {
            while end > at && f64::midpoint(*first, self.sorted[end - 1]) > most {
                end -= 1;
            }
            if end <= at {
                break;
            }
            pairs += end - at;
        }
        pairs
    }
}

/// A whole number that orders as the floating-point number does.
fn key(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// The floating-point number of a key.
fn value(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

/// The largest rank sum whose lower tail probability is at most `tail`.
fn signed_rank_cut(n: usize, tail: f64) -> Option<usize> {
    if n > EXACT_MAX {
        let n = n as f64;
        let spread = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
        let cut = n * (n + 1.0) / 4.0 - normal_quantile(tail) * spread - 0.5;
        return (cut >= 0.0).then_some(cut as usize);
    }
    let mut chances = vec![1.0];
    for rank in 1..=n {
        let mut sums = vec![0.0; chances.len() + rank];
        for (sum, chance) in chances.iter().enumerate() {
            sums[sum] += chance / 2.0;
            sums[sum + rank] += chance / 2.0;
        }
        chances = sums;
    }
    let mut below = 0.0;
    let cut = chances.iter().take_while(|chance| {
        below += **chance;
        below <= tail
    });
    cut.count().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hollander and Wolfe, *Nonparametric Statistical Methods*, the depression factor of nine
    /// patients before and after.
    #[test]
    #[expect(clippy::approx_constant, reason = "a patient scored 3.14")]
    fn the_textbook_example_has_the_same_result() {
        let before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
        let after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
        let differences: Vec<f64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        let means = PairwiseMeans::of(&differences).unwrap();
        assert!((means.median() + 0.46).abs() < 5e-4, "{}", means.median());
        let (low, high) = means.interval(0.95).unwrap();
        assert!((low + 0.786).abs() < 1e-9 && (high + 0.010).abs() < 1e-9, "{low} {high}");
    }

    /// Published points of the signed-rank test for 100 differences (Wilcoxon and Wilcox 1964): a sum
    /// of 1,955 has a lower tail of 2.5 %.
    #[test]
    fn the_normal_distribution_continues_the_exact_one() {
        for tail in [0.05, 0.025, 0.005] {
            let exact = signed_rank_cut(EXACT_MAX, tail).unwrap() as f64;
            let n = EXACT_MAX as f64;
            let spread = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
            let normal = n * (n + 1.0) / 4.0 - normal_quantile(tail) * spread - 0.5;
            assert!((exact - normal).abs() < 8.0, "{tail}: {exact} {normal}");
        }
        assert_eq!(signed_rank_cut(100, 0.025), Some(1_955));
    }

    #[test]
    fn a_thousand_differences_take_less_than_20_ms() {
        let mut chance = crate::stats::Chance::new(1, 0);
        let means = PairwiseMeans::of(&(0..1_000).map(|_| chance.normal()).collect::<Vec<_>>()).unwrap();
        let begun = std::time::Instant::now();
        let (low, high) = means.interval(0.95).unwrap();
        assert!(low < means.median() && means.median() < high && begun.elapsed().as_millis() < 20);
        assert!((0.115..0.135).contains(&(high - low)), "{low} {high}");
    }

    #[test]
    fn few_differences_have_no_interval() {
        let of = |n: usize| PairwiseMeans::of(&vec![1.0; n]).and_then(|means| means.interval(0.95));
        assert_eq!((of(0), of(5), of(6)), (None, None, Some((1.0, 1.0))));
    }

    proptest! {
        /// Enumerates all signs of ranks.
        #[test]
        fn the_cut_equals_enumeration(n in 1_usize..13, tail in 0.001_f64..0.4) {
            let sum = |signs: u32| (1..=n).filter(|rank| signs >> (rank - 1) & 1 == 1).sum::<usize>();
            let total = 1_u32 << n;
            let at_most = |cut: usize| (0..total).filter(|signs| sum(*signs) <= cut).count() as f64 / f64::from(total);
            let plain = (0..=n * (n + 1) / 2).take_while(|cut| at_most(*cut) <= tail).count().checked_sub(1);
            prop_assert_eq!(signed_rank_cut(n, tail), plain);
        }

        /// Sorts all means.
        #[test]
        fn ranks_are_those_of_the_sorted_means(values in proptest::collection::vec(-9_i32..9, 1..30), scale in 0.01_f64..9.0) {
            let values: Vec<f64> = values.iter().map(|value| f64::from(*value) * scale).collect();
            let means = PairwiseMeans::of(&values).unwrap();
            let pairs = (0..values.len()).flat_map(|one| (one..values.len()).map(move |other| (one, other)));
            let mut sorted: Vec<f64> = pairs.map(|(one, other)| f64::midpoint(values[one], values[other])).collect();
            sorted.sort_by(f64::total_cmp);
            prop_assert_eq!(sorted.len(), means.count());
            prop_assert!(sorted.iter().enumerate().all(|(rank, mean)| means.of_rank(rank) == *mean));
        }

        #[test]
        fn the_estimate_moves_with_the_values_and_lies_in_its_interval(
            values in proptest::collection::vec(-100.0_f64..100.0, 8..30), shift in -50.0_f64..50.0,
        ) {
            let means = PairwiseMeans::of(&values).unwrap();
            let moved = PairwiseMeans::of(&values.iter().map(|value| value + shift).collect::<Vec<_>>()).unwrap();
            prop_assert!((moved.median() - means.median() - shift).abs() < 1e-9);
            let ((low, high), (lower, higher)) = (means.interval(0.90).unwrap(), means.interval(0.95).unwrap());
            prop_assert!(lower <= low && low <= means.median() && means.median() <= high && high <= higher);
        }
    }
}
