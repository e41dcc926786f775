//! Which runs have figures, decided here for every table and every picture.

use results::{Figures, Run, RunRecord, Series, VerdictKind, quantile};
use wire::Transport;

use crate::stats::{Estimate, over_runs};

/// Anything that is a run.
pub(crate) trait Recorded {
    /// Its record.
    fn record(&self) -> &RunRecord;
}

impl Recorded for RunRecord {
    fn record(&self) -> &RunRecord {
        self
    }
}

impl Recorded for Run {
    fn record(&self) -> &RunRecord {
        &self.record
    }
}

/// A transport's runs: all of them for the verdicts, those of one kind for the figures.
#[derive(Debug, Clone)]
pub(crate) struct Shown<'a, R> {
    /// Whose runs.
    pub(crate) transport: Transport,
    /// How many there are of each verdict, in words.
    pub(crate) verdicts: String,
    /// Whether the runs shown are those of a server that could not keep up.
    pub(crate) overloaded: bool,
    /// The runs that have figures; none when all are wrong or invalid.
    pub(crate) runs: Vec<&'a R>,
}

/// Sound runs are shown; where there is none, overloaded ones are, under their own name; others have no figures.
pub(crate) fn shown<'a, R: Recorded>(transport: Transport, runs: &[&'a R]) -> Option<Shown<'a, R>> {
    let of = |kind| -> Vec<&'a R> {
        let own = runs.iter().filter(|run| run.record().transport == transport);
        own.filter(|run| run.record().verdict.kind == kind).copied().collect()
    };
    let kinds = [VerdictKind::Sound, VerdictKind::Overloaded, VerdictKind::Wrong, VerdictKind::Invalid];
    let counted: Vec<_> = kinds.iter().map(|kind| (kind, of(*kind).len())).filter(|(_, count)| *count > 0).collect();
    let verdicts = match counted.as_slice() {
        [] => return None,
        [(kind, 1)] => kind.to_string(),
        several => several.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", "),
    };
    let sound = of(VerdictKind::Sound);
    let overloaded = sound.is_empty();
    let runs = if overloaded { of(VerdictKind::Overloaded) } else { sound };
    Some(Shown { transport, verdicts, overloaded, runs })
}

impl<R: Recorded> Shown<'_, R> {
    /// The records of the runs shown.
    pub(crate) fn records(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs.iter().map(|run| run.record())
    }

    /// A figure of each run that has it.
    pub(crate) fn each(&self, of: impl Fn(&RunRecord) -> Option<f64>) -> Vec<f64> {
        self.records().filter_map(of).collect()
    }

    /// A figure over the runs.
    pub(crate) fn figure(&self, of: impl Fn(&Figures) -> Option<f64>) -> Option<Estimate> {
        over_runs(&self.each(|record| of(&Figures::of(record))))
    }

    /// Median over the runs; with one run its own interval stands in for that of the runs.
    pub(crate) fn quantile_ms(&self, series: Series, name: &str) -> Option<Estimate> {
        let all: Vec<_> = self.records().filter_map(|record| quantile(record, series, name)).collect();
        let mut estimate = over_runs(&all.iter().map(|quantile| quantile.us as f64 / 1e3).collect::<Vec<_>>())?;
        if let [only] = all.as_slice() {
            estimate.interval = Some((only.low_us as f64 / 1e3, only.high_us as f64 / 1e3));
        }
        Some(estimate)
    }
}
