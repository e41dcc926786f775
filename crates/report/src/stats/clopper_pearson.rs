//! Clopper and Pearson's interval of a share, which never has less than its nominal coverage.

/// Bisection steps, enough for the precision of a number.
const HALVINGS: u32 = 60;

/// The 95 % interval of the probability, given `hits` of `trials`.
pub fn clopper_pearson(hits: u64, trials: u64) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let low = if hits == 0 { 0.0 } else { solve(|p| 1.0 - at_most(hits - 1, trials, p) < 0.025) };
    let high = if hits >= trials { 1.0 } else { solve(|p| at_most(hits, trials, p) > 0.025) };
    (low, high)
}

/// The largest probability that satisfies a condition.
fn solve(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if holds(middle) { low = middle } else { high = middle }
    }
    low
}

/// Probability of at most `hits` of `trials` (binomial), computed with logarithms to avoid
/// underflow.
fn at_most(hits: u64, trials: u64, p: f64) -> f64 {
    if p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return f64::from(u8::from(hits >= trials));
    }
    let (odds, mut term) = ((p / (1.0 - p)).ln(), trials as f64 * (1.0 - p).ln());
    let mut sum = term.exp();
    for hit in 1..=hits {
        term += odds + ((trials - hit + 1) as f64 / hit as f64).ln();
        sum += term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn intervals_equal_published_tables() {
        for (hits, trials, low, high) in
            [(10, 100, 0.0490, 0.1762), (0, 10, 0.0, 0.3085), (1, 20, 0.0013, 0.2487), (20, 20, 0.8316, 1.0)]
        {
            let found = clopper_pearson(hits, trials);
            assert!((found.0 - low).abs() < 6e-5 && (found.1 - high).abs() < 6e-5, "{hits}/{trials}: {found:?}");
        }
        assert_eq!(clopper_pearson(0, 0), (0.0, 1.0));
    }

    proptest! {
        #[test]
        fn none_and_all_have_the_closed_form(trials in 1_u64..3000) {
            let edge = 0.025_f64.powf(1.0 / trials as f64);
            prop_assert!((clopper_pearson(0, trials).1 - (1.0 - edge)).abs() < 1e-9);
            prop_assert!((clopper_pearson(trials, trials).0 - edge).abs() < 1e-9);
        }

        #[test]
        fn intervals_of_hits_and_misses_are_symmetric(trials in 1_u64..300, share in 0.0_f64..1.0) {
            let hits = (trials as f64 * share) as u64;
            let ((low, high), (miss_low, miss_high)) = (clopper_pearson(hits, trials), clopper_pearson(trials - hits, trials));
            prop_assert!((low - (1.0 - miss_high)).abs() < 1e-6 && (high - (1.0 - miss_low)).abs() < 1e-6);
        }
    }
}
