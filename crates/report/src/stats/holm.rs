//! Holm's adjustment of p-values, valid for any dependence between the tests.

/// Adjusted p-values, in the order of `p`; compare each with the common error rate.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0_f64;
    for (passed, at) in order.into_iter().enumerate() {
        largest = largest.max(p[at] * (p.len() - passed) as f64);
        adjusted[at] = largest.min(1.0);
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_example_of_three_values() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        assert!(
            adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]).all(|(found, known)| (found - known).abs() < 1e-12),
            "{adjusted:?}"
        );
    }

    proptest! {
        /// The published procedure: step from the smallest until one is too large.
        #[test]
        fn adjusted_values_equal_the_step_down_procedure(p in proptest::collection::vec(0.0_f64..0.2, 1..12), alpha in 0.001_f64..0.3) {
            let mut remaining: Vec<(usize, f64)> = p.iter().copied().enumerate().collect();
            let mut rejected = vec![false; p.len()];
            while let Some((place, (at, smallest))) =
                remaining.iter().copied().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1))
            {
                if smallest * remaining.len() as f64 > alpha {
                    break;
                }
                rejected[at] = true;
                remaining.remove(place);
            }
            prop_assert_eq!(holm(&p).iter().map(|p| *p <= alpha).collect::<Vec<_>>(), rejected);
        }
    }
}
