//! `pushbench selfcheck`: how often does the gate cry wolf, and how often does it see one?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use report::gate::{ComparisonRow, Counts, GateVerdict, Noise, promise, trials};
use report::stats::clopper_pearson;
use tokio_util::sync::CancellationToken;

use crate::exit::INTERRUPTED;
use crate::gate::{self, Ending, GateJob, PlanArgs, measure_all};
use crate::signals::stoppable;
use crate::{machine, print};

/// Blocks of a simulated job.
const BLOCKS: usize = 16;

/// Try the gate: its rule on simulated noise, or all of it against itself on this machine
#[derive(Parser)]
#[command(after_help = "\
Examples:
  pushbench selfcheck                                                        # a minute: the rule on simulated noise
  pushbench selfcheck --aa 12 scenarios/quick.toml --set transports=websocket   # an hour: twelve gates of one program with itself

Exit codes: 0 the error rates are as promised, 1 they are not, 2 bad usage, 130 interrupted (the gates made are counted)")]
pub(crate) struct Args {
    /// Jobs a noise, without and with a change
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    trials: u64,

    /// Instead: gates of this program against itself, each of which may raise an alarm
    #[arg(long, value_name = "K", requires = "scenario", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    aa: Option<u64>,

    /// What they measure
    #[arg(requires = "aa")]
    scenario: Option<PathBuf>,

    #[command(flatten)]
    gate: PlanArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match (args.aa, &args.scenario) {
        (Some(gates), Some(scenario)) => match gate::of_itself(scenario, &args.gate)? {
            Ok((_locks, job)) => stoppable(async |stop| against_itself(gates, &job, stop).await),
            Err(code) => Ok(code.into()),
        },
        _ => simulated(args),
    }
}

fn simulated(args: &Args) -> anyhow::Result<ExitCode> {
    let blocks = args.gate.blocks.map_or(BLOCKS, usize::from);
    let rows: Vec<_> = Noise::ALL.map(|noise| (noise, shared_out(noise, blocks, args.gate.seed, args.trials))).into();
    print::out(&promise::table(blocks, &rows))?;
    let broken = rows.iter().any(|(noise, counts)| promise::broken(*noise, blocks, *counts));
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Every gate has an order of its own; whatever is called changed is a false alarm.
async fn against_itself(gates: u64, job: &GateJob, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let (mut done, mut alarms) = (0, 0);
    for gate in 0..gates {
        let seeded = GateJob { seed: job.seed + gate, ..job.clone() };
        let (comparison, ending) = measure_all(seeded, stop.clone()).await?;
        if ending == Ending::Interrupted {
            print::warn(&format!("interrupted after {done} of {gates} gates; the one in progress is not counted"));
            return Ok(INTERRUPTED.into());
        }
        done += 1;
        let changed =
            |row: &ComparisonRow| matches!(row.verdict, Some(GateVerdict::Regression | GateVerdict::Improved));
        let alarm = comparison.rows.iter().any(changed);
        alarms += u64::from(alarm);
        if alarm {
            print::out(&report::gate::formats::table(&comparison))?;
        }
        let (low, high) = clopper_pearson(alarms, done);
        print::out(&format!(
            "{}: {}\n{alarms} alarms in {done} gates of a program with itself: {:.1} % [{:.1}–{:.1}]\n",
            gate + 1,
            comparison.headline(),
            100.0 * alarms as f64 / done as f64,
            low * 100.0,
            high * 100.0
        ))?;
    }
    Ok(if promise::too_many(alarms, done) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The trials of a noise, on all cores.
fn shared_out(noise: Noise, blocks: usize, seed: u64, jobs: u64) -> Counts {
    let cores = machine::cores().len().max(1) as u64;
    let from = |core: u64| jobs * core / cores;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|core| scope.spawn(move || trials(noise, blocks, seed, from(core)..from(core + 1))))
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).fold(Counts::default(), Counts::plus)
    })
}
