//! `pushbench gate`: did this change make a transport dearer?

mod arms;
mod fit;
mod job;
mod reports;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use report::gate::{Comparison, Outcome};
use results::{Folder, MetricId};
use scenario::{Job, Override};

use crate::core_locks::{self, CoreLocks, LockArgs};
use crate::exit::{INCONCLUSIVE, INTERRUPTED, NO_FIGURES, PREFLIGHT, REGRESSION, USAGE};
use crate::run::{Level, findings, room_prefix};
use crate::signals::stoppable;
use crate::{machine, print};
use arms::Arm;
use fit::{fit, parse_duration};
pub(crate) use job::{Ending, GateJob, measure_all};
pub(crate) use reports::{saved_table, write as write_reports};

/// Compare two servers, in blocks of random order: is the head dearer than the base?
#[derive(Parser)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What it is held against: a build of pushbench, any server with {port} in its command line, or http://…
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
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = metric_parser())]
    pub(crate) metrics: Vec<MetricId>,

    /// Where the order of the arms comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) lock: LockArgs,
}

/// What every run of a gate takes besides what the scenario knows of: probing the machine, before and after.
const RUN_EXTRA: Duration = Duration::from_millis(400);

const EXAMPLES: &str = "\
Examples:
  pushbench gate --base ../main/target/release/pushbench --head target/release/pushbench scenarios/quick.toml
  pushbench gate --base 'node old.js {port}' --head 'node new.js {port}' scenarios/quick.toml --set transports=websocket,sse
  pushbench gate --base ./pushbench --head './pushbench serve --slowdown cpu=5us --allow-slowdown' scenarios/quick.toml --budget 10m

Exit codes: 0 nothing got worse, 1 failed (a server did not start, died or lost messages), 2 bad usage or scenario, 3 regression,
4 inconclusive with --strict, 5 the machine cannot run it honestly, 6 a transport has no figures: every block of it had an invalid run,
130 interrupted (the blocks made are reported, as partial and inconclusive)";

fn metric_parser() -> impl TypedValueParser<Value = MetricId> {
    let by_name = |name: String| MetricId::gated().find(|metric| metric.name() == name);
    PossibleValuesParser::new(MetricId::gated().map(MetricId::name))
        .map(move |name| by_name(name).expect("the possible values are the names"))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(Err(error)) = args.reports.as_deref().map(|folder| Folder::at(folder).prepare_report()) {
        print::error(&anyhow::Error::from(error).context("--reports: give a folder that you may write to"));
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
    print::out(&report::gate::formats::table(&comparison))?;
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|is| is == "true") {
        print::out(&report::gate::formats::annotations(&comparison))?;
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

/// A gate of this program with itself, as often as `selfcheck` wants it; or the exit code.
pub(crate) fn of_itself(file: &Path, args: &PlanArgs) -> anyhow::Result<Result<(CoreLocks, GateJob), u8>> {
    Ok(prepare(Arm::own()?, Arm::own()?, file, args))
}

/// Everything decided, and the cores for it; or the exit code: what is wrong has been said.
fn prepare(base: Arm, head: Arm, file: &Path, args: &PlanArgs) -> Result<(CoreLocks, GateJob), u8> {
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

/// What is measured, and how often, so that it fits into the budget.
fn decide(base: Arm, head: Arm, file: &Path, args: &PlanArgs) -> anyhow::Result<(Job, GateJob)> {
    let load = |set: &[Override]| -> anyhow::Result<Job> {
        let job = scenario::load(file, set).and_then(|source| source.decide())?;
        anyhow::ensure!(job.plans.len() == 1, "{} sweeps; a gate takes one point: put one value with --set", job.name);
        Ok(job)
    };
    let asked = load(&args.set)?;
    let short = job::short_phases(&asked.plans[0], &args.set);
    let short = [args.set.clone(), short].concat();
    let plan = load(&short)?.plans.remove(0);
    let transports = plan.transports_asked();
    let metrics = if args.metrics.is_empty() { MetricId::gated().collect() } else { args.metrics.clone() };
    let window = plan.phases.window();
    let besides = transports.iter().map(|transport| plan.run_estimate(*transport) - window).max().unwrap_or_default();
    let overhead = besides + RUN_EXTRA;
    let cells = transports.len() * metrics.len();
    let fitted = fit(args.budget, window, overhead, transports.len(), cells, args.blocks.map(usize::from));
    let fitted = fitted.map_err(|needed| {
        let names: Vec<_> = transports.iter().map(|transport| transport.name()).collect();
        anyhow::anyhow!(
            "{} s are too short for {}; it needs {} s, or fewer with --set transports=…",
            args.budget.as_secs(),
            names.join(", "),
            needed.as_secs() + 1
        )
    })?;
    let set: Vec<Override> = vec![job::seconds("phases.window_s", fitted.window)];
    let mut job = load(&[short, set].concat())?;
    if base.is_found() || head.is_found() {
        job.plans.iter_mut().for_each(|plan| plan.room_prefix = room_prefix());
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
        insist: !args.metrics.is_empty(),
        seed: args.seed,
        cores: machine::cores(),
        notes: Vec::new(),
    };
    Ok((job, gate))
}
