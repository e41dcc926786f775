//! `runs.csv`: every headline figure of a run.

use super::{Column, column, maybe};
use crate::{Ended, Figures, RunRecord, Series, quantile};

fn us(record: &RunRecord, series: Series, name: &str) -> Option<u64> {
    quantile(record, series, name).map(|quantile| quantile.us)
}

fn low(record: &RunRecord, name: &str) -> Option<u64> {
    quantile(record, Series::Delivery, name).map(|quantile| quantile.low_us)
}

fn high(record: &RunRecord, name: &str) -> Option<u64> {
    quantile(record, Series::Delivery, name).map(|quantile| quantile.high_us)
}

fn max(record: &RunRecord, series: Series) -> Option<u64> {
    record.latency.get(&series).map(|latency| latency.max_us)
}

fn per_s(count: u64, window_us: u64) -> Option<f64> {
    (window_us > 0).then(|| count as f64 * 1e6 / window_us as f64)
}

#[rustfmt::skip]
pub(super) const COLUMNS: &[Column<RunRecord>] = &[
    column("run", "Place in the order of runs, from 1; the name of its files", |r| r.run.into()),
    column("round", "Repetition, from 1", |r| r.round.into()),
    column("rerun", "Which repeat of it, 0 unless an earlier one was invalid", |r| r.rerun.into()),
    column("label", "Point of the sweep; empty without one", |r| r.label.as_str().into()),
    column("transport", "Transport", |r| r.transport.into()),
    column("target", "Whose server: `pushbench` is ours", |r| r.target.as_str().into()),
    column("client", "HTTP client of the generator", |r| r.client.as_str().into()),
    column("encoding", "How messages were written", |r| r.encoding.name().into()),
    column("verdict", "`sound`, `overloaded`, `wrong`, `crashed` or `invalid`", |r| r.verdict.kind.into()),
    column("reasons", "Why it is not sound, separated by semicolons", |r| r.verdict.reasons.join("; ").into()),
    column("ended", "`complete`, `interrupted`, `failed` or `crashed`", |r| match r.ended {
        Ended::Complete => "complete",
        Ended::Interrupted => "interrupted",
        Ended::Failed(_) => "failed",
        Ended::Crashed(_) => "crashed",
    }.into()),
    column("seats", "Simulated clients, once for each room they are in", |r| r.planned.seats.into()),
    column("rooms", "Rooms", |r| r.planned.rooms.into()),
    column("payload_bytes", "Bytes of text in a post", |r| r.planned.payload_bytes.into()),
    column("window_us", "Length of the window as it was measured", |r| r.generator.window_us.into()),
    column("posts_planned", "Posts due in the window", |r| r.planned.posts_in_window.into()),
    column("posts_left", "Those of them that left at all", |r| r.planned.left_in_window.into()),
    column("deliveries_planned", "Posts due in the window times their receivers", |r| r.planned.deliveries_in_window.into()),
    column("delivered", "Messages that arrived in the window", |r| r.window.delivered.into()),
    column("offered_per_s", "Deliveries the plan wants in a second", |r| maybe(per_s(r.planned.deliveries_in_window, r.planned.window_us))),
    column("delivered_per_s", "Messages that arrived in a second of the window", |r| Figures::of(r).delivered_per_s.into()),

    column("delivery_samples", "Deliveries measured: due to seen", |r| maybe(r.latency.get(&Series::Delivery).map(|l| l.samples))),
    column("delivery_independent", "Messages among them; percentiles are judged by these", |r| maybe(r.latency.get(&Series::Delivery).map(|l| l.independent))),
    column("delivery_us_p50", "Due to seen, median; as all percentiles empty where the sample cannot carry it", |r| maybe(us(r, Series::Delivery, "p50"))),
    column("delivery_us_p50_low", "Lower end of its 95 % interval", |r| maybe(low(r, "p50"))),
    column("delivery_us_p50_high", "Upper end of it", |r| maybe(high(r, "p50"))),
    column("delivery_us_p90", "Due to seen, 90 %", |r| maybe(us(r, Series::Delivery, "p90"))),
    column("delivery_us_p99", "Due to seen, 99 %", |r| maybe(us(r, Series::Delivery, "p99"))),
    column("delivery_us_p99_low", "Lower end of its 95 % interval", |r| maybe(low(r, "p99"))),
    column("delivery_us_p99_high", "Upper end of it", |r| maybe(high(r, "p99"))),
    column("delivery_us_p99_9", "Due to seen, 99.9 %", |r| maybe(us(r, Series::Delivery, "p99_9"))),
    column("delivery_us_p99_99", "Due to seen, 99.99 %", |r| maybe(us(r, Series::Delivery, "p99_99"))),
    column("delivery_us_max", "Due to seen, the largest", |r| maybe(max(r, Series::Delivery))),
    column("delivery_us_mean", "Due to seen, mean", |r| maybe(r.latency.get(&Series::Delivery).map(|l| l.mean_us))),
    column("delivery_uncorrected_us_p50", "Left to seen, median: blind to what the sender waited for", |r| maybe(us(r, Series::DeliveryUncorrected, "p50"))),
    column("delivery_uncorrected_us_p99", "Left to seen, 99 %", |r| maybe(us(r, Series::DeliveryUncorrected, "p99"))),
    column("lateness_us_p50", "Due to left, median", |r| maybe(us(r, Series::Lateness, "p50"))),
    column("lateness_us_p99", "Due to left, 99 %", |r| maybe(us(r, Series::Lateness, "p99"))),
    column("accepted_us_p50", "Left to confirmed, median", |r| maybe(us(r, Series::Accepted, "p50"))),
    column("accepted_us_p99", "Left to confirmed, 99 %", |r| maybe(us(r, Series::Accepted, "p99"))),
    column("connect_us_p50", "Start to joined, median", |r| maybe(us(r, Series::Connect, "p50"))),
    column("connect_us_max", "Start to joined, the largest", |r| maybe(max(r, Series::Connect))),
    column("spread_us_p50", "First to last receiver of a message, median; one in eight is watched", |r| maybe(us(r, Series::Spread, "p50"))),
    column("spread_us_p99", "First to last receiver of a message, 99 %", |r| maybe(us(r, Series::Spread, "p99"))),
    column("outage_us_max", "Cut to the first message seen again, the largest", |r| maybe(max(r, Series::Outage))),

    column("server_cpu_us_per_message", "Server CPU for each delivered message", |r| maybe(Figures::of(r).server_cpu_us_per_message)),
    column("server_user_us_per_message", "The part of it in user mode", |r| maybe(Figures::of(r).server_user_us_per_message)),
    column("generator_cpu_us_per_message", "Generator CPU for each delivered message", |r| maybe(Figures::of(r).generator_cpu_us_per_message)),
    column("down_bytes_per_message", "Bytes to the clients, everything but TCP and IP included, for each", |r| maybe(Figures::of(r).down_bytes_per_message)),
    column("up_bytes_per_message", "Bytes to the server, everything but TCP and IP included, for each", |r| maybe(Figures::of(r).up_bytes_per_message)),
    column("tcp_ip_bytes_per_message", "Bytes of TCP and IP headers, both ways, for each", |r| maybe(Figures::of(r).tcp_ip_bytes_per_message)),
    column("requests_per_message", "HTTP requests for each", |r| maybe(Figures::of(r).requests_per_message)),
    column("writes_per_message", "Writes on the server's sockets for each", |r| maybe(Figures::of(r).writes_per_message)),
    column("messages_per_batch", "Messages that share a response, chunk or write", |r| maybe(Figures::of(r).messages_per_batch)),
    column("empty_share", "Reading requests that found nothing, of all reading requests, 0 to 1", |r| maybe(Figures::of(r).empty_share)),
    column("server_bytes_per_connection", "Server memory for each idle connection", |r| maybe(Figures::of(r).server_bytes_per_connection)),

    column("planned", "Deliveries planned, warm-up included", |r| r.ledger.planned.into()),
    column("seen", "Those that happened, once each", |r| r.ledger.seen.into()),
    column("lost", "Those that did not although the server had the post", |r| r.ledger.lost.into()),
    column("faulted", "Those of posts that never reached the server", |r| r.ledger.faulted.into()),
    column("duplicated", "Extra copies", |r| r.ledger.duplicated.into()),
    column("reordered", "Messages that came after one that follows them", |r| r.ledger.reordered.into()),
    column("corrupted", "Messages with the wrong content", |r| r.ledger.corrupted.into()),
    column("foreign", "Messages nobody planned", |r| r.ledger.foreign.into()),
    column("gap_messages", "Messages the server said were gone, in gaps or with a log that it began anew", |r| r.ledger.gap_messages.into()),
    column("blocked", "Posts of the whole run that waited for the one before to be confirmed", |r| r.total.blocked.into()),
    column("faults", "What broke between clients and server; the record names each kind", |r| r.faults.total().into()),
    column("saturated", "Latencies beyond 60 s, counted as 60 s", |r| r.saturated.into()),
    column("negative", "Deliveries seen before they were due", |r| r.negative.into()),

    column("worker_busy_max", "Largest share of its core that a generator's worker used, 0 to 1", |r| r.generator.worker_busy_max.into()),
    column("spin_before", "Turns per µs and core of a loop on all cores just before the run", |r| r.machine.spin_before.into()),
    column("spin_after", "The same just after it", |r| r.machine.spin_after.into()),
    column("spin_best", "Best of the job so far", |r| r.machine.spin_best.into()),
    column("stolen_share", "CPU time the host took, 0 to 1", |r| r.machine.stolen_share.into()),
    column("throttled_us", "Time for which a quota stopped us", |r| r.machine.throttled_us.into()),
];
