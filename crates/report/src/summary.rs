//! `summary.json`: all content of a report as data. Pages are generated from it.

use std::collections::{BTreeMap, BTreeSet};

use results::{FaultKind, Faults, MetricId, Mode, ResultsFolder, State, Subject, VerdictKind};
use serde::{Deserialize, Serialize};
use wire::{BUILTIN_SERVER, Transport};

use crate::claims::{ClaimResult, PublishedResult, claims, published, scenario_of};
use crate::money::{MonthlyCost, Prices};
use crate::orders::{Pair, pairs};
use crate::ratios::{COMPARED, RoundRatio, by_round, ratio};
use crate::run_summary::{BlockCounts, RunSummary};
use crate::selection::{RunSelection, point_names, verdicts};
use crate::stats::{Estimate, Ratio};
use crate::theory::{Prediction, predictions};

/// Version of `summary.json`.
pub const SUMMARY_SCHEMA: u32 = 2;

/// The summary of one folder or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// See [`SUMMARY_SCHEMA`].
    pub schema: u32,
    /// The folders.
    pub jobs: Vec<JobSummary>,
}

/// Summary of one folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Its name.
    pub folder: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Question of the scenario.
    pub question: String,
    /// The answer in a few sentences; added by `build`.
    pub answer: Vec<String>,
    /// How the job ended.
    pub state: State,
    /// Planned number of runs under load.
    pub runs_planned: u64,
    /// Number of planned runs under load that were made; repeats do not count.
    pub runs_made: u64,
    /// All runs by verdict.
    pub verdicts: BTreeMap<VerdictKind, u32>,
    /// Blocks, and why some were dropped.
    pub blocks: BlockCounts,
    /// The points of the sweep.
    pub points: Vec<PointSummary>,
    /// Claims of the scenario.
    pub claims: Vec<ClaimResult>,
    /// Published results.
    pub published: Vec<PublishedResult>,
    /// All runs, for the validity table.
    pub runs: Vec<RunSummary>,
}

/// One point of the sweep, or the only one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointSummary {
    /// Empty without a sweep.
    pub point: String,
    /// The transports.
    pub subjects: Vec<SubjectSummary>,
    /// Subjects with neighbouring values, compared directly.
    pub pairs: Vec<Pair>,
    /// Prices of `month_10000_users`.
    pub prices: Prices,
    /// Theory and measurement.
    pub theory: Vec<Prediction>,
}

/// A subject at a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectSummary {
    /// Which.
    pub transport: Transport,
    /// Server; `pushbench` is the built-in server.
    pub target: String,
    /// Runs under load by verdict.
    pub verdicts: BTreeMap<VerdictKind, u32>,
    /// Verdict of the runs whose values are shown; empty if there are none.
    pub metrics_from: Option<VerdictKind>,
    /// Metrics by name, without those not measured: medians over the runs.
    pub metrics: BTreeMap<MetricId, Estimate>,
    /// Ratio to the baseline, from slices of the same block or runs of the same round.
    pub times_baseline: BTreeMap<MetricId, Ratio>,
    /// The same ratio of every round, for CPU and median latency.
    pub rounds: BTreeMap<MetricId, Vec<RoundRatio>>,
    /// Ratio to the built-in server on the same transport; empty for the built-in server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub times_builtin: BTreeMap<MetricId, Ratio>,
    /// Cost of 10,000 connected users in a month; empty where it is unknown.
    pub month_10000_users: Option<MonthlyCost>,
    /// Deliveries of all runs under load, where the servers share a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_shared_log: Option<DeliveryCounts>,
    /// Faults of all runs, including those whose values are not shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultSummary>,
}

/// Which of the scheduled deliveries arrived as they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeliveryCounts {
    /// Posts times members of their room.
    pub scheduled: u64,
    /// Of messages that the server accepted and a client never received.
    pub lost: u64,
    /// Missing because the post was refused or never reached a server.
    pub refused: u64,
    /// Received again.
    pub duplicated: u64,
    /// Received after a later message.
    pub reordered: u64,
}

/// A kind of fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSummary {
    /// Which.
    pub kind: FaultKind,
    /// Number.
    pub count: u64,
    /// Text of the first.
    pub first: String,
}

impl Summary {
    /// Summarises folders.
    pub fn of(jobs: &[ResultsFolder]) -> Self {
        Self { schema: SUMMARY_SCHEMA, jobs: jobs.iter().map(JobSummary::of).collect() }
    }
}

impl JobSummary {
    pub(crate) fn of(job: &ResultsFolder) -> Self {
        let manifest = &job.manifest;
        let scenario = scenario_of(job);
        Self {
            folder: job.name.clone(),
            scenario: manifest.scenario.name.clone(),
            question: manifest.scenario.question.clone(),
            answer: Vec::new(),
            state: manifest.state,
            runs_planned: manifest.subjects.len() as u64 * u64::from(manifest.rounds.load),
            runs_made: runs_made(job) as u64,
            verdicts: verdicts(&job.runs),
            blocks: BlockCounts::of(job),
            points: point_names(job).into_iter().map(|label| PointSummary::of(job, label)).collect(),
            claims: scenario.as_ref().map(|scenario| claims(job, scenario)).unwrap_or_default(),
            published: scenario.as_ref().map(|scenario| published(job, scenario)).unwrap_or_default(),
            runs: job.runs.iter().map(RunSummary::of).collect(),
        }
    }

    /// Whether planned runs are missing.
    pub fn is_partial(&self) -> bool {
        self.state != State::Complete || self.runs_made < self.runs_planned
    }
}

/// Number of planned runs under load that were made.
fn runs_made(job: &ResultsFolder) -> usize {
    let load = job.runs.iter().filter(|run| run.record.mode == Mode::Load);
    let places = load.map(|run| (run.record.round, run.record.point.as_str(), run.record.subject()));
    places.collect::<BTreeSet<_>>().len()
}

impl PointSummary {
    fn of(job: &ResultsFolder, label: &str) -> Self {
        let here = job.runs.iter().filter(|run| run.record.point == label);
        let there = Subject::all(here.map(|run| &run.record));
        let shown: Vec<_> = there.iter().map(|subject| RunSelection::of(job, label, subject)).collect();
        let prices = Prices::of(job.manifest.points.iter().find(|point| point.name == label));
        let subjects: Vec<_> = shown.iter().map(|own| SubjectSummary::of(job, label, own, &shown, &prices)).collect();
        let theory = predictions(job, label);
        let mut point = Self { point: label.to_owned(), subjects, pairs: Vec::new(), prices, theory };
        let runs = |row: &SubjectSummary| shown.iter().find(|runs| runs.subject == row.subject());
        let list = |metric| (metric, point.ascending(metric).into_iter().filter_map(runs).collect::<Vec<_>>());
        let pairs = pairs(&[point.cost_metric(), MetricId::DeliveryP50].map(list));
        point.pairs = pairs;
        point
    }

    /// The CPU metric that subjects are ordered by: back to back where two have it.
    pub(crate) fn cost_metric(&self) -> MetricId {
        let back_to_back = MetricId::BackToBackCpuPerMessage;
        if self.ascending(back_to_back).len() > 1 { back_to_back } else { MetricId::ServerCpuPerMessage }
    }

    /// Subjects with the metric but raw TCP, in ascending order of their ratio to it, or of their
    /// value where one has no ratio.
    pub(crate) fn ascending(&self, metric: MetricId) -> Vec<&SubjectSummary> {
        let rows = self.subjects.iter().filter(|row| row.subject() != Subject::BASELINE);
        let mut rows: Vec<_> = rows.filter(|row| row.metric(metric).is_some()).collect();
        let has_ratios = rows.iter().all(|row| row.times_baseline.contains_key(&metric));
        let key = |row: &SubjectSummary| {
            let times = row.times_baseline.get(&metric).filter(|_| has_ratios).map(|times| times.value);
            times.or(row.metric(metric).map(|value| value.value)).unwrap_or(f64::INFINITY)
        };
        rows.sort_by(|a, b| key(a).total_cmp(&key(b)));
        rows
    }

    /// Whether an external server has values at this point.
    pub(crate) fn has_external_servers(&self) -> bool {
        self.subjects.iter().any(|row| row.subject().target.is_some() && row.metrics_from.is_some())
    }

    /// Whether the cost in money of a subject is known.
    pub(crate) fn has_money(&self) -> bool {
        self.subjects.iter().any(|row| row.month_10000_users.is_some())
    }

    /// Whether servers share a log at this point.
    pub(crate) fn has_shared_log(&self) -> bool {
        self.subjects.iter().any(|row| row.with_shared_log.is_some())
    }

    /// Whether there were faults at this point.
    pub(crate) fn has_faults(&self) -> bool {
        self.subjects.iter().any(|row| !row.faults.is_empty())
    }

    /// The row of a transport of the built-in server.
    pub fn row(&self, transport: Transport) -> Option<&SubjectSummary> {
        self.subjects.iter().find(|row| row.subject() == Subject::builtin(transport))
    }
}

impl SubjectSummary {
    fn of(
        job: &ResultsFolder,
        label: &str,
        shown: &RunSelection<'_>,
        all: &[RunSelection<'_>],
        prices: &Prices,
    ) -> Self {
        let set = job.manifest.points.iter().find(|point| point.name == label);
        let Subject { transport, target } = shown.subject.clone();
        let other = |subject: Subject| all.iter().find(|other| other.subject == subject);
        let baseline = other(Subject::BASELINE);
        let ours = target.as_ref().and_then(|_| other(Subject::builtin(transport)));
        let metrics = MetricId::ALL.iter().filter_map(|metric| Some((*metric, shown.shown(*metric)?)));
        Self {
            transport,
            verdicts: shown.verdicts.clone(),
            metrics_from: shown.kind,
            metrics: metrics.collect(),
            times_baseline: baseline.map(|baseline| times(shown, baseline)).unwrap_or_default(),
            rounds: baseline.map(|baseline| rounds(shown, baseline)).unwrap_or_default(),
            times_builtin: ours.map(|ours| times(shown, ours)).unwrap_or_default(),
            month_10000_users: MonthlyCost::of(shown, prices, set),
            with_shared_log: has_shared_log(set).then(|| DeliveryCounts::of(job, label, &shown.subject)),
            faults: FaultSummary::of(job, label, &shown.subject),
            target: target.unwrap_or_else(|| BUILTIN_SERVER.to_owned()),
        }
    }

    /// The subject.
    pub fn subject(&self) -> Subject {
        Subject::new(self.transport, &self.target)
    }

    /// Name in tables, marked if overloaded.
    pub(crate) fn name(&self) -> String {
        let mark = if self.metrics_from == Some(VerdictKind::Overloaded) { " (overloaded)" } else { "" };
        format!("{}{mark}", self.subject())
    }

    /// The value of a metric.
    pub fn metric(&self, metric: MetricId) -> Option<&Estimate> {
        self.metrics.get(&metric)
    }
}

fn has_shared_log(point: Option<&results::Point>) -> bool {
    point.and_then(|point| point.settings.get("log")).is_some_and(|log| log != "memory")
}

impl DeliveryCounts {
    /// Both together.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            scheduled: self.scheduled + other.scheduled,
            lost: self.lost + other.lost,
            refused: self.refused + other.refused,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
        }
    }

    fn of(job: &ResultsFolder, label: &str, subject: &Subject) -> Self {
        let runs = job.runs.iter().map(|run| &run.record);
        let own = runs.filter(|run| run.point == label && run.mode == Mode::Load && run.subject() == *subject);
        let counts = own.map(|run| Self {
            scheduled: run.ledger.scheduled,
            lost: run.ledger.lost,
            refused: run.ledger.undelivered_posts,
            duplicated: run.ledger.duplicated,
            reordered: run.ledger.reordered,
        });
        counts.fold(Self::default(), Self::plus)
    }
}

impl FaultSummary {
    fn of(job: &ResultsFolder, label: &str, subject: &Subject) -> Vec<Self> {
        let mut faults = Faults::default();
        let runs = job.runs.iter().map(|run| &run.record);
        runs.filter(|run| run.point == label && run.subject() == *subject).for_each(|run| faults.merge(&run.faults));
        let first = |kind| faults.texts.get(kind).and_then(|texts| texts.first()).cloned().unwrap_or_default();
        faults.counts.iter().map(|(kind, count)| Self { kind: *kind, count: *count, first: first(kind) }).collect()
    }
}

/// Ratios of all metrics that both have.
fn times(left: &RunSelection<'_>, right: &RunSelection<'_>) -> BTreeMap<MetricId, Ratio> {
    let ratios = MetricId::ALL.iter().filter_map(|metric| Some((*metric, ratio((left, *metric), (right, *metric))?)));
    ratios.collect()
}

/// Ratios of each round.
fn rounds(left: &RunSelection<'_>, right: &RunSelection<'_>) -> BTreeMap<MetricId, Vec<RoundRatio>> {
    let ratios = COMPARED.into_iter().map(|metric| (metric, by_round((left, metric), (right, metric))));
    ratios.filter(|(_, rounds)| !rounds.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_compared_back_to_back_and_by_median_latency() {
        let job = results::invented::sliced(4, 20, 10);
        let point = &JobSummary::of(&job).points[0];
        let of = |metric| point.pairs.iter().filter(move |pair| pair.metric == metric).collect::<Vec<_>>();
        let (cost, latency) = (of(MetricId::BackToBackCpuPerMessage), of(MetricId::DeliveryP50));
        assert_eq!((cost.len(), latency.len(), point.pairs.len()), (8, 8, 16));
        assert!(cost.windows(2).all(|both| both[0].higher == both[1].lower));
        assert!(point.pairs.iter().all(|pair| pair.ratio.value >= 1.0 && pair.p_adjusted >= pair.ratio.p));
    }
}
