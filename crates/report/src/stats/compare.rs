//! Ratios and differences of metrics, from runs of the same round, so that changes of the machine
//! between rounds cancel.

use results::median;

use super::{Estimate, over_runs};

/// A value and the round it was measured in.
pub type InRound = (u32, f64);

/// `left / right`, paired by round; without a common round the ratio of the medians, which has no
/// interval.
pub fn ratio(left: &[InRound], right: &[InRound]) -> Option<Estimate> {
    let ratios: Vec<_> = paired(left, right, |l, r| l / r).into_iter().filter(|ratio| ratio.is_finite()).collect();
    over_runs(&ratios).or_else(|| {
        let value = middle(left)? / middle(right)?;
        value.is_finite().then_some(Estimate::alone(value))
    })
}

/// `left − times × right`, paired by round. Its sign compares the ratio with `times` without a
/// division by zero.
pub fn excess(left: &[InRound], times: f64, right: &[InRound]) -> Option<Estimate> {
    over_runs(&paired(left, right, |l, r| l - times * r))
        .or_else(|| Some(Estimate::alone(middle(left)? - times * middle(right)?)))
}

fn paired(left: &[InRound], right: &[InRound], of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let other = |round| right.iter().find(|(other, _)| *other == round);
    left.iter().filter_map(|(round, l)| other(*round).map(|(_, r)| of(*l, *r))).collect()
}

fn middle(values: &[InRound]) -> Option<f64> {
    median(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slow_round_cancels_out() {
        let baseline = [(1, 2.0), (2, 4.0), (3, 2.0)];
        let own = [(1, 6.0), (2, 12.0), (3, 6.0)];
        let expected = Estimate { least: Some(3.0), greatest: Some(3.0), runs: 3, ..Estimate::alone(3.0) };
        assert_eq!(ratio(&own, &baseline), Some(expected));
        assert_eq!(excess(&own, 3.0, &baseline).map(|e| e.range()), Some(Some((0.0, 0.0))));
    }

    #[test]
    fn without_a_common_round_there_is_a_ratio_and_no_interval() {
        assert_eq!(ratio(&[(1, 6.0)], &[(2, 3.0)]), Some(Estimate::alone(2.0)));
        assert_eq!((ratio(&[], &[(1, 1.0)]), ratio(&[(1, 1.0)], &[(1, 0.0)])), (None, None));
    }

    proptest! {
        /// Second implementation: a table over rounds.
        #[test]
        fn pairs_equal_those_of_a_table(left in proptest::collection::btree_map(0_u32..8, 0.1_f64..9.0, 0..8), right in proptest::collection::btree_map(0_u32..8, 0.1_f64..9.0, 0..8)) {
            let table: Vec<f64> = (0..8).filter_map(|round| Some(left.get(&round)? / right.get(&round)?)).collect();
            let own: Vec<_> = left.clone().into_iter().collect();
            let other: Vec<_> = right.clone().into_iter().collect();
            if !table.is_empty() {
                prop_assert_eq!(ratio(&own, &other), over_runs(&table));
                let (over, sign) = (excess(&own, 1.5, &other).unwrap(), ratio(&own, &other).unwrap());
                if let (Some((low, _)), Some((ratio_low, _))) = (over.ends(), sign.ends()) {
                    prop_assert!(table.len().is_multiple_of(2) || (low >= 0.0) == (ratio_low >= 1.5));
                }
            }
        }
    }
}
