//! Comparison of two finished folders. Base and head did not run in turns, so that a change of the
//! machine between them cannot be distinguished from a change of the program: the verdicts are
//! weaker than those of a gate, and the output must say so.
//!
//! What a change of the machine changes for all transports is removed: CPU and latency are compared
//! as multiples of raw TCP in the same blocks. Raw TCP's own change is shown beside them, without a
//! verdict. The latency of polling comes from its interval and not from the machine; it and all
//! metrics that a slice does not have are compared by their values in the rounds.

use results::{MetricId, Mode, ResultsFolder, RunRecord, Subject, VerdictKind};
use wire::Delivery;

use super::in_blocks::{in_blocks, runs_with_metrics};
use super::planning::rounds_to_decide;
use super::{ComparisonRow, GateVerdict, InconclusiveReason, value, worse};
use crate::stats::{self, InBlock, LogRatio, Shift, holm, normal_quantile};

const ALPHA: f64 = 0.01;
/// Level of the printed interval.
const LEVEL: f64 = 0.95;
/// Level of the interval for `same`, for multiples of raw TCP. For values of a few rounds it is
/// [`LEVEL`]: a lower level would exclude an outlier.
const SAME_LEVEL: f64 = 0.90;
/// Half of an interval of this level is what an estimate falls short by in one of five jobs.
const POWER_LEVEL: f64 = 0.60;

/// Compares two folders of one scenario: one row for each point, transport and metric in both.
pub fn unpaired(base: &ResultsFolder, head: &ResultsFolder) -> Vec<ComparisonRow> {
    let mut samples = Vec::new();
    for point in points(base) {
        let here = base.runs.iter().filter(|run| run.record.point == point);
        for subject in Subject::all(here.map(|run| &run.record)) {
            let metrics = MetricId::gated().filter_map(|metric| Sample::of([base, head], point, &subject, metric));
            samples.extend(metrics);
        }
    }
    rows(&samples)
}

/// The points that runs name, in the order of the runs.
fn points(folder: &ResultsFolder) -> Vec<&str> {
    let mut points: Vec<&str> = Vec::new();
    for run in &folder.runs {
        if !points.contains(&run.record.point.as_str()) {
            points.push(&run.record.point);
        }
    }
    points
}

/// A metric of a subject in both folders.
struct Sample {
    name: String,
    metric: MetricId,
    /// Medians of base and head.
    medians: [f64; 2],
    blocks: usize,
    rounds: usize,
    change: Change,
}

/// How a metric is compared. Logarithms; positive is more.
enum Change {
    /// The ratio to raw TCP in the same blocks.
    Multiple(LogRatio),
    /// The values of the rounds.
    Rounds(Option<Shift>),
    /// Raw TCP itself: the ratio of the medians.
    Baseline,
}

impl Sample {
    fn of(folders: [&ResultsFolder; 2], point: &str, subject: &Subject, metric: MetricId) -> Option<Self> {
        let runs = folders.map(|folder| runs_with_metrics(folder, point, subject, metric.mode()));
        let name = name(point, subject, &runs);
        if has_multiple(metric, subject) {
            let values = folders.map(|folder| in_blocks(folder, point, subject, metric));
            let baseline = folders.map(|folder| in_blocks(folder, point, &Subject::BASELINE, metric));
            if let Some(sample) = Self::of_multiples(&name, subject, metric, &values, &baseline) {
                return Some(sample);
            }
        }
        let rounds = runs.map(|runs| runs.into_iter().filter_map(|run| value(metric, run)).collect::<Vec<_>>());
        let [base, head] = &rounds;
        let medians = [stats::median(base)?, stats::median(head)?];
        let logs = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<_>>();
        let least = base.len().min(head.len());
        let change = Change::Rounds(Shift::of(&logs(base), &logs(head)));
        Some(Self { name, metric, medians, blocks: least, rounds: least, change })
    }

    /// `None` without blocks in which both the subject and raw TCP have a value.
    fn of_multiples(
        name: &str,
        subject: &Subject,
        metric: MetricId,
        values: &[Vec<InBlock>; 2],
        baseline: &[Vec<InBlock>; 2],
    ) -> Option<Self> {
        let ratio = |at: usize| match metric.mode() {
            Mode::Load => LogRatio::of_blocks(&values[at], &baseline[at]),
            Mode::LockStep => LogRatio::of_rounds(&values[at], &baseline[at]),
        };
        let change = ratio(1)?.minus(ratio(0)?);
        let middle = |values: &[InBlock]| stats::median(&values.iter().map(|one| one.value).collect::<Vec<_>>());
        Some(Self {
            name: name.to_owned(),
            metric,
            medians: [middle(&values[0])?, middle(&values[1])?],
            blocks: change.blocks,
            rounds: change.rounds,
            change: if *subject == Subject::BASELINE { Change::Baseline } else { Change::Multiple(change) },
        })
    }

    /// The change; positive is more.
    fn estimate(&self) -> f64 {
        match &self.change {
            Change::Multiple(ratio) => ratio.value,
            Change::Rounds(shift) => shift.as_ref().map_or(0.0, Shift::median),
            Change::Baseline => (self.medians[1] / self.medians[0]).ln(),
        }
    }

    fn interval(&self, level: f64) -> Option<(f64, f64)> {
        match &self.change {
            Change::Multiple(ratio) => ratio.interval(level),
            Change::Rounds(shift) => shift.as_ref()?.interval(level),
            Change::Baseline => None,
        }
    }

    fn p(&self) -> f64 {
        match &self.change {
            Change::Multiple(ratio) => ratio.p(),
            Change::Rounds(shift) => shift.as_ref().map_or(1.0, |shift| shift.p),
            Change::Baseline => 1.0,
        }
    }

    /// What matters, as a logarithm; `None` for what gets no verdict.
    fn matters(&self) -> Option<f64> {
        let judged = !matches!(self.change, Change::Baseline);
        self.metric.info().gate.filter(|_| judged).map(f64::ln_1p)
    }

    fn verdict(&self, p: f64) -> Option<GateVerdict> {
        let matters = self.matters()?;
        let same_level = if matches!(self.change, Change::Multiple(_)) { SAME_LEVEL } else { LEVEL };
        let Some((low, high)) = self.interval(same_level) else {
            return Some(GateVerdict::Inconclusive(InconclusiveReason::Missing));
        };
        let estimate = worse(self.metric) * self.estimate();
        Some(if p <= ALPHA && estimate >= matters {
            GateVerdict::Regression
        } else if p <= ALPHA && estimate <= -matters {
            GateVerdict::Improved
        } else if -matters < low && high < matters {
            GateVerdict::Same
        } else {
            GateVerdict::Inconclusive(InconclusiveReason::Noise)
        })
    }

    /// Half of the width of an interval of the ratio to raw TCP.
    fn half_width(&self, level: f64) -> Option<f64> {
        let Change::Multiple(ratio) = &self.change else { return None };
        ratio.interval(level).map(|(low, high)| (high - low) / 2.0)
    }

    /// The regression, as a ratio, that would be found with a probability of 80 %.
    fn smallest_effect(&self, alpha: f64) -> Option<f64> {
        let found = self.half_width(1.0 - alpha)?.max(self.matters()?) + self.half_width(POWER_LEVEL)?;
        Some((worse(self.metric) * found).exp())
    }

    fn rounds_to_decide(&self, alpha: f64) -> Option<u32> {
        let error = self.half_width(LEVEL)? / normal_quantile((1.0 - LEVEL) / 2.0);
        let of_round = error * (self.rounds as f64).sqrt();
        rounds_to_decide(self.estimate(), self.matters()?, alpha, of_round, self.rounds + 1)
    }
}

/// Whether a metric is compared as a multiple of raw TCP.
fn has_multiple(metric: MetricId, subject: &Subject) -> bool {
    match metric {
        MetricId::ServerCpuPerMessage | MetricId::BackToBackCpuPerMessage => true,
        MetricId::DeliveryP50 => subject.transport.info().delivery != Delivery::Polled,
        _ => false,
    }
}

/// Name of the rows of a subject: transport, point, and which side was overloaded.
fn name(point: &str, subject: &Subject, runs: &[Vec<&RunRecord>; 2]) -> String {
    let mut name = subject.to_string();
    if !point.is_empty() {
        name += &format!(" {point}");
    }
    let overloaded =
        |runs: &Vec<&RunRecord>| runs.first().is_some_and(|run| run.verdict.kind == VerdictKind::Overloaded);
    match (overloaded(&runs[0]), overloaded(&runs[1])) {
        (false, false) => name,
        (true, true) => name + " (overloaded)",
        (true, false) => name + " (base overloaded)",
        (false, true) => name + " (head overloaded)",
    }
}

fn rows(samples: &[Sample]) -> Vec<ComparisonRow> {
    let judged: Vec<usize> = (0..samples.len()).filter(|at| samples[*at].matters().is_some()).collect();
    let mut adjusted: Vec<f64> = samples.iter().map(Sample::p).collect();
    let all = holm(&judged.iter().map(|at| samples[*at].p()).collect::<Vec<_>>());
    judged.iter().zip(all).for_each(|(at, p)| adjusted[*at] = p);
    let each_alpha = ALPHA / judged.len().max(1) as f64;
    samples.iter().zip(adjusted).map(|(sample, p)| row(sample, p, each_alpha)).collect()
}

fn row(sample: &Sample, p: f64, each_alpha: f64) -> ComparisonRow {
    let verdict = sample.verdict(p);
    let open = verdict.is_some_and(|verdict| !verdict.is_decided());
    ComparisonRow {
        transport: sample.name.clone(),
        metric: sample.metric,
        threshold: sample.metric.info().gate,
        verdict,
        rounds: sample.rounds,
        blocks: sample.blocks,
        base: sample.medians[0],
        head: sample.medians[1],
        ratio: sample.estimate().exp(),
        interval: sample.interval(LEVEL).map(|(low, high)| (low.exp(), high.exp())),
        p,
        p_again: 1.0,
        smallest_effect: sample.smallest_effect(each_alpha),
        rounds_to_decide: open.then(|| sample.rounds_to_decide(each_alpha)).flatten(),
        again: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
