//! What is compared between two servers, what change of it matters, and how it is read from a run.

use results::{Figures, RunRecord, Series, quantile};

use super::Metric;

/// All of them, in the order of tables. Those without a share that matters are shown and never gated.
pub const METRICS: [Metric; 7] = [
    metric("throughput_per_s", "throughput", "msg/s", true, Some(0.05)),
    metric("server_cpu_us_per_message", "CPU per message", "µs", false, Some(0.05)),
    metric("server_bytes_per_connection", "memory per connection", "B", false, Some(0.05)),
    metric("delivery_us_p50", "p50", "µs", false, Some(0.10)),
    metric("delivery_us_p99", "p99", "µs", false, Some(0.25)),
    metric("delivery_us_p99_9", "p99.9", "µs", false, None),
    metric("delivery_us_max", "max", "µs", false, None),
];

const fn metric(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    more_is_better: bool,
    delta: Option<f64>,
) -> Metric {
    Metric { name, title, unit, more_is_better, delta }
}

/// A metric of a run; `None` when the run does not carry it.
pub fn value(record: &RunRecord, metric: &Metric) -> Option<f64> {
    let delivery = |name| quantile(record, Series::Delivery, name).map(|quantile| quantile.us as f64);
    let value = match metric.name {
        "throughput_per_s" => Some(Figures::of(record).delivered_per_s),
        "server_cpu_us_per_message" => Figures::of(record).server_cpu_us_per_message,
        "server_bytes_per_connection" => Figures::of(record).server_bytes_per_connection,
        "delivery_us_p50" => delivery("p50"),
        "delivery_us_p99" => delivery("p99"),
        "delivery_us_p99_9" => delivery("p99_9"),
        _ => record.latency.get(&Series::Delivery).map(|delivery| delivery.max_us as f64),
    };
    // Ratios are compared: nothing at all has none.
    value.filter(|value| value.is_finite() && *value > 0.0)
}
