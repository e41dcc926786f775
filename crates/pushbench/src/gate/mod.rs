//! `pushbench gate`: did this change make a transport dearer?

mod arms;
mod fit;
mod job;
mod reports;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use report::gate::{Comparison, METRICS, Metric, Outcome};
use scenario::{Job, Override};

use crate::exit::{INCONCLUSIVE, INTERRUPTED, NO_FIGURES, PREFLIGHT, REGRESSION, USAGE};
use crate::print;
use crate::run::{Level, findings, room_prefix};
use arms::Arm;
use fit::{fit, parse_duration};
pub(crate) use job::Ending;
use job::{GateJob, measure_all};
pub(crate) use reports::write as write_reports;

/// Compare two servers, in blocks of random order: is the head dearer than the base?
#[derive(Parser)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What it is held against: a build of pushbench, any server with {port} (and {tcp_port}) in its command line, or http://…
    #[arg(long, value_name = "CMD|URL")]
    base: Arm,

    /// What is judged
    #[arg(long, value_name = "CMD|URL")]
    head: Arm,

    /// The scenario; its window is shortened to fit the budget
    scenario: PathBuf,

    #[command(flatten)]
    plan: PlanArgs,

    /// Fail when something could not be decided
    #[arg(long)]
    strict: bool,

    /// Write the result as JSON, Markdown, JUnit XML, for Bencher, github-action-benchmark and OpenMetrics into this folder
    #[arg(long, value_name = "DIR")]
    reports: Option<PathBuf>,
}

/// What is measured, and for how long.
#[derive(clap::Args, Clone)]
pub(crate) struct PlanArgs {
    /// Set any key of the scenario; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Override>,

    /// Time for all of it, as in 90s or 5m; number and length of blocks follow from it
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    pub(crate) budget: Duration,

    /// Blocks of base, head and base again [default: 16, or 24 when the budget is long]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(7..=200))]
    pub(crate) blocks: Option<u16>,

    /// Metrics to gate [default: all that are measured]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_metric)]
    pub(crate) metrics: Vec<Metric>,

    /// Where the order of the arms comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// What every run of a gate takes besides what the scenario knows of: probing the machine, before and after.
const RUN_EXTRA: Duration = Duration::from_millis(400);

const EXAMPLES: &str = "\
Examples:
  pushbench gate --base ../main/target/release/pushbench --head target/release/pushbench scenarios/quick.toml
  pushbench gate --base 'node old.js {port}' --head 'node new.js {port}' scenarios/quick.toml --set transports=websocket,sse
  pushbench gate --base ./pushbench --head './pushbench serve --handicap cpu=5us --allow-handicap' scenarios/quick.toml --budget 10m

Metrics: throughput_per_s, server_cpu_us_per_message, server_bytes_per_connection, delivery_us_p50, delivery_us_p99

Exit codes: 0 nothing got worse, 1 failed (a server did not start, died or lost messages), 2 bad usage or scenario, 3 regression,
4 inconclusive with --strict, 5 the machine cannot run it honestly, 6 a transport has no figures: every block of it had an invalid run, 130 interrupted";

fn parse_metric(text: &str) -> Result<Metric, String> {
    let gated = || METRICS.into_iter().filter(|metric| metric.delta.is_some());
    gated().find(|metric| metric.name == text).ok_or_else(|| {
        let names: Vec<_> = gated().map(|metric| metric.name).collect();
        format!("no metric is called {text:?}; there are {}", names.join(", "))
    })
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let job = match prepare(args.base.clone(), args.head.clone(), &args.scenario, &args.plan) {
        Ok(job) => job,
        Err(code) => return Ok(code.into()),
    };
    let (comparison, ending) = measure(job)?;
    print::out(&report::gate::formats::table(&comparison));
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|is| is == "true") {
        print::out(&report::gate::formats::annotations(&comparison));
    }
    if let Some(folder) = &args.reports {
        reports::write(folder, &comparison)?;
    }
    Ok(code(&comparison, ending, args.strict))
}

fn code(comparison: &Comparison, ending: Ending, strict: bool) -> ExitCode {
    match (ending, comparison.outcome()) {
        (Ending::Interrupted, _) => INTERRUPTED.into(),
        (Ending::Complete | Ending::NoFigures, Outcome::Regressed) => REGRESSION.into(),
        (Ending::NoFigures, _) => NO_FIGURES.into(),
        (Ending::Complete, Outcome::Open) if strict => INCONCLUSIVE.into(),
        (Ending::Complete, Outcome::Open | Outcome::Passed) => ExitCode::SUCCESS,
    }
}

/// One whole gate of a program against itself; for `selfcheck`.
pub(crate) fn against_itself(scenario: &Path, args: &PlanArgs) -> anyhow::Result<Result<(Comparison, Ending), u8>> {
    match prepare(Arm::own()?, Arm::own()?, scenario, args) {
        Ok(job) => measure(job).map(Ok),
        Err(code) => Ok(Err(code)),
    }
}

fn measure(job: GateJob) -> anyhow::Result<(Comparison, Ending)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(measure_all(job))
}

/// Everything decided, or the exit code; what is wrong has been said.
fn prepare(base: Arm, head: Arm, file: &Path, args: &PlanArgs) -> Result<GateJob, u8> {
    let usage = |error: anyhow::Error| {
        print::error(&error);
        USAGE
    };
    let load = |set: &[Override]| -> anyhow::Result<Job> {
        let job = scenario::load(file, set).and_then(|source| source.decide())?;
        anyhow::ensure!(job.plans.len() == 1, "{} sweeps; a gate takes one point: put one value with --set", job.name);
        Ok(job)
    };
    let asked = load(&args.set).map_err(usage)?;
    let short = job::short_phases(&asked.plans[0], &args.set);
    let short = [args.set.clone(), short].concat();
    let plan = load(&short).map_err(usage)?.plans.remove(0);
    let transports = plan.transports_asked();
    let metrics = if args.metrics.is_empty() { METRICS.to_vec() } else { args.metrics.clone() };
    let gated = metrics.iter().filter(|metric| metric.delta.is_some()).count();
    let window = plan.phases.window;
    let besides = transports.iter().map(|transport| plan.run_estimate(*transport) - window).max().unwrap_or_default();
    let overhead = besides + RUN_EXTRA;
    let cells = transports.len() * gated;
    let fitted = fit(args.budget, window, overhead, transports.len(), cells, args.blocks.map(usize::from));
    let fitted = fitted.map_err(|needed| {
        let names: Vec<_> = transports.iter().map(|transport| transport.name()).collect();
        usage(anyhow::anyhow!(
            "{} s are too short for {}; it needs {} s, or fewer with --set transports=…",
            args.budget.as_secs(),
            names.join(", "),
            needed.as_secs() + 1
        ))
    })?;
    let set: Vec<Override> = vec![job::seconds("phases.window_s", fitted.window)];
    let mut job = load(&[short, set].concat()).map_err(usage)?;
    if base.is_found() || head.is_found() {
        job.plans.iter_mut().for_each(|plan| plan.room_prefix = room_prefix());
    }
    let found = findings(Some(&job));
    print::findings(found.iter().filter(|finding| finding.level != Level::Good));
    if found.iter().any(|finding| finding.level == Level::Fatal) {
        return Err(PREFLIGHT);
    }
    Ok(GateJob {
        scenario: job.name.clone(),
        plan: job.plans[0].clone(),
        transports,
        base,
        head,
        blocks: fitted.blocks,
        budget: args.budget,
        overhead,
        metrics,
        insist: !args.metrics.is_empty(),
        seed: args.seed,
    })
}
