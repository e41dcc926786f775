//! `runs.csv`: which run it is, every metric, and what its verdict was based on.

use super::{Cell, Column, maybe};
use crate::{MetricId, Quantile, RunEnd, RunRecord, Series, Source};

type RunColumn = Column<RunRecord>;

pub(super) fn columns() -> Vec<RunColumn> {
    let mut columns = identity();
    columns.extend(MetricId::ALL.iter().flat_map(|metric| of_metric(*metric)));
    columns.extend(checks());
    columns
}

/// A metric; a quantile with the ends of its interval.
fn of_metric(metric: MetricId) -> Vec<RunColumn> {
    let info = metric.info();
    let mut columns = vec![RunColumn::new(info.name, info.help, move |r| maybe(metric.value(r)))];
    if matches!(info.source, Source::Quantile(..)) {
        let end = |suffix: &str, doc: &str, of: fn(Quantile) -> u64| {
            RunColumn::new(format!("{}_{suffix}", info.name), doc, move |r| {
                maybe(metric.quantile(r).map(|quantile| of(quantile) as f64 / 1e3))
            })
        };
        columns.push(end("low", "Lower end of its 95 % interval over the messages of the run", |quantile| {
            quantile.low_us
        }));
        columns.push(end("high", "Upper end", |quantile| quantile.high_us));
    }
    columns
}

#[rustfmt::skip]
fn identity() -> Vec<RunColumn> {
    vec![
        RunColumn::new("run", "Place in the order of runs, from 1; the name of its files", |r| r.run.into()),
        RunColumn::new("round", "Repetition, from 1", |r| r.round.into()),
        RunColumn::new("rerun", "Which repeat of it, 0 unless an earlier one was invalid", |r| r.attempt.into()),
        RunColumn::new("label", "Point of the sweep; empty without one", |r| r.point.as_str().into()),
        RunColumn::new("transport", "Transport", |r| r.transport.into()),
        RunColumn::new("target", "Whose server: `pushbench` is ours", |r| r.target.as_str().into()),
        RunColumn::new("client", "HTTP client of the generator", |r| r.http_client.as_str().into()),
        RunColumn::new("encoding", "How messages were written", |r| r.encoding.name().into()),
        RunColumn::new("verdict", "`sound`, `overloaded`, `wrong`, `crashed` or `invalid`", |r| r.verdict.kind.into()),
        RunColumn::new("reasons", "Why it is not sound, separated by semicolons", |r| r.verdict.reasons.join("; ").into()),
        RunColumn::new("ended", "`complete`, `interrupted`, `failed` or `crashed`", how_it_ended),
        RunColumn::new("seats", "Simulated clients, once for each room they are in", |r| r.planned.clients.into()),
        RunColumn::new("rooms", "Rooms", |r| r.planned.rooms.into()),
        RunColumn::new("payload_bytes", "Bytes of text in a post", |r| r.planned.payload_bytes.into()),
        RunColumn::new("window_us", "Length of the window as it was measured", |r| r.generator.window_us.into()),
        RunColumn::new("posts_planned", "Posts due in the window", |r| r.planned.posts_in_window.into()),
        RunColumn::new("posts_left", "Those of them that left at all", |r| r.planned.posts_sent_in_window.into()),
        RunColumn::new("deliveries_planned", "Posts due in the window times their receivers", |r| r.planned.deliveries_in_window.into()),
        RunColumn::new("delivered", "Messages that arrived in the window", |r| r.window.delivered.into()),
        RunColumn::new("delivery_samples", "Deliveries measured: due to seen", |r| maybe(r.latency.get(&Series::DeliveryLatency).map(|l| l.samples))),
        RunColumn::new("delivery_independent", "Messages among them; percentiles are judged by these", |r| maybe(r.latency.get(&Series::DeliveryLatency).map(|l| l.independent))),
    ]
}

#[rustfmt::skip]
fn checks() -> Vec<RunColumn> {
    vec![
        RunColumn::new("planned", "Deliveries planned, warm-up included", |r| r.ledger.scheduled.into()),
        RunColumn::new("seen", "Those that happened, once each", |r| r.ledger.received.into()),
        RunColumn::new("lost", "Those that did not although the server had the post", |r| r.ledger.lost.into()),
        RunColumn::new("faulted", "Those of posts that never reached the server", |r| r.ledger.undelivered_posts.into()),
        RunColumn::new("duplicated", "Extra copies", |r| r.ledger.duplicated.into()),
        RunColumn::new("reordered", "Messages that came after one that follows them", |r| r.ledger.reordered.into()),
        RunColumn::new("corrupted", "Messages with the wrong content", |r| r.ledger.corrupted.into()),
        RunColumn::new("foreign", "Messages nobody planned", |r| r.ledger.unexpected.into()),
        RunColumn::new("gap_messages", "Messages the server said were gone, in gaps or with a log that it began anew", |r| r.ledger.gap_messages.into()),
        RunColumn::new("blocked", "Posts of the whole run that waited for the one before to be confirmed", |r| r.total.posts_delayed.into()),
        RunColumn::new("faults", "What broke between clients and server; the record names each kind", |r| r.faults.total().into()),
        RunColumn::new("saturated", "Latencies beyond 60 s, counted as 60 s", |r| r.saturated.into()),
        RunColumn::new("negative", "Deliveries seen before they were due", |r| r.negative.into()),
        RunColumn::new("worker_busy_max", "Largest share of its core that a generator's worker used, 0 to 1", |r| r.generator.core_usage_max.into()),
        RunColumn::new("spin_before", "Turns per µs and core of a loop on all cores just before the run", |r| r.machine.cpu_probe_before.into()),
        RunColumn::new("spin_after", "The same just after it", |r| r.machine.cpu_probe_after.into()),
        RunColumn::new("spin_best", "Best of the job so far", |r| r.machine.cpu_probe_best.into()),
        RunColumn::new("stolen_share", "CPU time the host took, 0 to 1", |r| r.machine.stolen_share.into()),
        RunColumn::new("throttled_us", "Time for which a quota stopped us", |r| r.machine.throttled_us.into()),
    ]
}

fn how_it_ended(run: &RunRecord) -> Cell {
    match run.ended {
        RunEnd::Complete => "complete",
        RunEnd::Interrupted => "interrupted",
        RunEnd::Failed(_) => "failed",
        RunEnd::Crashed(_) => "crashed",
    }
    .into()
}
