//! Exact Wilcoxon rank-sum test of two independent samples, with the estimated shift.

/// Maximum size of a sample.
const SAMPLE_MAX: usize = 60;

/// The shift of the second sample against the first.
#[derive(Debug, Clone)]
pub struct Shift {
    /// All pairwise differences, sorted.
    differences: Vec<f64>,
    sizes: (usize, usize),
    /// Two-sided p-value.
    pub p: f64,
}

impl Shift {
    /// Compares two samples; `None` if one is empty or too large.
    pub fn of(first: &[f64], second: &[f64]) -> Option<Self> {
        let fits = |sample: &[f64]| (1..=SAMPLE_MAX).contains(&sample.len());
        if !fits(first) || !fits(second) {
            return None;
        }
        let mut differences: Vec<f64> = second.iter().flat_map(|b| first.iter().map(move |a| b - a)).collect();
        differences.sort_by(f64::total_cmp);
        Some(Self { differences, sizes: (first.len(), second.len()), p: p_value(first, second) })
    }

    /// The estimate: median of the differences.
    pub fn median(&self) -> f64 {
        let (below, above) = ((self.differences.len() - 1) / 2, self.differences.len() / 2);
        f64::midpoint(self.differences[below], self.differences[above])
    }

    /// An interval with at least this coverage; `None` if the samples are too small.
    pub fn interval(&self, level: f64) -> Option<(f64, f64)> {
        let (m, n) = self.sizes;
        // Without ties the ranks are 1 to m + n; sums are counted from the smallest possible one.
        let ranks: Vec<usize> = (1..=m + n).collect();
        let chances = sums(&ranks, m);
        let least = m * (m + 1) / 2;
        let mut below = 0.0;
        let within = chances[least..].iter().take_while(|chance| {
            below += **chance;
            below <= (1.0 - level) / 2.0
        });
        let cut = within.count().checked_sub(1)?;
        Some((self.differences[cut], self.differences[self.differences.len() - 1 - cut]))
    }
}

fn p_value(first: &[f64], second: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = first.iter().map(|value| (*value, true)).collect();
    all.extend(second.iter().map(|value| (*value, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Ranks are doubled so that mean ranks of ties are whole numbers.
    let (mut ranks, mut found) = (Vec::new(), 0);
    for equal in all.chunk_by(|a, b| a.0 == b.0) {
        let doubled = 2 * ranks.len() + equal.len() + 1;
        found += doubled * equal.iter().filter(|(_, is_first)| *is_first).count();
        ranks.extend(equal.iter().map(|_| doubled));
    }
    let chances = sums(&ranks, first.len());
    let low: f64 = chances[..=found].iter().sum();
    let high: f64 = chances[found..].iter().sum();
    (2.0 * low.min(high)).min(1.0)
}

/// Probability of every sum of this number of randomly drawn ranks.
fn sums(ranks: &[usize], drawn: usize) -> Vec<f64> {
    let most = ranks.iter().sum::<usize>() + 1;
    let mut chances = vec![vec![0.0; most]; drawn + 1];
    chances[0][0] = 1.0;
    for (seen, rank) in ranks.iter().enumerate() {
        // Probabilities instead of counts, so that numbers stay small.
        for taken in (1..=drawn.min(seen + 1)).rev() {
            let (fewer, more) = chances.split_at_mut(taken);
            for sum in (*rank..most).rev() {
                more[0][sum] += fewer[taken - 1][sum - rank];
            }
        }
        let scale = chances.iter().flatten().fold(0.0_f64, |most, chance| most.max(*chance));
        if scale > 1e100 {
            chances.iter_mut().flatten().for_each(|chance| *chance /= scale);
        }
    }
    let total: f64 = chances[drawn].iter().sum();
    chances[drawn].iter().map(|chance| chance / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hollander and Wolfe, *Nonparametric Statistical Methods*: permeability at term and earlier.
    #[test]
    fn the_textbook_example_has_the_same_result() {
        let at_term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let earlier = [1.15, 0.88, 0.90, 0.74, 1.21];
        let shift = Shift::of(&earlier, &at_term).unwrap();
        // The one-sided value is 0.1272.
        assert!((shift.p - 2.0 * 0.1272).abs() < 1e-4, "{}", shift.p);
        assert!((shift.median() - 0.305).abs() < 1e-9, "{}", shift.median());
        let (low, high) = shift.interval(0.95).unwrap();
        assert!((low + 0.15).abs() < 0.011 && (high - 0.76).abs() < 0.011, "{low} {high}");
    }

    #[test]
    fn three_against_three_have_no_interval_at_95() {
        let of = |n: usize| Shift::of(&vec![1.0; n], &vec![2.0; n]);
        assert!(of(0).is_none() && of(61).is_none());
        assert_eq!((of(3).unwrap().interval(0.95), of(4).unwrap().interval(0.95)), (None, Some((1.0, 1.0))));
    }

    proptest! {
        /// Enumerates all choices of places for the first sample.
        #[test]
        fn convolution_is_enumeration(
            first in proptest::collection::vec(0_u8..8, 1..6), second in proptest::collection::vec(0_u8..8, 1..6),
        ) {
            let all: Vec<u8> = first.iter().chain(&second).copied().collect();
            let rank = |value: u8| {
                let smaller = all.iter().filter(|other| **other < value).count();
                2 * smaller + all.iter().filter(|other| **other == value).count() + 1
            };
            let found: usize = first.iter().map(|value| rank(*value)).sum();
            let choices = (0..1_u32 << all.len()).filter(|chosen| chosen.count_ones() as usize == first.len());
            let sums: Vec<usize> = choices
                .map(|chosen| (0..all.len()).filter(|at| chosen >> at & 1 == 1).map(|at| rank(all[at])).sum())
                .collect();
            let share = |of: &dyn Fn(usize) -> bool| sums.iter().filter(|sum| of(**sum)).count() as f64 / sums.len() as f64;
            let plain = (2.0 * share(&|sum| sum <= found).min(share(&|sum| sum >= found))).min(1.0);
            let as_numbers = |sample: &[u8]| sample.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
            let shift = Shift::of(&as_numbers(&first), &as_numbers(&second)).unwrap();
            prop_assert!((shift.p - plain).abs() < 1e-9, "{} {plain}", shift.p);
        }
    }
}
