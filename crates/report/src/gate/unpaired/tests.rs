//! Comparisons of invented folders.

use results::invented::sliced;

use super::*;
use crate::stats::Chance;

fn sample(metric: MetricId, base: &[f64], head: &[f64]) -> Sample {
    let logs = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<_>>();
    Sample {
        name: "sse".to_owned(),
        metric,
        medians: [base, head].map(|values| stats::median(values).unwrap()),
        blocks: base.len(),
        rounds: base.len(),
        change: Change::Rounds(Shift::of(&logs(base), &logs(head))),
    }
}

#[test]
fn few_rounds_are_inconclusive_and_many_are_not() {
    let verdict = |rounds: usize, sigma: f64, factor: f64| {
        let mut chance = Chance::new(2, 0);
        let mut values =
            |factor: f64| (0..rounds).map(|_| 4.0 * factor * (sigma * chance.normal()).exp()).collect::<Vec<_>>();
        rows(&[sample(MetricId::ServerBytesPerConnection, &values(1.0), &values(factor))])[0].verdict
    };
    assert_eq!(verdict(2, 0.001, 2.0), Some(GateVerdict::Inconclusive(InconclusiveReason::Missing)));
    assert_eq!(
        verdict(4, 0.001, 2.0),
        Some(GateVerdict::Inconclusive(InconclusiveReason::Noise)),
        "four of four can occur by chance"
    );
    assert_eq!(verdict(4, 0.001, 1.0), Some(GateVerdict::Same));
    assert_eq!(verdict(10, 0.01, 1.2), Some(GateVerdict::Regression));
    assert_eq!(verdict(10, 0.01, 0.8), Some(GateVerdict::Improved));
    assert_eq!(verdict(10, 0.01, 1.0), Some(GateVerdict::Same));
    assert_eq!(verdict(10, 0.3, 1.0), Some(GateVerdict::Inconclusive(InconclusiveReason::Noise)));
}

#[test]
fn five_rounds_with_one_outlier_are_not_the_same_as_themselves() {
    let rounds = [380.0, 400.0, 420.0, 430.0, 1540.0];
    let row = &rows(&[sample(MetricId::DeliveryP99, &rounds, &rounds)])[0];
    assert_eq!(row.verdict, Some(GateVerdict::Inconclusive(InconclusiveReason::Noise)));
}

/// A job on a machine that is this many times slower, with this change of one transport's server.
fn job(transport: wire::Transport, slower: f64, change: f64) -> ResultsFolder {
    let mut folder = sliced(4, 30, 10);
    for run in &mut folder.runs {
        let own = if run.record.transport == transport { change } else { 1.0 };
        for slice in &mut run.record.slices {
            slice.server_cpu_ns = slice.server_cpu_ns.map(|ns| (ns as f64 * slower * own) as u64);
        }
    }
    folder
}

fn found<'a>(rows: &'a [ComparisonRow], transport: &str, metric: MetricId) -> &'a ComparisonRow {
    rows.iter().find(|row| row.transport == transport && row.metric == metric).unwrap()
}

#[test]
fn a_slower_machine_is_no_change_of_a_transport() {
    let sse = wire::Transport::Sse;
    let base = job(sse, 1.0, 1.0);
    let rows = unpaired(&base, &job(sse, 1.4, 1.1));
    for metric in [MetricId::ServerCpuPerMessage, MetricId::BackToBackCpuPerMessage] {
        let changed = found(&rows, "sse", metric);
        assert_eq!(changed.verdict, Some(GateVerdict::Regression), "{changed:?}");
        assert!((changed.ratio - 1.1).abs() < 0.02 && (changed.head / changed.base - 1.54).abs() < 0.03);
        let other = found(&rows, "websocket", metric);
        assert_eq!(other.verdict, Some(GateVerdict::Same), "{other:?}");
        let baseline = found(&rows, "tcp", metric);
        assert!(baseline.verdict.is_none() && (baseline.ratio - 1.4).abs() < 0.01, "{baseline:?}");
    }
    let polling = found(&rows, "polling", MetricId::DeliveryP50);
    assert!((polling.rounds, polling.blocks) == (4, 4), "the latency of polling is no multiple of raw TCP's");
}

#[test]
fn four_load_rounds_and_ten_lock_step_rounds_give_verdicts() {
    let folder = job(wire::Transport::Sse, 1.0, 1.0);
    let rows = unpaired(&folder, &folder);
    let verdict = |metric| found(&rows, "sse", metric).verdict;
    for metric in [MetricId::ServerCpuPerMessage, MetricId::BackToBackCpuPerMessage, MetricId::DeliveryP50] {
        assert_eq!(verdict(metric), Some(GateVerdict::Same), "{metric:?}");
    }
    let missing = GateVerdict::Inconclusive(InconclusiveReason::Missing);
    assert!(rows.iter().all(|row| row.verdict != Some(missing)), "{rows:?}");
}

#[test]
fn without_raw_tcp_the_rounds_are_compared() {
    let mut folder = job(wire::Transport::Sse, 1.0, 1.0);
    folder.runs.retain(|run| run.record.transport != wire::Transport::Tcp);
    let rows = unpaired(&folder, &folder);
    let row = found(&rows, "sse", MetricId::BackToBackCpuPerMessage);
    assert_eq!((row.verdict, row.rounds, row.blocks), (Some(GateVerdict::Same), 10, 10));
}
