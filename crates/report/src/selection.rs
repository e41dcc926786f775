//! Selects the runs whose values are shown, and summarises them; used by all tables, plots and
//! sentences.

use std::collections::BTreeMap;

use results::{Distribution, MetricId, Mode, ResultsFolder, Run, RunRecord, Source, Subject, VerdictKind, median};

use crate::stats::{Estimate, InBlock, InRound, QUANTILES, order_interval, over_runs};

/// The runs of a subject at a point whose values are shown.
#[derive(Debug, Clone)]
pub(crate) struct RunSelection<'a> {
    pub(crate) subject: Subject,
    /// Number of runs under load by verdict.
    pub(crate) verdicts: BTreeMap<VerdictKind, u32>,
    /// Verdict of the runs shown; `None` if there are none.
    pub(crate) kind: Option<VerdictKind>,
    /// Valid runs under load, or overloaded runs if there are no valid ones.
    pub(crate) runs: Vec<&'a Run>,
    /// The same of the lock-step runs.
    lock_step: Vec<&'a Run>,
}

/// The points of a job: planned ones, then others that runs name.
pub(crate) fn point_names(job: &ResultsFolder) -> Vec<&str> {
    let mut labels: Vec<&str> = job.manifest.points.iter().map(|point| point.name.as_str()).collect();
    for run in &job.runs {
        if !labels.contains(&run.record.point.as_str()) {
            labels.push(&run.record.point);
        }
    }
    labels
}

/// Number of runs by verdict.
pub(crate) fn verdicts<'a>(runs: impl IntoIterator<Item = &'a Run>) -> BTreeMap<VerdictKind, u32> {
    let mut counts = BTreeMap::new();
    runs.into_iter().for_each(|run| *counts.entry(run.record.verdict.kind).or_insert(0) += 1);
    counts
}

impl<'a> RunSelection<'a> {
    pub(crate) fn of(job: &'a ResultsFolder, label: &str, subject: &Subject) -> Self {
        let here = |run: &&Run| run.record.point == label && run.record.subject() == *subject;
        let (load, lock_step): (Vec<_>, Vec<_>) =
            job.runs.iter().filter(here).partition(|run| run.record.mode == Mode::Load);
        let (verdicts, kind, runs) = with_metrics(load);
        let (_, _, lock_step) = with_metrics(lock_step);
        Self { subject: subject.clone(), verdicts, kind, runs, lock_step }
    }

    /// Whether the runs shown are overloaded.
    pub(crate) fn is_overloaded(&self) -> bool {
        self.kind == Some(VerdictKind::Overloaded)
    }

    /// The records of the runs shown.
    pub(crate) fn records(&self) -> impl Iterator<Item = &'a RunRecord> {
        self.runs.iter().map(|run| &run.record)
    }

    /// The values of a metric, one per run.
    pub(crate) fn each(&self, of: impl Fn(&RunRecord) -> Option<f64>) -> Vec<f64> {
        self.records().filter_map(of).collect()
    }

    /// The runs that a metric is of: those under load, or those in lock-step.
    fn runs_with(&self, metric: MetricId) -> &[&'a Run] {
        match metric.mode() {
            Mode::Load => &self.runs,
            Mode::LockStep => &self.lock_step,
        }
    }

    /// The values of a metric with their rounds.
    pub(crate) fn in_rounds(&self, metric: MetricId) -> Vec<InRound> {
        let runs = self.runs_with(metric).iter();
        runs.filter_map(|run| Some((run.record.round, metric.value(&run.record)?))).collect()
    }

    /// The values of a metric in the slices that count; empty for a metric that a slice does not
    /// have.
    pub(crate) fn in_slices(&self, metric: MetricId) -> Vec<InBlock> {
        let slices = self.runs_with(metric).iter().flat_map(|run| {
            let round = run.record.round;
            run.record
                .kept()
                .filter_map(move |slice| Some(InBlock { round, block: slice.block, value: metric.in_slice(slice)? }))
        });
        slices.collect()
    }

    /// The median over the runs; for a quantile of a single run with that run's interval. A quantile
    /// that needs more messages than a run has is that of all runs together.
    pub(crate) fn estimate(&self, metric: MetricId) -> Option<Estimate> {
        let values: Vec<_> = self.in_rounds(metric).into_iter().map(|(_, value)| value).collect();
        if values.len() < self.runs_with(metric).len()
            && let Some(together) = self.of_all_runs(metric)
        {
            return Some(together);
        }
        let estimate = over_runs(&values)?;
        Some(if estimate.runs == 1 { estimate.with_interval(self.within_runs(metric)) } else { estimate })
    }

    /// A quantile of the messages of all runs, if they are enough for it.
    fn of_all_runs(&self, metric: MetricId) -> Option<Estimate> {
        let Source::Quantile(series, name) = metric.info().source else { return None };
        let (_, p) = QUANTILES.iter().find(|(known, _)| *known == name)?;
        let latency = self.runs.iter().filter_map(|run| run.record.latency.get(&series));
        order_interval(latency.map(|latency| latency.independent).sum(), *p)?;
        let mut all = Distribution::default();
        self.runs.iter().for_each(|run| all.merge(&run.whole(series)));
        all.quantile(*p).map(|us| Estimate { runs: self.runs.len(), ..Estimate::alone(us as f64 / 1e3) })
    }

    /// The same as tables show it: a median over several runs has no interval, because intervals
    /// belong to ratios.
    pub(crate) fn shown(&self, metric: MetricId) -> Option<Estimate> {
        let estimate = self.estimate(metric)?;
        Some(if estimate.runs == 1 { estimate } else { estimate.with_interval(None) })
    }

    /// The sampling interval within a run (median over the runs).
    pub(crate) fn within_runs(&self, metric: MetricId) -> Option<(f64, f64)> {
        let own: Vec<_> = self.runs.iter().filter_map(|run| metric.quantile(&run.record)).collect();
        let ends =
            |of: fn(&results::Quantile) -> u64| median(&own.iter().map(|q| of(q) as f64 / 1e3).collect::<Vec<_>>());
        ends(|quantile| quantile.low_us).zip(ends(|quantile| quantile.high_us))
    }
}

/// Verdicts of runs, and those of them whose values are shown: the valid ones, else the overloaded
/// ones.
fn with_metrics(all: Vec<&Run>) -> (BTreeMap<VerdictKind, u32>, Option<VerdictKind>, Vec<&Run>) {
    let verdicts = verdicts(all.iter().copied());
    // Valid before overloaded.
    let kind = verdicts.keys().copied().find(|kind| kind.has_metrics());
    let runs = all.into_iter().filter(|run| Some(run.record.verdict.kind) == kind).collect();
    (verdicts, kind, runs)
}
