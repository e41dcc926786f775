//! `pushbench gate`: is the head slower or more expensive than the base?

mod fit;
mod job;
mod reports;
mod server;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use report::gate::{Comparison, Outcome};
use results::{Folder, MetricId};
use scenario::{Job, Override};

use crate::core_locks::{self, CoreLocks, LockArgs};
use crate::exit::{INCONCLUSIVE, INTERRUPTED, NO_METRICS, PREFLIGHT, REGRESSION, USAGE};
use crate::run::{Level, findings, random_room_prefix};
use crate::signals::stoppable;
use crate::values::whole_number;
use crate::{machine, print, scenarios};
use fit::{fit, parse_duration};
pub(crate) use job::{Ending, GateJob, measure_all};
pub(crate) use reports::{SavedComparison, json, saved, write as write_reports};
use server::GateServer;

/// Compare two servers in interleaved blocks: is the head slower or more expensive than the base?
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

    /// Name of a shipped scenario or path of a TOML file; the window is shortened to fit the budget
    scenario: PathBuf,

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

    /// Time for the whole gate, such as 90s or 5m; it decides the number of blocks and the length
    /// of the window
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    pub(crate) budget: Duration,

    /// Blocks of base, head and base again [default: 16, or 24 with a long budget]
    #[arg(long, value_name = "N", value_parser = whole_number(7..=200))]
    pub(crate) blocks: Option<u64>,

    /// Metrics to judge [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = metric_parser())]
    pub(crate) metrics: Vec<MetricId>,

    /// Random seed of the order within blocks
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

/// Time of the CPU probes before and after each run.
const RUN_EXTRA: Duration = Duration::from_millis(400);

const EXAMPLES: &str = "\
Examples:
  pushbench gate quick --base ../main/target/release/pushbench \\
    --head target/release/pushbench
  pushbench gate quick --base 'node old.js {port}' --head 'node new.js {port}' \\
    --set transports=websocket,sse --budget 10m
  pushbench gate quick --base ./pushbench \\
    --head './pushbench serve --allow-slowdown --slowdown cpu=5us'";

fn metric_parser() -> impl TypedValueParser<Value = MetricId> {
    let by_name = |name: String| MetricId::gated().find(|metric| metric.name() == name);
    PossibleValuesParser::new(MetricId::gated().map(MetricId::name))
        .map(move |name| by_name(name).expect("the possible values are the names"))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(Err(error)) = args.reports.as_deref().map(|folder| Folder::at(folder).prepare_report()) {
        print::error(&anyhow::Error::from(error).context("--reports: give a folder that can be written to"));
        return Ok(USAGE.into());
    }
    let (_locks, job) = match prepare(args.base.clone(), args.head.clone(), &args.scenario, &args.plan) {
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
    Ok(prepare(GateServer::own()?, GateServer::own()?, file, args))
}

/// The decided job and the locks of its cores; or the exit code, after printing what is wrong.
fn prepare(base: GateServer, head: GateServer, file: &Path, args: &PlanArgs) -> Result<(CoreLocks, GateJob), u8> {
    let (job, mut gate) = decide(base, head, file, args).map_err(|error| {
        print::error(&error);
        USAGE
    })?;
    let (locks, others) = core_locks::take(gate.plan.cores.as_ref(), args.lock);
    gate.notes.extend(others.iter().map(|finding| format!("{}: {}", finding.what, finding.found)));
    let found = [others, findings(Some(&job))].concat();
    print::findings(found.iter().filter(|finding| finding.level != Level::Good));
    if found.iter().any(|finding| finding.level == Level::Fatal) { Err(PREFLIGHT) } else { Ok((locks, gate)) }
}

/// Decides metrics, blocks and window so that the gate fits its budget.
fn decide(base: GateServer, head: GateServer, file: &Path, args: &PlanArgs) -> anyhow::Result<(Job, GateJob)> {
    let load = |set: &[Override]| -> anyhow::Result<Job> {
        let job = scenarios::load(file, set)?;
        anyhow::ensure!(
            job.plans.len() == 1,
            "{} has a sweep, but a gate measures one point; give the swept key one value with --set",
            job.name
        );
        Ok(job)
    };
    let asked = load(&args.set)?;
    let short = job::shortened_phases(&asked.plans[0], &args.set);
    let short = [args.set.clone(), short].concat();
    let plan = load(&short)?.plans.remove(0);
    let transports = plan.transports_asked();
    let metrics = if args.metrics.is_empty() { MetricId::gated().collect() } else { args.metrics.clone() };
    let window = plan.phases.window();
    let besides = transports.iter().map(|transport| plan.run_estimate(*transport) - window).max().unwrap_or_default();
    let overhead = besides + RUN_EXTRA;
    let cells = transports.len() * metrics.len();
    let fitted = fit(args.budget, window, overhead, transports.len(), cells, args.blocks.map(|blocks| blocks as usize));
    let fitted = fitted.map_err(|needed| {
        let names: Vec<_> = transports.iter().map(|transport| transport.name()).collect();
        anyhow::anyhow!(
            "the budget of {} is too short for {}: give --budget {}s, or fewer transports with --set transports=…",
            print::duration(args.budget),
            names.join(", "),
            needed.as_secs() + 1
        )
    })?;
    let set: Vec<Override> = vec![job::set_seconds("phases.window_s", fitted.window)];
    let mut job = load(&[short, set].concat())?;
    if base.is_attached() || head.is_attached() {
        job.plans.iter_mut().for_each(|plan| plan.room_prefix = random_room_prefix());
    }
    let gate = GateJob {
        scenario: job.name.clone(),
        plan: job.plans[0].clone(),
        transports,
        base,
        head,
        blocks: fitted.blocks,
        budget: args.budget,
        overhead,
        metrics,
        metrics_required: !args.metrics.is_empty(),
        seed: args.seed,
        cores: machine::cores(),
        notes: Vec::new(),
    };
    Ok((job, gate))
}
