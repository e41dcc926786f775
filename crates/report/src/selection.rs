//! Selects the runs whose values are shown, and summarises them; used by all tables, plots and
//! sentences.

use std::collections::BTreeMap;

use results::{MetricId, ResultsFolder, Run, RunRecord, Subject, VerdictKind, median};

use crate::stats::{Estimate, InRound, over_runs};

/// The runs of a subject at a point whose values are shown.
#[derive(Debug, Clone)]
pub(crate) struct RunSelection<'a> {
    pub(crate) subject: Subject,
    /// Number of runs by verdict.
    pub(crate) verdicts: BTreeMap<VerdictKind, u32>,
    /// Verdict of the runs shown; `None` if there are none.
    pub(crate) kind: Option<VerdictKind>,
    /// Valid runs, or overloaded runs if there are no valid ones.
    pub(crate) runs: Vec<&'a Run>,
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
        let all: Vec<_> = job.runs.iter().filter(here).collect();
        let verdicts = verdicts(all.iter().copied());
        // Valid before overloaded.
        let kind = verdicts.keys().copied().find(|kind| kind.has_metrics());
        let runs = all.into_iter().filter(|run| Some(run.record.verdict.kind) == kind).collect();
        Self { subject: subject.clone(), verdicts, kind, runs }
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

    /// The values of a metric with their rounds.
    pub(crate) fn in_rounds(&self, metric: MetricId) -> Vec<InRound> {
        self.runs.iter().filter_map(|run| Some((run.record.round, metric.value(&run.record)?))).collect()
    }

    /// The median over the runs; for a quantile of a single run with that run's interval.
    pub(crate) fn estimate(&self, metric: MetricId) -> Option<Estimate> {
        let values: Vec<_> = self.in_rounds(metric).into_iter().map(|(_, value)| value).collect();
        let estimate = over_runs(&values)?;
        Some(if estimate.runs == 1 { estimate.with_interval(self.within_runs(metric)) } else { estimate })
    }

    /// The sampling interval within a run (median over the runs).
    pub(crate) fn within_runs(&self, metric: MetricId) -> Option<(f64, f64)> {
        let own: Vec<_> = self.runs.iter().filter_map(|run| metric.quantile(&run.record)).collect();
        let ends =
            |of: fn(&results::Quantile) -> u64| median(&own.iter().map(|q| of(q) as f64 / 1e3).collect::<Vec<_>>());
        ends(|quantile| quantile.low_us).zip(ends(|quantile| quantile.high_us))
    }
}
