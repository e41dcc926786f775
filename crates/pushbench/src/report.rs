//! `pushbench report`: the report of folders that are there, and of the one a job has just filled.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use report::{Report, build};
use results::{Folder, load};

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
  pushbench report results/runs/*-quick --out results/quick-over-time";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let out = match (&args.out, args.folders.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [folder]) => folder.join(FOLDER),
        (None, several) => {
            print::note(&format!("{} folders have no report folder of their own; add --out DIR", several.len()));
            return Ok(USAGE.into());
        }
    };
    make(&args.folders, &out)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what the job in this folder came to, and makes its report.
pub(crate) fn of_job(folder: &Path) -> anyhow::Result<()> {
    make(&[folder.to_owned()], &folder.join(FOLDER))
}

fn make(folders: &[PathBuf], out: &Path) -> anyhow::Result<()> {
    let jobs: Vec<_> = folders.iter().map(|folder| load(folder)).collect::<Result<_, _>>()?;
    let Report { text, files } = build(&jobs);
    let path = Folder::at(out).save_report(&files)?;
    print::out(&format!("\n{text}"));
    for folder in folders {
        print::out(&format!("\nresults: {}", folder.display()));
    }
    print::out(&format!("\nreport:  {}\n", path.display()));
    Ok(())
}
