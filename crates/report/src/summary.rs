//! Everything a report says, as data: `summary.json`. Pages are written from this and from nothing else.

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
    /// A folder each.
    pub jobs: Vec<JobSummary>,
}

/// One folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Its name.
    pub folder: String,
    /// Name of the scenario.
    pub scenario: String,
    /// What it asks.
    pub question: String,
    /// The answer in three sentences; empty until `build` writes them from everything else.
    pub answer: Vec<String>,
    /// How the job ended.
    pub state: State,
    /// Runs that were to be made.
    pub runs_planned: u64,
    /// Of those, which were; a run that was repeated is one.
    pub runs_made: u64,
    /// Runs by verdict.
    pub verdicts: BTreeMap<VerdictKind, u32>,
    /// A point of the sweep each.
    pub points: Vec<PointSummary>,
    /// What the scenario claims.
    pub claims: Vec<ClaimResult>,
    /// What others have published.
    pub published: Vec<PublishedResult>,
    /// Every run, for the validity panel.
    pub runs: Vec<RunSummary>,
}

/// One point of the sweep, or the only one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointSummary {
    /// Empty without a sweep.
    pub point: String,
    /// A transport each.
    pub subjects: Vec<SubjectSummary>,
    /// Theory beside measurement.
    pub theory: Vec<Prediction>,
}

/// A transport at a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectSummary {
    /// Which.
    pub transport: Transport,
    /// Whose server: `pushbench` is ours.
    pub target: String,
    /// Its runs by verdict.
    pub verdicts: BTreeMap<VerdictKind, u32>,
    /// Which of them have figures; empty when none has.
    pub metrics_from: Option<VerdictKind>,
    /// By name; what was not measured is missing.
    pub metrics: BTreeMap<MetricId, Estimate>,
    /// How many times the floor it is, run against run of the same round.
    pub times_baseline: BTreeMap<MetricId, Estimate>,
    /// How many times ours another server is over the same transport, run against run of the same round; empty for ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub times_builtin: BTreeMap<MetricId, Estimate>,
    /// What broke in all of its runs, those without figures included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultSummary>,
}

/// A kind of fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSummary {
    /// Which.
    pub kind: FaultKind,
    /// How often.
    pub count: u64,
    /// The first of them in words.
    pub first: String,
}

/// A run in the validity panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Place in the order of runs.
    pub run: u32,
    /// Which repetition.
    pub round: u32,
    /// Point of the sweep.
    pub point: String,
    /// Transport.
    pub transport: Transport,
    /// Whose server: `pushbench` is ours.
    pub target: String,
    /// What its figures may be used for.
    pub verdict: VerdictKind,
    /// Why not sound.
    pub reasons: Vec<String>,
    /// How late posts left, at the 99th percentile.
    pub send_delay_p99_ms: Option<u64>,
    /// Largest share of its core that a worker of the generator used.
    pub generator_core_usage_max: f64,
    /// Posts that left, of those planned.
    pub offered_share: Option<f64>,
    /// How fast the machine was, of its best in the job.
    pub cpu_probe_share: f64,
    /// How much the median delivery grew over the window, slice by slice, as a share of itself.
    pub growth_share: Option<f64>,
    /// Why the server's memory for a connection is not known, where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_unknown: Option<String>,
}

impl Summary {
    /// What the folders say.
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
            runs_planned: manifest.order.len() as u64,
            runs_made: runs_made(job) as u64,
            verdicts: verdicts(&job.runs),
            points: point_names(job).into_iter().map(|label| PointSummary::of(job, label)).collect(),
            claims: scenario.as_ref().map(|scenario| claims(job, scenario)).unwrap_or_default(),
            published: scenario.as_ref().map(|scenario| published(job, scenario)).unwrap_or_default(),
            runs: job.runs.iter().map(RunSummary::of).collect(),
        }
    }

    /// Whether everything that was planned is there.
    pub fn is_partial(&self) -> bool {
        self.state != State::Complete || self.runs_made < self.runs_planned
    }
}

/// How many of the places in the order have a run.
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

    /// Whether somebody else's server has figures here.
    pub(crate) fn has_external_servers(&self) -> bool {
        self.subjects.iter().any(|row| row.subject().target.is_some() && row.metrics_from.is_some())
    }

    /// Whether anything broke here.
    pub(crate) fn has_faults(&self) -> bool {
        self.subjects.iter().any(|row| !row.faults.is_empty())
    }

    /// The row of a transport of ours.
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

    /// Whom it is of.
    pub fn subject(&self) -> Subject {
        Subject::new(self.transport, &self.target)
    }

    /// As tables name it: a regime of its own is said wherever its figures are.
    pub(crate) fn name(&self) -> String {
        let mark = if self.metrics_from == Some(VerdictKind::Overloaded) { " (overloaded)" } else { "" };
        format!("{}{mark}", self.subject())
    }

    /// A figure, where it was measured.
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
    /// Whom it is of.
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

/// How many times `right` it is, in every figure both have.
fn times(left: &RunSelection<'_>, right: &RunSelection<'_>) -> BTreeMap<MetricId, Estimate> {
    let ratios = MetricId::ALL
        .iter()
        .filter_map(|metric| Some((*metric, ratio(&left.in_rounds(*metric), &right.in_rounds(*metric))?)));
    ratios.collect()
}
