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
        RunColumn::new("run", "Number of the run in the job, from 1; the name of its files", |r| r.run.into()),
        RunColumn::new("round", "Round among those of the same mode, from 1", |r| r.round.into()),
        RunColumn::new("mode", "`load` or `lock-step`", |r| r.mode.name().into()),
        RunColumn::new("point", "Point of the sweep; empty without a sweep", |r| r.point.as_str().into()),
        RunColumn::new("transport", "Transport", |r| r.transport.into()),
        RunColumn::new("target", "Server under test; `pushbench` is the built-in server", |r| r.target.as_str().into()),
        RunColumn::new("http_client", "HTTP client of the load generator", |r| r.http_client.as_str().into()),
        RunColumn::new("encoding", "Encoding of the messages", |r| r.encoding.name().into()),
        RunColumn::new("verdict", "`valid`, `overloaded`, `wrong`, `crashed` or `invalid`", |r| r.verdict.kind.into()),
        RunColumn::new("reasons", "Why the run is not valid, separated by semicolons", |r| r.verdict.reasons.join("; ").into()),
        RunColumn::new("ended", "`complete`, `interrupted`, `failed` or `crashed`", how_it_ended),
        RunColumn::new("clients", "Simulated clients", |r| r.planned.clients.into()),
        RunColumn::new("rooms", "Rooms", |r| r.planned.rooms.into()),
        RunColumn::new("payload_bytes", "Bytes of text in a post", |r| r.planned.payload_bytes.into()),
        RunColumn::new("window_us", "Length of the measured windows", |r| r.window_us().into()),
        RunColumn::new("posts_planned", "Posts scheduled in the windows", |r| r.planned.posts_in_window.into()),
        RunColumn::new("posts_sent", "Posts scheduled in the windows that were sent", |r| r.planned.posts_sent_in_window.into()),
        RunColumn::new("deliveries_planned", "Posts scheduled in the windows, times their receivers", |r| r.planned.deliveries_in_window.into()),
        RunColumn::new("delivered", "Messages received in the windows", |r| r.window().delivered.into()),
        RunColumn::new("delivery_samples", "Deliveries whose latency was measured", |r| maybe(r.latency.get(&Series::DeliveryLatency).map(|l| l.samples))),
        RunColumn::new("delivery_independent", "Messages among them: the independent values on which the percentiles depend", |r| maybe(r.latency.get(&Series::DeliveryLatency).map(|l| l.independent))),
    ]
}

#[rustfmt::skip]
fn checks() -> Vec<RunColumn> {
    vec![
        RunColumn::new("scheduled", "Deliveries scheduled in the whole run, warm-up included", |r| r.ledger.scheduled.into()),
        RunColumn::new("received", "Scheduled deliveries that were received, each counted once", |r| r.ledger.received.into()),
        RunColumn::new("lost", "Messages the server accepted that a client never received", |r| r.ledger.lost.into()),
        RunColumn::new("undelivered_posts", "Deliveries missing because the post never reached the server", |r| r.ledger.undelivered_posts.into()),
        RunColumn::new("duplicated", "Messages received again", |r| r.ledger.duplicated.into()),
        RunColumn::new("reordered", "Messages received after a later message", |r| r.ledger.reordered.into()),
        RunColumn::new("corrupted", "Messages whose content differs from the post", |r| r.ledger.corrupted.into()),
        RunColumn::new("unexpected", "Messages that the plan does not contain", |r| r.ledger.unexpected.into()),
        RunColumn::new("forgotten", "Messages that servers had accepted and that the log that they share no longer has at the end", |r| r.ledger.forgotten.into()),
        RunColumn::new("gap_messages", "Messages that the server reported as no longer available, in gaps and resets", |r| r.ledger.gap_messages.into()),
        RunColumn::new("unmarked", "Messages without the text of a post, from a server with a protocol of its own", |r| r.total.unmarked.into()),
        RunColumn::new("posts_delayed", "Posts of the whole run that waited for the acknowledgement of the post before", |r| r.total.posts_delayed.into()),
        RunColumn::new("faults", "Connection and protocol errors; the record counts each kind", |r| r.faults.total().into()),
        RunColumn::new("saturated", "Latencies above 60 s, recorded as 60 s", |r| r.saturated.into()),
        RunColumn::new("negative", "Deliveries received before they were scheduled", |r| r.negative.into()),
        RunColumn::new("generator_core_usage_max", "Largest share of a core that a worker of the load generator used, 0 to 1", |r| r.generator.core_usage_max.into()),
        RunColumn::new("cpu_probe_before", "CPU probe just before the run: iterations of a loop per µs and core, on all cores", |r| r.machine.cpu_probe_before.into()),
        RunColumn::new("cpu_probe_after", "CPU probe just after the run", |r| r.machine.cpu_probe_after.into()),
        RunColumn::new("cpu_probe_best", "Best CPU probe of the job so far", |r| r.machine.cpu_probe_best.into()),
        RunColumn::new("stolen_share", "Share of the CPU time that the host took, 0 to 1", |r| r.machine.stolen_share.into()),
        RunColumn::new("throttled_us", "Time for which a CPU quota stopped the processes", |r| r.machine.throttled_us.into()),
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
