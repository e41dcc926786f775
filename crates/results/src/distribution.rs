//! A read-only histogram: the values that occurred, with their counts. It takes about a thousandth
//! of the memory of a full table.

/// Values in ascending order with their counts. Each value is the upper end of its histogram
/// bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution {
    counts: Vec<(u64, u64)>,
}

impl Distribution {
    /// Makes a distribution of values with their counts, in any order.
    pub fn new(mut counts: Vec<(u64, u64)>) -> Self {
        counts.retain(|(_, count)| *count > 0);
        counts.sort_unstable();
        counts.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
        Self { counts }
    }

    /// Adds the values of another distribution.
    pub fn merge(&mut self, other: &Self) {
        if !other.counts.is_empty() {
            let both = self.counts.iter().chain(&other.counts).copied().collect();
            *self = Self::new(both);
        }
    }

    /// Values in ascending order with their counts.
    pub fn counts(&self) -> &[(u64, u64)] {
        &self.counts
    }

    /// Number of recorded values.
    pub fn len(&self) -> u64 {
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Whether no value was recorded.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The smallest value that at least a share `q` of all values does not exceed.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let rank = ((self.len() as f64 * q).ceil() as u64).max(1);
        let mut below = 0_u64;
        let found = self.counts.iter().find(|(_, count)| {
            below = below.saturating_add(*count);
            below >= rank
        });
        found.or(self.counts.last()).map(|(value, _)| *value)
    }

    /// Largest value.
    pub fn max(&self) -> Option<u64> {
        self.counts.last().map(|(value, _)| *value)
    }

    /// Mean, as exact as the buckets allow.
    pub fn mean(&self) -> Option<f64> {
        let sum: f64 = self.counts.iter().map(|(value, count)| *value as f64 * *count as f64).sum();
        (!self.is_empty()).then(|| sum / self.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Distribution {
        Distribution::new(values.iter().map(|value| (*value, 1)).collect())
    }

    proptest! {
        #[test]
        fn a_merge_has_the_values_of_both(a in proptest::collection::vec(1_u64..50, 0..40), b in proptest::collection::vec(1_u64..50, 0..40)) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let both: Vec<_> = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(&merged, &of(&both));
            prop_assert_eq!(merged.len(), both.len() as u64);
        }

        #[test]
        fn quantiles_are_those_of_the_sorted_values(mut values in proptest::collection::vec(1_u64..1000, 1..60), q in 0.0_f64..=1.0) {
            let quantile = of(&values).quantile(q);
            values.sort_unstable();
            let rank = ((values.len() as f64 * q).ceil() as usize).max(1);
            prop_assert_eq!(quantile, Some(values[rank - 1]));
        }
    }
}
