//! `pushbench history`: a row a commit, kept in a CSV.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use report::history::History;

use crate::exit::USAGE;
use crate::print;

/// Keep a row a commit in a CSV (which Apache Otava reads), and show where it changed
#[derive(Parser)]
#[command(
    after_help = "Exit codes: 0 ok (whatever changed: history never gates), 1 failed, 2 bad usage, file or folder"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Append the medians of a results folder
    Add {
        /// The folder a job has made
        results: PathBuf,

        /// The table; made when it is not there
        #[arg(long, value_name = "FILE", default_value = "results/history.csv")]
        csv: PathBuf,

        /// The commit it belongs to [default: that of the program that measured]
        #[arg(long, value_name = "COMMIT")]
        commit: Option<String>,
    },
    /// Show every metric's last value and where it changed
    Show {
        /// The table
        #[arg(default_value = "results/history.csv")]
        csv: PathBuf,
    },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let outcome = match &args.what {
        What::Add { results, csv, commit } => add(results, csv, commit.as_deref()),
        What::Show { csv } => read(csv).map(|history| print::out(&history.shown())),
    };
    Ok(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error);
            USAGE.into()
        }
    })
}

fn add(folder: &Path, csv: &Path, commit: Option<&str>) -> anyhow::Result<()> {
    let evidence = results::load(folder)?;
    let commit = commit.or(evidence.manifest.program.commit.as_deref());
    let commit = commit.context("the folder does not know its commit; give it with --commit")?;
    let mut history = if csv.exists() { read(csv)? } else { History::default() };
    history.add(commit, &evidence).with_context(|| format!("cannot add {} to {}", folder.display(), csv.display()))?;
    // Beside it first: a table half written would lose every row.
    let beside = csv.with_extension("csv.partial");
    std::fs::write(&beside, history.to_csv()).with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, csv).with_context(|| format!("cannot write {}", csv.display()))
}

fn read(csv: &Path) -> anyhow::Result<History> {
    let text = std::fs::read_to_string(csv).with_context(|| format!("cannot read {}", csv.display()))?;
    History::parse(&text).with_context(|| format!("cannot read {}", csv.display()))
}
