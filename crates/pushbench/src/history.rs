//! `pushbench history`: a CSV with a row of metrics for each commit.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use report::history::{self, History};

use crate::exit::USAGE;
use crate::print;

/// Keep a CSV with a row of metrics for each commit (Apache Otava reads it), and show where they
/// changed
#[derive(Parser)]
#[command(after_help = "\
Examples:
  pushbench history add results/runs/20260101T000000Z-quick
  pushbench history show")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: HistoryCommand,
}

#[derive(Subcommand)]
enum HistoryCommand {
    /// Append the medians of a job
    Add {
        /// Results folder of the job
        results: PathBuf,

        /// The CSV file, or a folder with history.csv; created when it does not exist
        #[arg(long, value_name = "FILE", default_value = "results/history.csv")]
        csv: PathBuf,

        /// Commit of the row [default: the commit of the program that measured]
        #[arg(long, value_name = "COMMIT")]
        commit: Option<String>,
    },
    /// Print the last value and the changes of every metric, and plot them beside the CSV; a change
    /// is never an error
    Show {
        /// The CSV file, or a folder with history.csv
        #[arg(default_value = "results/history.csv")]
        csv: PathBuf,
    },
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let outcome = match &args.what {
        HistoryCommand::Add { results, csv, commit } => {
            add(results, &table(csv), commit.as_deref()).map(|()| String::new())
        }
        HistoryCommand::Show { csv } => show(&table(csv)),
    };
    match outcome {
        Ok(text) => print::out(&text).map(|()| ExitCode::SUCCESS),
        Err(error) => {
            print::error(&error);
            Ok(USAGE.into())
        }
    }
}

fn add(folder: &Path, csv: &Path, commit: Option<&str>) -> anyhow::Result<()> {
    let evidence = results::load(folder)?;
    let commit = commit.or(evidence.manifest.program.commit.as_deref());
    let commit = commit.context("the results folder has no commit; give it with --commit")?;
    let mut history = if csv.exists() { read(csv)? } else { History::default() };
    history.add(commit, &evidence).with_context(|| format!("cannot add {} to {}", folder.display(), csv.display()))?;
    // Written beside it first: a half-written file would lose all rows.
    let beside = csv.with_extension("csv.partial");
    std::fs::write(&beside, history.to_csv()).with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, csv).with_context(|| format!("cannot write {}", csv.display()))
}

/// The CSV file; a folder stands for `history.csv` in it.
fn table(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("history.csv") } else { path.to_owned() }
}

/// Writes the plot; returns the table.
fn show(csv: &Path) -> anyhow::Result<String> {
    anyhow::ensure!(csv.exists(), "{} does not exist; `pushbench history add` creates it", csv.display());
    let history = read(csv)?;
    let table = history::table(&history);
    let Some(plot) = report::plots::history(&history) else {
        print::warn(&format!("{} has no value to plot; `pushbench history add` appends those of a job", csv.display()));
        return Ok(table);
    };
    let stem = format!("{}-plot", csv.file_stem().unwrap_or_default().to_string_lossy());
    let file = |ending: &str| csv.with_file_name(format!("{stem}.{ending}"));
    for (ending, bytes) in [("svg", plot.svg.as_bytes()), ("csv", plot.csv.as_bytes()), ("png", &plot.png)] {
        std::fs::write(file(ending), bytes).with_context(|| format!("cannot write {}", file(ending).display()))?;
    }
    let changed = history.trends().iter().filter(|trend| trend.stretches.len() > 1).count();
    if changed > 0 {
        print::warn(&format!("metrics that changed: {changed}; see the plot"));
    }
    Ok(format!("{table}\nplot: {} (and .svg, .csv)\n", file("png").display()))
}

fn read(csv: &Path) -> anyhow::Result<History> {
    let text = std::fs::read_to_string(csv).with_context(|| format!("cannot read {}", csv.display()))?;
    History::parse(&text).with_context(|| format!("cannot read {}", csv.display()))
}
