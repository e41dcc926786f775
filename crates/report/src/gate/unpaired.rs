//! Comparison of two finished folders. Base and head did not run in turns, so that a change of the
//! machine between them cannot be distinguished from a change of the program: the verdicts are
//! weaker than those of a gate, and the output must say so.

use results::{MetricId, ResultsFolder, Subject};

use super::{ComparisonRow, GateVerdict, InconclusiveReason, value, worse};
use crate::selection::{RunSelection, point_names};
use crate::stats::{self, Shift, holm};

const ALPHA: f64 = 0.01;
/// Level of the printed interval and of the interval for `same`. With few repetitions, a lower
/// level would exclude an outlier.
const LEVEL: f64 = 0.95;

/// Compares two folders of one scenario: one row for each point, transport and metric in both.
pub fn unpaired(base: &ResultsFolder, head: &ResultsFolder) -> Vec<ComparisonRow> {
    let mut samples = Vec::new();
    for label in point_names(base) {
        let here = base.runs.iter().filter(|run| run.record.point == label);
        for subject in Subject::all(here.map(|run| &run.record)) {
            let (base, head) = (RunSelection::of(base, label, &subject), RunSelection::of(head, label, &subject));
            let named = name(label, &base, &head);
            for metric in MetricId::gated() {
                let of = |shown: &RunSelection<'_>| shown.each(|record| value(metric, record));
                let (base, head) = (of(&base), of(&head));
                if !base.is_empty() && !head.is_empty() {
                    samples.push((named.clone(), metric, base, head));
                }
            }
        }
    }
    rows(&samples)
}

/// Name of the rows of a subject: transport, point, and which side was overloaded.
fn name(label: &str, base: &RunSelection<'_>, head: &RunSelection<'_>) -> String {
    let mut name = base.subject.to_string();
    if !label.is_empty() {
        name += &format!(" {label}");
    }
    match (base.is_overloaded(), head.is_overloaded()) {
        (false, false) => name,
        (true, true) => name + " (overloaded)",
        (true, false) => name + " (base overloaded)",
        (false, true) => name + " (head overloaded)",
    }
}

type Sample = (String, MetricId, Vec<f64>, Vec<f64>);

fn rows(samples: &[Sample]) -> Vec<ComparisonRow> {
    let shifts: Vec<Option<Shift>> = samples.iter().map(|(_, metric, base, head)| shift(*metric, base, head)).collect();
    let p = |at: usize| shifts[at].as_ref().map_or(1.0, |shift| shift.p);
    let gated: Vec<usize> = (0..samples.len()).filter(|at| samples[*at].1.info().gate.is_some()).collect();
    let mut adjusted: Vec<f64> = (0..samples.len()).map(p).collect();
    let all = holm(&gated.iter().map(|at| p(*at)).collect::<Vec<_>>());
    gated.iter().zip(all).for_each(|(at, p)| adjusted[*at] = p);
    samples.iter().zip(&shifts).zip(adjusted).map(|((sample, shift), p)| row(sample, shift.as_ref(), p)).collect()
}

/// The shift of the logarithms; positive is worse.
fn shift(metric: MetricId, base: &[f64], head: &[f64]) -> Option<Shift> {
    let sign = worse(metric);
    let logs = |values: &[f64]| values.iter().map(|value| sign * value.ln()).collect::<Vec<_>>();
    Shift::of(&logs(base), &logs(head))
}

fn row((transport, metric, base, head): &Sample, shift: Option<&Shift>, p: f64) -> ComparisonRow {
    let sign = worse(*metric);
    let ratio = |log: f64| (sign * log).exp();
    let interval = shift.and_then(|shift| shift.interval(LEVEL));
    let shown = interval.map(|(low, high)| (ratio(low), ratio(high)));
    let estimate = shift.map_or(0.0, Shift::median);
    let verdict = metric.info().gate.map(|delta| {
        let matters = delta.ln_1p();
        match interval {
            None => GateVerdict::Inconclusive(InconclusiveReason::Missing),
            Some(_) if p <= ALPHA && estimate >= matters => GateVerdict::Regression,
            Some(_) if p <= ALPHA && estimate <= -matters => GateVerdict::Improved,
            Some((low, high)) if -matters < low && high < matters => GateVerdict::Same,
            Some(_) => GateVerdict::Inconclusive(InconclusiveReason::Noise),
        }
    });
    ComparisonRow {
        transport: transport.clone(),
        metric: *metric,
        verdict,
        blocks: base.len().min(head.len()),
        base: middle(base),
        head: middle(head),
        ratio: ratio(estimate),
        interval: shown.map(|(a, b)| (a.min(b), a.max(b))),
        p,
        p_again: 1.0,
        smallest_effect: None,
        blocks_to_decide: None,
        again: Vec::new(),
    }
}

fn middle(values: &[f64]) -> f64 {
    stats::median(values).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Chance;

    fn verdict(runs: usize, sigma: f64, factor: f64) -> Option<GateVerdict> {
        let mut chance = Chance::new(2, 0);
        let mut sample =
            |factor: f64| (0..runs).map(|_| 4.0 * factor * (sigma * chance.normal()).exp()).collect::<Vec<_>>();
        rows(&[("sse".to_owned(), MetricId::ServerCpuPerMessage, sample(1.0), sample(factor))])[0].verdict
    }

    #[test]
    fn few_repetitions_are_inconclusive_and_many_are_not() {
        assert_eq!(verdict(2, 0.001, 2.0), Some(GateVerdict::Inconclusive(InconclusiveReason::Missing)));
        assert_eq!(
            verdict(4, 0.001, 2.0),
            Some(GateVerdict::Inconclusive(InconclusiveReason::Noise)),
            "four of four can occur by chance"
        );
        assert_eq!(verdict(10, 0.01, 1.2), Some(GateVerdict::Regression));
        assert_eq!(verdict(10, 0.01, 0.8), Some(GateVerdict::Improved));
        assert_eq!(verdict(10, 0.01, 1.0), Some(GateVerdict::Same));
        assert_eq!(verdict(10, 0.3, 1.0), Some(GateVerdict::Inconclusive(InconclusiveReason::Noise)));
    }

    #[test]
    fn five_runs_with_one_outlier_are_not_the_same_as_themselves() {
        let runs = vec![380.0, 400.0, 420.0, 430.0, 1540.0];
        let row = &rows(&[("long-polling".to_owned(), MetricId::DeliveryP99, runs.clone(), runs)])[0];
        assert_eq!(row.verdict, Some(GateVerdict::Inconclusive(InconclusiveReason::Noise)));
    }
}
