//! Differences of metrics, from runs of the same round, so that changes of the machine between
//! rounds cancel.

use results::median;

use super::{Estimate, over_runs};

/// A value and the round it was measured in.
pub type InRound = (u32, f64);

/// `left − times × right`, paired by round. Its sign compares the ratio with `times` without a
/// division by zero.
pub fn excess(left: &[InRound], times: f64, right: &[InRound]) -> Option<Estimate> {
    let other = |round| right.iter().find(|(other, _)| *other == round);
    let differences: Vec<_> = left.iter().filter_map(|(round, l)| other(*round).map(|(_, r)| l - times * r)).collect();
    over_runs(&differences).or_else(|| Some(Estimate::alone(middle(left)? - times * middle(right)?)))
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
        assert_eq!(excess(&own, 3.0, &baseline).map(|e| e.range()), Some(Some((0.0, 0.0))));
    }

    #[test]
    fn without_a_common_round_there_is_a_difference_and_no_interval() {
        assert_eq!(excess(&[(1, 6.0)], 2.0, &[(2, 1.0)]), Some(Estimate::alone(4.0)));
        assert_eq!(excess(&[], 2.0, &[(1, 1.0)]), None);
    }

    proptest! {
        /// Second implementation: a table over rounds.
        #[test]
        fn pairs_equal_those_of_a_table(left in proptest::collection::btree_map(0_u32..8, 0.1_f64..9.0, 0..8), right in proptest::collection::btree_map(0_u32..8, 0.1_f64..9.0, 0..8)) {
            let table: Vec<f64> = (0..8).filter_map(|round| Some(left.get(&round)? - 1.5 * right.get(&round)?)).collect();
            let (own, other): (Vec<_>, Vec<_>) = (left.into_iter().collect(), right.into_iter().collect());
            if !table.is_empty() {
                prop_assert_eq!(excess(&own, 1.5, &other), over_runs(&table));
            }
        }
    }
}
