//! `pushbench gate`: is the head slower or more expensive than the base?

mod job;
mod reports;
mod server;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use report::gate::{Comparison, Outcome};
use results::{Folder, MetricId, Mode};
use scenario::{ExternalServer, HttpClient, Job, Override, Plan};
use wire::Transport;

use crate::core_locks::{self, CoreLocks, LockArgs};
use crate::exit::{INCONCLUSIVE, INTERRUPTED, NO_METRICS, PREFLIGHT, REGRESSION, USAGE};
use crate::run::{Level, RoundSubject, ServerSource, findings, random_room_prefix, try_target};
use crate::signals::{runtime, stoppable};
use crate::values::{duration, percent};
use crate::{machine, print, scenarios};
pub(crate) use job::{Ending, GateJob, measure_all};
use job::{SIDES, least_budget};
pub(crate) use reports::{SavedComparison, json, saved, write as write_reports};
use server::GateServer;

/// Compare two servers in rounds whose slices take turns: is the head slower or more expensive than the base?
#[derive(Parser)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Server to compare with: a pushbench binary, a command line with {port} (and {tcp_port} for
    /// raw TCP), or an http:// URL
    #[arg(long, value_name = "CMD|URL")]
    base: GateServer,

    /// Server to judge, written the same way
    #[arg(long, value_name = "CMD|URL")]
    head: GateServer,

    /// Name of a shipped scenario or path of a TOML file; its budget_s does not matter here
    scenario: PathBuf,

    /// Name of the scenario's target whose protocol and transports base and head have; without it,
    /// the only one
    #[arg(long, value_name = "NAME")]
    target: Option<String>,

    #[command(flatten)]
    plan: PlanArgs,

    /// Fail with exit code 4 when a metric is inconclusive
    #[arg(long)]
    strict: bool,

    /// Write the result into this folder: JSON, Markdown, JUnit XML, OpenMetrics, and for Bencher
    /// and github-action-benchmark
    #[arg(long, value_name = "DIR")]
    reports: Option<PathBuf>,

    /// Print the table with all columns; without it the table fits 80 columns
    #[arg(long)]
    wide: bool,
}

/// What is measured, and for how long.
#[derive(clap::Args, Clone)]
pub(crate) struct PlanArgs {
    /// Set a key of the scenario, such as posts.per_client_per_s=2; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Override>,

    /// Time for the whole gate, such as 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) budget: Duration,

    /// Metrics to judge [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = metric_parser())]
    pub(crate) metrics: Vec<MetricId>,

    /// Smallest change of a metric that matters, such as cpu=0.5% (CPU back to back) or
    /// delivery_p50_ms=5%; may be repeated
    #[arg(long, value_name = "NAME=PERCENT", value_parser = threshold)]
    pub(crate) threshold: Vec<(MetricId, f64)>,

    /// Random seed of the order within blocks
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

const EXAMPLES: &str = "\
Examples:
  pushbench gate quick --set transports=websocket,long-polling \\
    --base ../main/target/release/pushbench --head target/release/pushbench
  pushbench gate quick --base 'node old.js {port}' --head 'node new.js {port}' \\
    --set transports=websocket,sse --budget 5m
  pushbench gate mine.toml --target my-server --budget 5m \\
    --base 'node old.js {port}' --head 'node new.js {port}'
  pushbench gate quick --set transports=sse --threshold cpu=0.5% \\
    --base ../main/target/release/pushbench --head target/release/pushbench
  pushbench gate quick --set transports=sse --base ./pushbench \\
    --head './pushbench serve --allow-slowdown --slowdown cpu=5us'";

fn metric_parser() -> impl TypedValueParser<Value = MetricId> {
    let by_name = |name: String| MetricId::gated().find(|metric| metric.name() == name);
    PossibleValuesParser::new(MetricId::gated().map(MetricId::name))
        .map(move |name| by_name(name).expect("the possible values are the names"))
}

/// Parses `cpu=0.5%`.
fn threshold(text: &str) -> Result<(MetricId, f64), String> {
    let (name, value) = text.split_once('=').ok_or("takes NAME=PERCENT, such as cpu=0.5%")?;
    let metric = match name {
        "cpu" => Some(MetricId::BackToBackCpuPerMessage),
        name => MetricId::gated().find(|metric| metric.name() == name),
    };
    let names = || MetricId::gated().map(MetricId::name).collect::<Vec<_>>().join(", ");
    let metric = metric.ok_or_else(|| format!("{name} is no metric of a gate; write cpu, {}", names()))?;
    Ok((metric, percent(value)?))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(Err(error)) = args.reports.as_deref().map(|folder| Folder::at(folder).prepare_report()) {
        print::error(&anyhow::Error::from(error).context("--reports: give a folder that can be written to"));
        return Ok(USAGE.into());
    }
    let (_locks, job) =
        match prepare([args.base.clone(), args.head.clone()], args.target.as_deref(), &args.scenario, &args.plan) {
            Ok(prepared) => prepared,
            Err(code) => return Ok(code.into()),
        };
    let (comparison, ending) = stoppable(async |stop| measure_all(job, stop).await)?;
    if let Some(folder) = &args.reports {
        reports::write(folder, &comparison)?;
    }
    print::out(&report::gate::formats::table(&comparison, args.wide))?;
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|is| is == "true") {
        print::out(&report::gate::formats::annotations(&comparison))?;
    }
    Ok(code(&comparison, ending, args.strict))
}

fn code(comparison: &Comparison, ending: Ending, strict: bool) -> ExitCode {
    match (ending, comparison.outcome()) {
        (Ending::Interrupted, _) => INTERRUPTED.into(),
        (Ending::Complete | Ending::WithoutMetrics, Outcome::Regressed) => REGRESSION.into(),
        (Ending::WithoutMetrics, _) => NO_METRICS.into(),
        (Ending::Complete, Outcome::Open) if strict => INCONCLUSIVE.into(),
        (Ending::Complete, Outcome::Open | Outcome::Passed) => ExitCode::SUCCESS,
    }
}

/// A gate of the built-in server with itself, for `selfcheck`; or the exit code.
pub(crate) fn of_itself(file: &Path, args: &PlanArgs) -> anyhow::Result<Result<(CoreLocks, GateJob), u8>> {
    Ok(prepare([GateServer::own()?, GateServer::own()?], None, file, args))
}

/// The decided job and the locks of its cores; or the exit code, after printing what is wrong.
fn prepare(
    sides: [GateServer; 2],
    target: Option<&str>,
    file: &Path,
    args: &PlanArgs,
) -> Result<(CoreLocks, GateJob), u8> {
    let (job, mut gate) = decide(sides, target, file, args).map_err(|error| {
        print::error(&error);
        USAGE
    })?;
    let (locks, others) = core_locks::take(gate.job.plans[0].cores.as_ref(), args.lock);
    gate.notes.extend(others.iter().map(|finding| format!("{}: {}", finding.what, finding.found)));
    let found = [others, findings(Some(&job), false)].concat();
    print::findings(found.iter().filter(|finding| finding.level != Level::Good));
    if found.iter().any(|finding| finding.level == Level::Fatal) {
        return Err(PREFLIGHT);
    }
    // The third side is the base again.
    for subject in gate.subjects.chunks(SIDES.len()).flat_map(|sides| &sides[..2]) {
        try_subject(subject).map_err(|error| {
            print::error(&error);
            PREFLIGHT
        })?;
    }
    Ok((locks, gate))
}

/// Decides the subjects and metrics, and checks that the budget suffices.
fn decide(
    sides: [GateServer; 2],
    target: Option<&str>,
    file: &Path,
    args: &PlanArgs,
) -> anyhow::Result<(Job, GateJob)> {
    let mut job = scenarios::load(file, &args.set)?;
    anyhow::ensure!(
        job.plans.len() == 1,
        "{} has a sweep, but a gate measures one point; give the swept key one value with --set",
        job.name
    );
    anyhow::ensure!(
        !job.has_one_slice(),
        "{} has one slice a round, but base and head take turns in short ones; choose another scenario",
        job.name
    );
    (job.budget, job.seed) = (args.budget, args.seed);
    let like = target_like(&job.plans[0], target, &sides)?;
    // The other targets are not needed, and so need not be there.
    job.plans[0].external_servers = like.iter().cloned().collect();
    let [base, head] = match &like {
        Some(target) => sides.map(|side| side.like(target)),
        None => sides,
    };
    if base.is_attached() || head.is_attached() {
        job.plans[0].room_prefix = random_room_prefix();
    }
    let plan = Arc::new(job.plans[0].clone());
    let transports = like.map_or_else(|| plan.transports_asked(), |target| target.transports.clone());
    let subject = |transport: Transport, side: usize| RoundSubject {
        name: format!("{transport} {}", SIDES[side]),
        plan: Arc::clone(&plan),
        transport,
        target: wire::BUILTIN_SERVER.to_owned(),
        server: if side == 1 { head.source.clone() } else { base.source.clone() },
    };
    let subjects = transports.iter().flat_map(|transport| (0..SIDES.len()).map(|side| subject(*transport, side)));
    let gate = GateJob {
        subjects: subjects.collect(),
        transports,
        sides: [base.text, head.text],
        metrics: metrics(&plan, args),
        metrics_required: !args.metrics.is_empty(),
        cores: machine::cores(),
        notes: Vec::new(),
        job: job.clone(),
    };
    let needed = least_budget(&gate);
    anyhow::ensure!(
        args.budget >= needed,
        "the budget of {} is too short ({} transport(s)): give --budget {}s, or fewer transports with --set transports=…",
        print::duration(args.budget),
        gate.transports.len(),
        needed.as_secs()
    );
    Ok((job, gate))
}

/// The target of the scenario that base and head are like: the named one, or the only one if both are
/// started with a port.
fn target_like(
    plan: &Plan,
    name: Option<&str>,
    sides: &[GateServer; 2],
) -> anyhow::Result<Option<Arc<ExternalServer>>> {
    let servers = &plan.external_servers;
    let Some(name) = name else {
        let both_start = sides.iter().all(GateServer::is_started);
        return Ok(servers.first().filter(|_| both_start && servers.len() == 1).cloned());
    };
    let names = || servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = servers.iter().find(|server| server.name == name).cloned();
    let found =
        found.with_context(|| format!("--target {name}: the scenario has no such target, but {:?}", names()))?;
    anyhow::ensure!(
        sides.iter().all(GateServer::is_started),
        "--target {name}: --base and --head have to be command lines with {{port}}"
    );
    Ok(Some(found))
}

/// Tries a server that has a protocol of its own.
fn try_subject(subject: &RoundSubject) -> anyhow::Result<()> {
    let ServerSource::External { server, folder } = &subject.server else { return Ok(()) };
    if server.protocol.is_none() {
        return Ok(());
    }
    let tried = runtime()?.block_on(try_target(&subject.plan, server, folder, subject.transport, &mut |_| ()));
    tried.with_context(|| format!("{} ({}) does not work", subject.name, server.name))
}

/// The metrics to judge, each with the smallest change that matters.
fn metrics(plan: &Plan, args: &PlanArgs) -> Vec<(MetricId, f64)> {
    // The HTTP client `reqwest` cannot be stepped.
    let possible = |metric: &MetricId| metric.mode() == Mode::Load || plan.http_client == HttpClient::BuiltIn;
    let asked: Vec<_> =
        if args.metrics.is_empty() { MetricId::gated().filter(possible).collect() } else { args.metrics.clone() };
    let threshold = |metric: MetricId| {
        let set = args.threshold.iter().rev().find(|(named, _)| *named == metric);
        set.map(|(_, share)| *share).or(metric.info().gate)
    };
    asked.into_iter().filter_map(|metric| Some((metric, threshold(metric)?))).collect()
}
