//! Which of two transports is lower: pairs that follow one another in a sentence, each from the
//! blocks that both have, with Holm's adjustment over all pairs of a point.

use results::{MetricId, Subject};
use serde::{Deserialize, Serialize};

use crate::ratios::ratio;
use crate::selection::RunSelection;
use crate::stats::{Ratio, holm};
use crate::summary::SubjectSummary;

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

/// The pairs of a point for the answer: one metric of CPU, and the median latency.
pub(crate) fn pairs(subjects: &[SubjectSummary], measured: &[RunSelection<'_>]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for metric in [cost(subjects), MetricId::DeliveryP50] {
        let sorted = ascending(subjects, metric);
        pairs.extend(sorted.windows(2).filter_map(|both| pair(metric, both, measured)));
    }
    let adjusted = holm(&pairs.iter().map(|pair| pair.ratio.p).collect::<Vec<_>>());
    pairs.iter_mut().zip(adjusted).for_each(|(pair, p)| pair.p_adjusted = p);
    pairs
}

/// The CPU metric that subjects are ordered by: back to back where two have it.
pub(crate) fn cost(subjects: &[SubjectSummary]) -> MetricId {
    let back_to_back = MetricId::BackToBackCpuPerMessage;
    if ascending(subjects, back_to_back).len() > 1 { back_to_back } else { MetricId::ServerCpuPerMessage }
}

/// Subjects with the metric but raw TCP, in ascending order of their ratio to it, or of their value
/// where one has no ratio.
pub(crate) fn ascending(subjects: &[SubjectSummary], metric: MetricId) -> Vec<&SubjectSummary> {
    let rows = subjects.iter().filter(|row| row.subject() != Subject::BASELINE);
    let mut rows: Vec<_> = rows.filter(|row| row.metric(metric).is_some()).collect();
    let has_ratios = rows.iter().all(|row| row.times_baseline.contains_key(&metric));
    let key = |row: &SubjectSummary| {
        let times = row.times_baseline.get(&metric).filter(|_| has_ratios).map(|times| times.value);
        times.or(row.metric(metric).map(|value| value.value)).unwrap_or(f64::INFINITY)
    };
    rows.sort_by(|a, b| key(a).total_cmp(&key(b)));
    rows
}

fn pair(metric: MetricId, both: &[&SubjectSummary], measured: &[RunSelection<'_>]) -> Option<Pair> {
    let of = |row: &SubjectSummary| measured.iter().find(|runs| runs.subject == row.subject());
    let (lower, higher) = (of(both.first()?)?, of(both.last()?)?);
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

    #[test]
    fn neighbours_are_compared_back_to_back_and_by_median_latency() {
        let job = results::invented::sliced(4, 20, 10);
        let point = &crate::summary::JobSummary::of(&job).points[0];
        let of = |metric| point.pairs.iter().filter(move |pair| pair.metric == metric).collect::<Vec<_>>();
        let (cost, latency) = (of(MetricId::BackToBackCpuPerMessage), of(MetricId::DeliveryP50));
        assert_eq!((cost.len(), latency.len(), point.pairs.len()), (8, 8, 16));
        assert!(cost.windows(2).all(|both| both[0].higher == both[1].lower));
        assert!(point.pairs.iter().all(|pair| pair.ratio.value >= 1.0 && pair.p_adjusted >= pair.ratio.p));
    }
}
