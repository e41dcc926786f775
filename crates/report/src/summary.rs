//! `summary.json`: all content of a report as data. Pages are generated from it.

use std::collections::{BTreeMap, BTreeSet};

use results::{FaultKind, Faults, MetricId, ResultsFolder, Run, State, Subject, VerdictKind};
use serde::{Deserialize, Serialize};
use wire::{BUILTIN_SERVER, Transport};

use crate::claims::{ClaimResult, PublishedResult, claims, published, scenario_of};
use crate::selection::{RunSelection, point_names, verdicts};
use crate::stats::{Estimate, ratio, slices};
use crate::theory::{Prediction, predictions};

/// Version of `summary.json`.
pub const SUMMARY_SCHEMA: u32 = 1;

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
    /// The answer in three sentences; added by `build`.
    pub answer: Vec<String>,
    /// How the job ended.
    pub state: State,
    /// Planned number of runs.
    pub runs_planned: u64,
    /// Number of planned runs that were made; repeats do not count.
    pub runs_made: u64,
    /// Runs by verdict.
    pub verdicts: BTreeMap<VerdictKind, u32>,
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
    /// Runs by verdict.
    pub verdicts: BTreeMap<VerdictKind, u32>,
    /// Verdict of the runs whose values are shown; empty if there are none.
    pub metrics_from: Option<VerdictKind>,
    /// Metrics by name, without those not measured.
    pub metrics: BTreeMap<MetricId, Estimate>,
    /// Ratio to the baseline, from runs of the same round.
    pub times_baseline: BTreeMap<MetricId, Estimate>,
    /// Ratio to the built-in server on the same transport, from runs of the same round; empty for
    /// the built-in server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub times_builtin: BTreeMap<MetricId, Estimate>,
    /// Faults of all runs, including those whose values are not shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultSummary>,
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

/// A run in the validity table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Number of the run.
    pub run: u32,
    /// Number of the repetition.
    pub round: u32,
    /// Point of the sweep.
    pub point: String,
    /// Transport.
    pub transport: Transport,
    /// Server; `pushbench` is the built-in server.
    pub target: String,
    /// Verdict.
    pub verdict: VerdictKind,
    /// Reasons of the verdict.
    pub reasons: Vec<String>,
    /// Send delay, 99th percentile.
    pub send_delay_p99_ms: Option<u64>,
    /// Largest core usage of a worker of the load generator.
    pub generator_core_usage_max: f64,
    /// Posts sent, of those scheduled.
    pub offered_share: Option<f64>,
    /// CPU probe, as a share of the best of the job.
    pub cpu_probe_share: f64,
    /// Growth of the median latency over the window, as a share of itself.
    pub growth_share: Option<f64>,
    /// Why the server's memory per connection is unknown although it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_unknown: Option<String>,
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

/// Number of planned runs that were made.
fn runs_made(job: &ResultsFolder) -> usize {
    let places = job.runs.iter().map(|run| (run.record.round, run.record.point.as_str(), run.record.subject()));
    places.collect::<BTreeSet<_>>().len()
}

impl PointSummary {
    fn of(job: &ResultsFolder, label: &str) -> Self {
        let baseline = RunSelection::of(job, label, &Subject::BASELINE);
        let here = job.runs.iter().filter(|run| run.record.point == label);
        let there = Subject::all(here.map(|run| &run.record));
        let rows = there.iter().map(|subject| SubjectSummary::of(job, label, subject, &baseline));
        Self { point: label.to_owned(), subjects: rows.collect(), theory: predictions(job, label) }
    }

    /// Whether an external server has values at this point.
    pub(crate) fn has_external_servers(&self) -> bool {
        self.subjects.iter().any(|row| row.subject().target.is_some() && row.metrics_from.is_some())
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
    fn of(job: &ResultsFolder, label: &str, subject: &Subject, baseline: &RunSelection<'_>) -> Self {
        let shown = RunSelection::of(job, label, subject);
        let metrics = MetricId::ALL.iter().filter_map(|metric| Some((*metric, shown.estimate(*metric)?)));
        let ours = subject.target.as_ref().map(|_| RunSelection::of(job, label, &Subject::builtin(subject.transport)));
        Self {
            transport: subject.transport,
            target: subject.target.clone().unwrap_or_else(|| BUILTIN_SERVER.to_owned()),
            verdicts: shown.verdicts.clone(),
            metrics_from: shown.kind,
            metrics: metrics.collect(),
            times_baseline: times(&shown, baseline),
            times_builtin: ours.map(|ours| times(&shown, &ours)).unwrap_or_default(),
            faults: FaultSummary::of(job, label, subject),
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

impl FaultSummary {
    fn of(job: &ResultsFolder, label: &str, subject: &Subject) -> Vec<Self> {
        let mut faults = Faults::default();
        let runs = job.runs.iter().map(|run| &run.record);
        runs.filter(|run| run.point == label && run.subject() == *subject).for_each(|run| faults.merge(&run.faults));
        let first = |kind| faults.texts.get(kind).and_then(|texts| texts.first()).cloned().unwrap_or_default();
        faults.counts.iter().map(|(kind, count)| Self { kind: *kind, count: *count, first: first(kind) }).collect()
    }
}

impl RunSummary {
    /// The subject.
    pub fn subject(&self) -> Subject {
        Subject::new(self.transport, &self.target)
    }

    fn of(run: &Run) -> Self {
        let record = &run.record;
        let (planned, machine) = (&record.planned, &record.machine);
        let lateness = record.latency.get(&results::Series::SendDelay);
        let seconds = usize::try_from(planned.window_us / 1_000_000).unwrap_or(usize::MAX);
        let medians: Vec<_> = record.seconds.iter().filter_map(|second| second.delivery_p50_us).take(seconds).collect();
        let medians: Vec<_> = medians.into_iter().map(|us| us as f64).collect();
        Self {
            run: record.run,
            round: record.round,
            point: record.point.clone(),
            transport: record.transport,
            target: record.target.clone(),
            verdict: record.verdict.kind,
            reasons: record.verdict.reasons.clone(),
            send_delay_p99_ms: lateness.and_then(|lateness| lateness.quantiles.get("p99")).map(|p99| p99.us),
            generator_core_usage_max: record.generator.core_usage_max,
            offered_share: (planned.posts_in_window > 0)
                .then(|| planned.posts_sent_in_window as f64 / planned.posts_in_window as f64),
            cpu_probe_share: machine.cpu_probe_before.min(machine.cpu_probe_after)
                / machine.cpu_probe_best.max(f64::MIN_POSITIVE),
            growth_share: slices(&medians).map(|slices| slices.growth_share),
            memory_unknown: record.server_memory_bytes().and_then(Result::err).map(str::to_owned),
        }
    }
}

/// Ratios of all metrics that both have.
fn times(left: &RunSelection<'_>, right: &RunSelection<'_>) -> BTreeMap<MetricId, Estimate> {
    let ratios = MetricId::ALL
        .iter()
        .filter_map(|metric| Some((*metric, ratio(&left.in_rounds(*metric), &right.in_rounds(*metric))?)));
    ratios.collect()
}
