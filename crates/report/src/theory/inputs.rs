//! Inputs of predictions: settings of a point, and measurements of raw TCP at that point.

use results::{MetricId, Point, ResultsFolder, Run, Series, Subject};

use super::PredictedRange;
use super::formulas::{fan_out_ms, queue_ms};
use crate::selection::RunSelection;

/// 97.5 % point of the normal distribution.
const Z: f64 = 1.96;

/// Inputs of the predictions at one point.
pub(super) struct Inputs {
    pub(super) point: Point,
    pub(super) clients: f64,
    pub(super) rooms: f64,
    pub(super) members: f64,
    /// Length of the windows of a run together.
    pub(super) window_s: f64,
    /// Posts in the window.
    pub(super) posts: f64,
    /// Deliveries per second.
    pub(super) deliveries_per_s: f64,
    /// Whether arrivals are random, as the exponential formulas assume.
    pub(super) random: bool,
    /// Time of one post and one delivery without waiting: mean of tcp minus its fan-out and
    /// queueing.
    pub(super) path_ms: PredictedRange,
    /// Median of tcp minus half its fan-out.
    pub(super) path_p50_ms: Option<PredictedRange>,
    /// Maximum of tcp.
    pub(super) path_max_ms: f64,
}

impl Inputs {
    /// The inputs of a point; `None` if tcp has no values.
    pub(super) fn of(job: &ResultsFolder, label: &str) -> Option<Self> {
        let point = job.manifest.points.iter().find(|point| point.name == label)?.clone();
        let tcp = RunSelection::of(job, label, &Subject::BASELINE);
        // An overloaded baseline cannot be used.
        let record = &tcp.runs.first().filter(|_| !tcp.is_overloaded())?.record;
        let planned = record.planned;
        let (seats, rooms) = (f64::from(planned.clients), f64::from(planned.rooms.max(1)));
        let window_s = record.planned_window_us() as f64 / 1e6;
        let deliveries_per_s = planned.deliveries_in_window as f64 / window_s.max(1e-6);
        let members = seats / rooms;
        let mut inputs = Self {
            clients: seats,
            rooms,
            members,
            window_s,
            posts: planned.posts_in_window as f64,
            deliveries_per_s,
            random: point.settings.get("posts.arrivals").and_then(|word| word.as_str()) == Some("poisson"),
            path_ms: PredictedRange::exactly(0.0),
            path_p50_ms: None,
            path_max_ms: tcp.estimate(MetricId::DeliveryMax)?.value,
            point,
        };
        let mean = tcp.estimate(MetricId::DeliveryMean)?;
        let half = mean_half_ms(&tcp.runs);
        let (low, high) = mean.ends().unwrap_or((mean.value, mean.value));
        let (write_ms, queue) = inputs.work(&tcp)?;
        let own = fan_out_ms(members, write_ms);
        inputs.path_ms = PredictedRange::between(
            (low.min(mean.value - half) - own - queue).max(0.0),
            (mean.value - own - queue).max(0.0),
            (high.max(mean.value + half) - own - queue).max(0.0),
        );
        inputs.path_p50_ms = tcp.estimate(MetricId::DeliveryP50).map(|p50| {
            let (low, high) = p50.ends().unwrap_or((p50.value, p50.value));
            PredictedRange::between((low - own).max(0.0), (p50.value - own).max(0.0), (high - own).max(0.0))
        });
        Some(inputs)
    }

    /// A numeric setting.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.point.number(key)
    }

    /// Server CPU per delivery and mean queueing time; `None` if the CPU is unknown or the server
    /// was saturated.
    pub(super) fn work(&self, shown: &RunSelection<'_>) -> Option<(f64, f64)> {
        let write_ms = shown.estimate(MetricId::ServerCpuPerMessage)?.value / 1e3;
        let busy = self.deliveries_per_s * write_ms / 1e3;
        Some((write_ms, queue_ms(busy, self.members * write_ms)?))
    }
}

/// Half the sampling interval of the mean latency.
pub(super) fn mean_half_ms(runs: &[&Run]) -> f64 {
    let halves: Vec<_> = runs.iter().filter_map(|run| half_ms(run)).collect();
    results::median(&halves).unwrap_or(0.0)
}

fn half_ms(run: &Run) -> Option<f64> {
    let independent = run.record.latency.get(&Series::DeliveryLatency)?.independent;
    let whole = run.whole(Series::DeliveryLatency);
    let mean = whole.mean()?;
    let squares: f64 = whole.counts().iter().map(|(us, count)| (*us as f64 - mean).powi(2) * *count as f64).sum();
    let spread = (squares / whole.len() as f64).sqrt();
    (independent > 0).then(|| Z * spread / (independent as f64).sqrt() / 1e3)
}

/// Half the sampling interval of a share of `of` items.
pub(super) fn share_half(share: f64, of: f64) -> f64 {
    if of > 0.0 { Z * (share * (1.0 - share) / of).sqrt() } else { 0.0 }
}
