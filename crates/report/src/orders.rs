//! Which of two transports is lower: pairs that follow one another in a sentence, each from the
//! blocks that both have, with Holm's adjustment over all pairs of a point.

use results::MetricId;
use serde::{Deserialize, Serialize};

use crate::ratios::ratio;
use crate::selection::RunSelection;
use crate::stats::{Ratio, holm};

/// Rounds that a statement about an order needs.
pub(crate) const ROUNDS_MIN: usize = 4;
/// Error rate of all statements about an order at a point.
const ALPHA: f64 = 0.05;
/// Largest difference of two transports that are called the same.
const SAME_MAX: f64 = 0.10;

/// Two subjects with neighbouring values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The metric.
    pub metric: MetricId,
    /// The subject with the lower value.
    pub lower: String,
    /// The subject with the higher value.
    pub higher: String,
    /// `higher / lower`.
    pub ratio: Ratio,
    /// p-value of a ratio of 1, adjusted over the pairs of the point.
    pub p_adjusted: f64,
}

/// What is known of a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Order {
    /// The first is lower.
    Lower,
    /// The 90 % interval of the difference is within this share.
    Within(f64),
    /// Neither.
    NotToldApart,
    /// There are too few rounds for a statement.
    TooFewRounds,
}

impl Pair {
    /// What is known of the pair.
    pub(crate) fn order(&self) -> Order {
        if self.ratio.rounds < ROUNDS_MIN {
            return Order::TooFewRounds;
        }
        if self.p_adjusted <= ALPHA && self.ratio.value > 1.0 {
            return Order::Lower;
        }
        let far = self.ratio.interval_90.map(|(low, high)| (high - 1.0).max(1.0 / low - 1.0));
        match far.filter(|far| *far <= SAME_MAX) {
            Some(far) => Order::Within(far),
            None => Order::NotToldApart,
        }
    }
}

/// Neighbours in lists of subjects in ascending order of a metric.
pub(crate) fn pairs(lists: &[(MetricId, Vec<&RunSelection<'_>>)]) -> Vec<Pair> {
    let neighbours = lists.iter().flat_map(|(metric, list)| list.windows(2).map(move |both| (*metric, both)));
    let mut pairs: Vec<_> = neighbours.filter_map(|(metric, both)| pair(metric, both[0], both[1])).collect();
    let adjusted = holm(&pairs.iter().map(|pair| pair.ratio.p).collect::<Vec<_>>());
    pairs.iter_mut().zip(adjusted).for_each(|(pair, p)| pair.p_adjusted = p);
    pairs
}

fn pair(metric: MetricId, lower: &RunSelection<'_>, higher: &RunSelection<'_>) -> Option<Pair> {
    let ratio = ratio((higher, metric), (lower, metric))?;
    let [lower, higher] = [lower, higher].map(|runs| runs.subject.to_string());
    Some(Pair { metric, lower, higher, ratio, p_adjusted: ratio.p })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(p_adjusted: f64, interval_90: (f64, f64), rounds: usize) -> Order {
        let ratio = Ratio {
            value: 1.05,
            interval: Some(interval_90),
            interval_90: Some(interval_90),
            p: p_adjusted,
            blocks: 80,
            rounds,
            between_rounds: 0.0,
        };
        let [lower, higher] = ["sse", "websocket"].map(str::to_owned);
        Pair { metric: MetricId::DeliveryP50, lower, higher, ratio, p_adjusted }.order()
    }

    #[test]
    fn an_order_needs_a_difference_and_equality_a_narrow_interval() {
        assert_eq!(order(0.05, (1.02, 1.08), 4), Order::Lower);
        assert_eq!(order(0.06, (0.98, 1.08), 4), Order::Within(1.08 - 1.0));
        assert_eq!(order(0.06, (0.92, 1.05), 4), Order::Within(1.0 / 0.92 - 1.0), "the far end counts");
        assert_eq!(order(0.06, (0.98, 1.12), 4), Order::NotToldApart);
        assert_eq!(order(0.001, (1.02, 1.08), 3), Order::TooFewRounds);
    }
}
