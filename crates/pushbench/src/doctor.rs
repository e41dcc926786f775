//! `pushbench doctor`: can this machine measure, and can it measure this?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::exit::{PREFLIGHT, USAGE};
use crate::print;
use crate::run::{Level, findings};

/// Look at the machine: can it measure honestly?
#[derive(Parser)]
#[command(after_help = "Exit codes: 0 fit or doubtful, 2 bad scenario, 5 the scenario cannot be run honestly here")]
pub(crate) struct Args {
    /// A scenario to hold against the machine's limits
    scenario: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let job = match args.scenario.map(|path| scenario::load(&path, &[]).and_then(|source| source.decide())).transpose()
    {
        Ok(job) => job,
        Err(error) => {
            print::error(&error.into());
            return Ok(USAGE.into());
        }
    };
    let findings = findings(job.as_ref());
    print::findings(findings.iter());
    let fatal = findings.iter().any(|finding| finding.level == Level::Fatal);
    Ok(if fatal { PREFLIGHT.into() } else { ExitCode::SUCCESS })
}
