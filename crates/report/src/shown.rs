//! The runs of a transport at a point that have figures, and what they come to together.

use results::{Evidence, Run, VerdictKind, median};
use scenario::Figure;
use wire::Transport;

use crate::exhibits::shown::shown;
use crate::measure::{measure, quantile};
use crate::stats::{Estimate, InRound, over_runs};

/// The runs of a transport at a point whose figures may be shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown<'a> {
    pub(crate) transport: Transport,
    /// What they are; `None` when there is none.
    pub(crate) kind: Option<VerdictKind>,
    pub(crate) runs: Vec<&'a Run>,
}

/// The points of a job in their order: those planned, and any other that a run names.
pub(crate) fn labels(job: &Evidence) -> Vec<&str> {
    let mut labels: Vec<&str> = job.manifest.points.iter().map(|point| point.label.as_str()).collect();
    for run in &job.runs {
        if !labels.contains(&run.record.label.as_str()) {
            labels.push(&run.record.label);
        }
    }
    labels
}

/// All runs of a transport at a point.
pub(crate) fn all<'a>(job: &'a Evidence, label: &str, transport: Transport) -> Vec<&'a Run> {
    let own = job.runs.iter().filter(|run| run.record.label == label && run.record.transport == transport);
    own.collect()
}

impl<'a> Shown<'a> {
    pub(crate) fn of(job: &'a Evidence, label: &str, transport: Transport) -> Self {
        let runs = shown(transport, &all(job, label, transport)).map(|shown| shown.runs).unwrap_or_default();
        Self { transport, kind: runs.first().map(|run| run.record.verdict.kind), runs }
    }

    /// A figure of each run, with its round.
    pub(crate) fn in_rounds(&self, figure: Figure) -> Vec<InRound> {
        self.runs.iter().filter_map(|run| Some((run.record.round, measure(figure, run)?))).collect()
    }

    /// The median over the runs; fewer than three lend a quantile their own intervals.
    pub(crate) fn estimate(&self, figure: Figure) -> Option<Estimate> {
        let values: Vec<_> = self.in_rounds(figure).into_iter().map(|(_, value)| value).collect();
        let mut estimate = over_runs(&values)?;
        estimate.interval = estimate.interval.or_else(|| self.within_runs(figure));
        Some(estimate)
    }

    /// The interval a run has by itself, because its messages are a sample: the median run's.
    pub(crate) fn within_runs(&self, figure: Figure) -> Option<(f64, f64)> {
        let own: Vec<_> = self.runs.iter().filter_map(|run| quantile(figure, &run.record)).collect();
        let ends =
            |of: fn(&results::Quantile) -> u64| median(&own.iter().map(|q| of(q) as f64 / 1e3).collect::<Vec<_>>());
        ends(|quantile| quantile.low_us).zip(ends(|quantile| quantile.high_us))
    }
}
