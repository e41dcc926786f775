//! `pushbench selfcheck`: how often does the gate cry wolf, and how often does it see one?

use std::process::ExitCode;

use clap::Parser;
use report::gate::{Counts, Noise, promise, trials};

use crate::{machine, print};

/// Try the gate's rule on simulated noise: false alarms, and changes found
#[derive(Parser)]
#[command(after_help = "Exit codes: 0 the error rates are as promised, 1 they are not, 2 bad usage")]
pub(crate) struct Args {
    /// Jobs a noise, without and with a change
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    trials: u64,

    /// Blocks of a job
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=200))]
    blocks: u16,

    /// Where all chance comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let blocks = usize::from(args.blocks);
    let rows: Vec<_> = Noise::ALL.map(|noise| (noise, shared_out(noise, blocks, args))).into();
    print::out(&promise::table(blocks, &rows));
    let broken = rows.iter().any(|(noise, counts)| promise::broken(*noise, blocks, *counts));
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The trials of a noise, on all cores.
fn shared_out(noise: Noise, blocks: usize, args: &Args) -> Counts {
    let cores = machine::cores().len().max(1) as u64;
    let from = |core: u64| args.trials * core / cores;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|core| scope.spawn(move || trials(noise, blocks, args.seed, from(core)..from(core + 1))))
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).fold(Counts::default(), Counts::plus)
    })
}
