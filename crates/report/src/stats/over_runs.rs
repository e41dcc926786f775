//! A figure over repetitions: the median of the runs, with an interval by resampling runs. The run is the unit.

use results::median;

/// Resamples; seeded, so that a report is the same every time.
const RESAMPLES: u64 = 2_000;
/// Fewer runs than this have no interval of their own.
const RUNS_MIN: usize = 3;

/// A value with its 95 % interval, where there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Median of the runs.
    pub value: f64,
    /// Ends of the interval.
    pub interval: Option<(f64, f64)>,
    /// Runs behind it.
    pub runs: usize,
}

/// The median over runs; `None` without any.
pub fn over_runs(values: &[f64]) -> Option<Estimate> {
    let value = median(values)?;
    let interval = (values.len() >= RUNS_MIN).then(|| bootstrap(values)).flatten();
    Some(Estimate { value, interval, runs: values.len() })
}

fn bootstrap(values: &[f64]) -> Option<(f64, f64)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        values[((mixed ^ (mixed >> 31)) % values.len() as u64) as usize]
    };
    let mut medians: Vec<f64> =
        (0..RESAMPLES).filter_map(|_| median(&(0..values.len()).map(|_| draw()).collect::<Vec<_>>())).collect();
    medians.sort_by(f64::total_cmp);
    let at = |share: f64| medians.get(((medians.len() - 1) as f64 * share).round() as usize).copied();
    at(0.025).zip(at(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_runs_have_a_median_and_no_interval() {
        assert_eq!(over_runs(&[]), None);
        assert_eq!(over_runs(&[3.0, 1.0]), Some(Estimate { value: 2.0, interval: None, runs: 2 }));
    }

    /// The same bootstrap without chance: every resample there is.
    fn every_resample(values: &[f64]) -> Vec<f64> {
        let n = values.len();
        let resample = |code: usize| (0..n).map(move |place| values[code / n.pow(u32::try_from(place).unwrap()) % n]);
        let mut medians: Vec<_> = (0..n.pow(u32::try_from(n).unwrap()))
            .map(|code| median(&resample(code).collect::<Vec<_>>()).unwrap())
            .collect();
        medians.sort_by(f64::total_cmp);
        medians
    }

    #[test]
    fn three_runs_span_from_the_least_to_the_greatest() {
        assert_eq!(over_runs(&[5.0, 1.0, 3.0]).unwrap().interval, Some((1.0, 5.0)));
    }

    proptest! {
        /// Both ends stand where all resamples have 2.5 %, give or take what 2,000 draws of them miss.
        #[test]
        fn drawing_resamples_comes_to_what_all_of_them_say(values in proptest::collection::vec(0.0_f64..1e3, 3..6)) {
            let all = every_resample(&values);
            let share = |count: usize| count as f64 / all.len() as f64;
            let (low, high) = over_runs(&values).unwrap().interval.unwrap();
            let below = |end: f64| share(all.iter().filter(|median| **median < end).count());
            let up_to = |end: f64| share(all.iter().filter(|median| **median <= end).count());
            prop_assert!(below(low) <= 0.04 && up_to(low) >= 0.01, "{low}");
            prop_assert!(below(high) <= 0.99 && up_to(high) >= 0.96, "{high}");
        }

        #[test]
        fn the_interval_holds_the_median_and_stays_within_the_runs(values in proptest::collection::vec(0.0_f64..1e6, 3..12)) {
            let estimate = over_runs(&values).unwrap();
            let (low, high) = estimate.interval.unwrap();
            let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(l, m), v| (l.min(*v), m.max(*v)));
            prop_assert!(least <= low && low <= estimate.value && estimate.value <= high && high <= most);
            prop_assert_eq!(over_runs(&values), Some(estimate));
        }
    }
}
