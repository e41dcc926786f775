//! `pushbench report`: the report of folders that are there, and of the one a job has just filled.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use report::{Report, build};
use results::{Folder, LoadError, load};

use crate::exit::USAGE;
use crate::print;

/// Where a report goes in the folder of its job.
const FOLDER: &str = "report";

/// Make the report of results folders again: HTML, Markdown, plots and summary.json, without running anything
#[derive(Parser)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folders that `run` or `load` made
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,

    /// Folder to write to; needed for several folders, else DIR/report, where the links to the raw data hold
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  pushbench report results/runs/20260101T000000Z-quick
  pushbench report results/runs/*-quick --out results/quick-over-time

Exit codes: 0 ok, 1 a folder says what no job writes or cannot be read, 2 bad usage or no results folder";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let out = match (&args.out, args.folders.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [folder]) => folder.join(FOLDER),
        (None, several) => {
            print::warn(&format!("{} folders have no report folder of their own; add --out DIR", several.len()));
            return Ok(USAGE.into());
        }
    };
    let mut jobs = Vec::new();
    for folder in &args.folders {
        match load(folder) {
            Ok(job) => jobs.push(job),
            Err(error) => {
                let usage = matches!(error, LoadError::NoResults { .. });
                print::error(&error.into());
                return Ok(if usage { USAGE.into() } else { ExitCode::FAILURE });
            }
        }
    }
    let report = build(&jobs);
    say(&report, &Folder::at(&out).save_report(&report.files)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what the job in this folder came to, and makes its report.
pub(crate) fn of_job(folder: &Path) -> anyhow::Result<()> {
    let job = load(folder)?;
    let report = build(&[job]);
    let path = Folder::at(&folder.join(FOLDER)).save_report(&report.files)?;
    print::out(&report.tables)?;
    say(&report, &path)?;
    print::out(&format!("results: {}\n", folder.display()))
}

fn say(report: &Report, path: &Path) -> anyhow::Result<()> {
    print::out(&format!("\n{}\nreport:  {}\n", report.text, path.display()))
}
