//! `pushbench doctor`: checks of the machine, without measuring anything.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::exit::{PREFLIGHT, USAGE};
use crate::run::{Level, findings};
use crate::{print, scenarios};

/// Check the machine: cores, load, timers, clock, and the limits that a scenario needs
#[derive(Parser)]
#[command(after_help = "\
Examples:
  pushbench doctor
  pushbench doctor scale")]
pub(crate) struct Args {
    /// Name of a shipped scenario or path of a TOML file, whose needs are compared with the
    /// machine's limits
    scenario: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let job = match args.scenario.map(|path| scenarios::load(&path, &[])).transpose() {
        Ok(job) => job,
        Err(error) => {
            print::error(&error);
            return Ok(USAGE.into());
        }
    };
    let findings = findings(job.as_ref(), false);
    print::findings(findings.iter());
    let fatal = findings.iter().any(|finding| finding.level == Level::Fatal);
    Ok(if fatal { PREFLIGHT.into() } else { ExitCode::SUCCESS })
}
