//! `pushbench history`: a row a commit, kept in a CSV.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use report::history::{self, History};

use crate::exit::USAGE;
use crate::print;

/// Keep a row a commit in a CSV (which Apache Otava reads), and show where it changed
#[derive(Parser)]
#[command(
    after_help = "Exit codes: 0 ok (whatever changed: history never gates), 1 failed, 2 bad usage, file or folder"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: HistoryCommand,
}

#[derive(Subcommand)]
enum HistoryCommand {
    /// Append the medians of a results folder
    Add {
        /// The folder a job has made
        results: PathBuf,

        /// The table, or the folder with history.csv; made when it is not there
        #[arg(long, value_name = "FILE", default_value = "results/history.csv")]
        csv: PathBuf,

        /// The commit it belongs to [default: that of the program that measured]
        #[arg(long, value_name = "COMMIT")]
        commit: Option<String>,
    },
    /// Show every metric's last value and where it changed, and draw it beside the table
    Show {
        /// The table, or the folder with history.csv
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
    let commit = commit.context("the folder does not know its commit; give it with --commit")?;
    let mut history = if csv.exists() { read(csv)? } else { History::default() };
    history.add(commit, &evidence).with_context(|| format!("cannot add {} to {}", folder.display(), csv.display()))?;
    // Beside it first: a table half written would lose every row.
    let beside = csv.with_extension("csv.partial");
    std::fs::write(&beside, history.to_csv()).with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, csv).with_context(|| format!("cannot write {}", csv.display()))
}

/// A folder stands for the table in it.
fn table(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("history.csv") } else { path.to_owned() }
}

/// Draws it, and gives what is to be said of it.
fn show(csv: &Path) -> anyhow::Result<String> {
    anyhow::ensure!(csv.exists(), "{} is not there; `pushbench history add` makes it", csv.display());
    let history = read(csv)?;
    let table = history::table(&history);
    let Some(plot) = report::plots::history(&history) else {
        print::warn(&format!("{} has no value to draw; `pushbench history add` appends a folder's", csv.display()));
        return Ok(table);
    };
    let stem = format!("{}-plot", csv.file_stem().unwrap_or_default().to_string_lossy());
    let file = |ending: &str| csv.with_file_name(format!("{stem}.{ending}"));
    for (ending, bytes) in [("svg", plot.svg.as_bytes()), ("csv", plot.csv.as_bytes()), ("png", &plot.png)] {
        std::fs::write(file(ending), bytes).with_context(|| format!("cannot write {}", file(ending).display()))?;
    }
    let changed = history.trends().iter().filter(|trend| trend.stretches.len() > 1).count();
    if changed > 0 {
        print::warn(&format!("warning: metrics that changed on the way: {changed}; see the plot. This gates nothing"));
    }
    Ok(format!("{table}\nplot: {} (and .svg, .csv)\n", file("png").display()))
}

fn read(csv: &Path) -> anyhow::Result<History> {
    let text = std::fs::read_to_string(csv).with_context(|| format!("cannot read {}", csv.display()))?;
    History::parse(&text).with_context(|| format!("cannot read {}", csv.display()))
}
