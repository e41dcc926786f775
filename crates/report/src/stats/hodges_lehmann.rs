//! Hodges–Lehmann estimate of a few differences (median of pairwise means), with the interval of
//! the signed-rank test. Both are robust against outliers.

/// The sorted pairwise means of differences.
#[derive(Debug, Clone)]
pub struct PairwiseMeans {
    sorted: Vec<f64>,
    differences: usize,
}

impl PairwiseMeans {
    /// Means of all pairs, including each difference with itself; `None` without differences.
    pub fn of(differences: &[f64]) -> Option<Self> {
        let own_and_later =
            |at: usize| differences[at..].iter().map(move |other| f64::midpoint(differences[at], *other));
        let mut sorted: Vec<f64> = (0..differences.len()).flat_map(own_and_later).collect();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(Self { sorted, differences: differences.len() })
    }

    /// The estimate: their median.
    pub fn median(&self) -> f64 {
        let (below, above) = ((self.sorted.len() - 1) / 2, self.sorted.len() / 2);
        f64::midpoint(self.sorted[below], self.sorted[above])
    }

    /// An interval with at least this coverage; `None` with too few differences.
    pub fn interval(&self, level: f64) -> Option<(f64, f64)> {
        let cut = signed_rank_cut(self.differences, (1.0 - level) / 2.0)?;
        Some((self.sorted[cut], self.sorted[self.sorted.len() - 1 - cut]))
    }
}

/// The largest rank sum whose lower tail probability is at most `tail`.
fn signed_rank_cut(n: usize, tail: f64) -> Option<usize> {
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
