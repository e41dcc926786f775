//! `pushbench report`, and the end of `run` and `load`: reports from results folders.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use report::{Report, build, summary_json};
use results::{Folder, LoadError, load};

use crate::exit::USAGE;
use crate::print;
use crate::run::OutputArgs;

/// Subfolder of a results folder for its report.
const FOLDER: &str = "report";

/// Write the report of finished jobs again: HTML, Markdown, plots and summary.json
#[derive(Parser)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Results folders of `run` or `load`
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,

    /// Folder to write to; required for several results folders [default: DIR/report]
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
            print::warn(&format!(
                "{} results folders need a folder for their common report; add --out DIR",
                several.len()
            ));
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
    print_conclusions(&report, &Folder::at(&out).save_report(&report.files)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the results of the job in this folder and writes its report.
pub(crate) fn of_job(folder: &Path, output: OutputArgs) -> anyhow::Result<()> {
    let job = load(folder)?;
    let report = build(&[job]);
    let path = Folder::at(&folder.join(FOLDER)).save_report(&report.files)?;
    if output.json {
        print::warn(&format!("results: {}", folder.display()));
        return print::out(&summary_json(&report.summary));
    }
    let tables: Vec<_> = report.summary.jobs.iter().map(|job| report::summary_tables(job, output.wide)).collect();
    print::out(&tables.join("\n"))?;
    print_conclusions(&report, &path)?;
    print::out(&format!("results: {}\n", folder.display()))
}

/// The report of the job in this folder, to be shown by a browser.
pub(crate) fn html(folder: &Path) -> String {
    let path = folder.join(FOLDER).join("report.html");
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| format!("There is no report: {error}; see {}", folder.display()))
}

fn print_conclusions(report: &Report, path: &Path) -> anyhow::Result<()> {
    print::out(&format!("\n{}\nreport:  {}\n", report.text, path.display()))
}
