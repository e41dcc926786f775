//! Predictions for polling and long polling.

use results::{ByteClass, Direction, MetricId, RunRecord, TrafficKind};

use super::formulas::{PollBytes, empty_share, fan_out_ms, gap_wait_ms, held_together, polled_bytes, polled_together};
use super::inputs::{mean_half_ms, share_half};
use super::{PredictedRange, Predictions};

pub(super) fn polling(table: &mut Predictions<'_>) {
    let inputs = table.inputs;
    let Some(interval_ms) = inputs.number("tuning.polling.interval_ms") else { return };
    let interval_s = interval_ms / 1e3;
    let path = inputs.path_ms;
    let work = inputs.work(table.shown);
    let after = |share: f64| {
        let wait = share * interval_ms;
        let predicted = PredictedRange::between(path.low + wait, path.value + wait, path.high + wait);
        predicted.queued(work.map_or(0.0, |(_, queue)| queue))
    };
    let means = table.values(|run| MetricId::DeliveryMean.value(&run.record));
    table.add_values("mean latency, ms", "d + I/2", Some(after(0.5)), &means, mean_half_ms(&table.shown.runs));
    table.add_metric("p50 latency, ms", "d + I/2", Some(after(0.5)), MetricId::DeliveryP50);
    table.add_metric("p99 latency, ms", "d + 0.99 I", Some(after(0.99)), MetricId::DeliveryP99);
    let longest = PredictedRange::between(0.0, inputs.path_max_ms + interval_ms, inputs.path_max_ms + interval_ms);
    table.add_metric("longest latency, ms", "at most the longest of tcp + I", Some(longest), MetricId::DeliveryMax);
    let asked = table.values(|run| Some(run.record.reads() as f64 * 1e6 / run.record.window_us().max(1) as f64));
    // The number of requests of a client may differ by one from the number of intervals in each
    // window.
    let windows = table.values(|run| Some(run.record.kept().count() as f64));
    let edges = (inputs.clients * results::median(&windows).unwrap_or(1.0)).sqrt() / inputs.window_s.max(1e-6);
    table.add_values(
        "read requests/s",
        "N / I",
        Some(PredictedRange::exactly(inputs.clients / interval_s)),
        &asked,
        edges,
    );
    if inputs.random {
        at_random(table, interval_s);
    }
}

/// Predictions that assume random arrivals.
fn at_random(table: &mut Predictions<'_>, interval_s: f64) {
    let inputs = table.inputs;
    let Some(per_s) = table.per_s() else { return };
    let empty = empty_share(per_s, interval_s);
    // Clients of a room receive the same messages, so that an interval of a room is one
    // observation.
    let half = share_half(empty, inputs.rooms * inputs.window_s / interval_s);
    let shares = table.values(|run| MetricId::EmptyShare.value(&run.record));
    table.add_values("empty share", "e^−λI", Some(PredictedRange::exactly(empty)), &shares, half);
    let together = table.values(|run| {
        let full = run.record.reads().saturating_sub(run.record.window().empty_answers);
        (full > 0).then(|| run.record.window().delivered as f64 / full as f64)
    });
    let predicted = polled_together(per_s, interval_s);
    let formula = "λI / (1 − e^−λI)";
    table.add_values(
        "messages per full response",
        formula,
        Some(PredictedRange::exactly(predicted)),
        &together,
        predicted * half / (1.0 - empty),
    );
    let Some((bytes, message)) = table.shown.runs.first().and_then(|run| sizes(&run.record)) else { return };
    let measured = table.values(|run| per_delivery(&run.record));
    let half = half * (bytes.answer - bytes.empty).abs() / (per_s * interval_s);
    table.add_values(
        "bytes per delivery, both directions",
        "(Hq + (1 − e^−λI) Hs + e^−λI He) / λI + P + f",
        Some(PredictedRange::exactly(polled_bytes(bytes, per_s, interval_s, message))),
        &measured,
        half,
    );
}

pub(super) fn long_polling(table: &mut Predictions<'_>) {
    let inputs = table.inputs;
    let (Some(hold_ms), Some((write_ms, queue)), Some(per_s)) =
        (inputs.number("tuning.long-polling.hold_ms"), inputs.work(table.shown), table.per_s())
    else {
        return;
    };
    let cpu_ms =
        table.values(|run| Some(results::server_cpu_us(&run.record)? / run.record.reads().max(1) as f64 / 1e3));
    let Some(turnaround_ms) = results::median(&cpu_ms) else { return };
    let (path, hold_s) = (inputs.path_ms, hold_ms / 1e3);
    let gap_s = |path_ms: f64| (path_ms + turnaround_ms) / 1e3;
    let over_path = |of: &dyn Fn(f64) -> f64| {
        let (a, b) = (of(path.low), of(path.high));
        PredictedRange::between(a.min(b), of(path.value), a.max(b))
    };
    if inputs.random {
        // Random variation of the number of messages between two polls.
        let in_gaps = (per_s * gap_s(path.value) / inputs.posts.max(1.0)).sqrt() * 1.96;
        let together = over_path(&|path_ms| held_together(per_s, gap_s(path_ms), hold_s));
        let measured =
            table.values(|run| Some(run.record.window().delivered as f64 / run.record.reads().max(1) as f64));
        table.add_values("messages per response", "M = λG + e^−λG (1 − e^−λT)", Some(together), &measured, in_gaps);
    }
    let mean = over_path(&|path_ms| {
        path_ms + fan_out_ms(inputs.members, write_ms) + gap_wait_ms(per_s, gap_s(path_ms), hold_s).1
    });
    let means = table.values(|run| MetricId::DeliveryMean.value(&run.record));
    let half = mean_half_ms(&table.shown.runs);
    table.add_values("mean latency, ms", "d + (n+1)c/2 + p G/2", Some(mean.queued(queue)), &means, half);
    // If fewer than half of the messages arrive between two polls, the median equals that of push.
    let (in_gap, _) = gap_wait_ms(per_s, gap_s(path.value), hold_s);
    let p50 = inputs.path_p50_ms.filter(|_| in_gap < 0.5).map(|p50| {
        let own = fan_out_ms(inputs.members, write_ms);
        PredictedRange::between(p50.low + own, p50.value + own, p50.high + own).queued(queue)
    });
    table.add_metric("p50 latency, ms", "as with push", p50, MetricId::DeliveryP50);
}

/// Measured header sizes of polls and responses, and the size of a message with envelope and
/// framing.
fn sizes(record: &RunRecord) -> Option<(PollBytes, f64)> {
    let window = record.window();
    let (asked, empty) = (record.reads(), window.empty_answers);
    let headers = |way, purpose| window.bytes(way, purpose, ByteClass::Headers) as f64;
    let question = headers(Direction::Up, TrafficKind::Delivery) + headers(Direction::Up, TrafficKind::Empty);
    let each = |bytes: f64, count: u64| if count == 0 { 0.0 } else { bytes / count as f64 };
    let parts = [ByteClass::Payload, ByteClass::Envelope, ByteClass::Framing];
    let messages: u64 = parts.iter().map(|class| window.bytes(Direction::Down, TrafficKind::Delivery, *class)).sum();
    (asked > 0 && window.delivered > 0 && record.counts_all_bytes()).then(|| {
        let bytes = PollBytes {
            question: each(question, asked),
            answer: each(headers(Direction::Down, TrafficKind::Delivery), asked.saturating_sub(empty)),
            empty: each(headers(Direction::Down, TrafficKind::Empty), empty),
        };
        (bytes, messages as f64 / window.delivered as f64)
    })
}

/// All bytes of read requests and responses per message.
fn per_delivery(record: &RunRecord) -> Option<f64> {
    let window = record.window();
    let all = [Direction::Up, Direction::Down].into_iter().flat_map(|way| {
        [TrafficKind::Delivery, TrafficKind::Empty]
            .into_iter()
            .flat_map(move |purpose| ByteClass::ALL.map(|class| (way, purpose, class)))
    });
    let bytes: u64 = all.map(|(way, purpose, class)| window.bytes(way, purpose, class)).sum();
    (window.delivered > 0).then(|| bytes as f64 / window.delivered as f64)
}
