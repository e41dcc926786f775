//! `pushbench selfcheck`: the gate's rate of false alarms on this machine, measured by comparing
//! the program with itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use report::gate::{ComparisonRow, GateVerdict, formats};
use report::stats::clopper_pearson;
use tokio_util::sync::CancellationToken;

use crate::exit::INTERRUPTED;
use crate::gate::{self, Ending, GateJob, PlanArgs, measure_all};
use crate::print;
use crate::signals::stoppable;
use crate::values::whole_number;

/// Gates with a false alarm, at most, as a share.
const ALARMS_MAX: f64 = 0.01;

/// Measure the gate's rate of false alarms on this machine: gates of this program with itself
#[derive(Parser)]
#[command(after_help = "\
Example (twelve gates of two minutes):
  pushbench selfcheck --aa 12 quick --set transports=websocket

The error rates of the rule itself, on simulated noise:
  cargo test --release -p pushbench-report --test gate_error_rates \\
    -- --ignored --nocapture")]
pub(crate) struct Args {
    /// Number of gates; each compares the built-in server with itself, so that every reported
    /// change is a false alarm
    #[arg(long, value_name = "K", value_parser = whole_number(1..=10_000))]
    aa: u64,

    /// Shipped scenario or TOML file that every gate measures
    scenario: PathBuf,

    #[command(flatten)]
    gate: PlanArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match gate::of_itself(&args.scenario, &args.gate)? {
        Ok((_locks, job)) => stoppable(async |stop| against_itself(args.aa, &job, stop).await),
        Err(code) => Ok(code.into()),
    }
}

/// Each gate draws an order of its own. Exit code 1 when the alarms exceed [`ALARMS_MAX`] by more
/// than chance explains.
async fn against_itself(gates: u64, job: &GateJob, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let (mut done, mut alarms) = (0, 0);
    for gate in 0..gates {
        let mut seeded = job.clone();
        seeded.job.seed += gate;
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
            print::out(&formats::table(&comparison, false))?;
        }
        let (low, high) = clopper_pearson(alarms, done);
        print::out(&format!(
            "{}: {}\n{alarms} false alarms in {done} gates: {:.1} % [{:.1}–{:.1}]\n",
            gate + 1,
            comparison.headline(),
            100.0 * alarms as f64 / done as f64,
            low * 100.0,
            high * 100.0
        ))?;
    }
    let too_many = clopper_pearson(alarms, done).0 > ALARMS_MAX;
    Ok(if too_many { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
