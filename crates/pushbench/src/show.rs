//! `pushbench show`: the tables of jobs and comparisons again, from their folders alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use results::{LoadError, ResultsFolder, State};

use crate::exit::USAGE;
use crate::print::harmless;
use crate::{gate, print};

/// Print the tables of a job, or the table of a gate, again, from its folder
#[derive(Parser)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Results folders, and folders that `gate --reports` made
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
}

const AFTER: &str = "\
Examples:
  pushbench show results/runs/20260101T000000Z-quick
  pushbench show results/runs/*

Exit codes: 0 ok, 1 a folder says what no job writes or cannot be read, 2 bad usage or no results folder";

/// All of them, also when one cannot be read; the first that cannot be decides the exit code.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (mut failed, mut shown) = (None, false);
    for folder in &args.folders {
        let text = match (results::load(folder), gate::saved_table(folder)) {
            (Ok(evidence), _) => Ok(text(&evidence)),
            (Err(LoadError::NoResults { .. }), Some(table)) => {
                Ok(table.lines().map(|line| harmless(line) + "\n").collect())
            }
            (Err(error), _) => Err(error),
        };
        match text {
            Ok(text) => {
                print::out(&format!("{}{text}", if shown { "\n" } else { "" }))?;
                shown = true;
            }
            Err(error) => {
                let usage = matches!(error, LoadError::NoResults { .. });
                failed.get_or_insert(if usage { USAGE.into() } else { ExitCode::FAILURE });
                print::error(&error.into());
            }
        }
    }
    Ok(failed.unwrap_or(ExitCode::SUCCESS))
}

fn text(evidence: &ResultsFolder) -> String {
    let tables = report::tables(evidence);
    let tables = if evidence.runs.is_empty() { "no run of it came to its end\n" } else { tables.as_str() };
    format!("{}\n{tables}", print::harmless(&heading(evidence)))
}

/// Scenario, date, machine, state.
fn heading(evidence: &ResultsFolder) -> String {
    let (manifest, host) = (&evidence.manifest, &evidence.manifest.host);
    let made: BTreeSet<_> =
        evidence.runs.iter().map(|run| (run.record.round, &run.record.point, run.record.subject())).collect();
    let state = match manifest.state {
        State::Running => "partial",
        State::Complete => "complete",
        State::Interrupted => "interrupted",
        State::Failed => "failed",
    };
    format!(
        "{}, {}, {} ({} cores, {:.1} GB, Linux {}), {state}: {} of {} runs",
        manifest.scenario.name,
        date(&manifest.started),
        host.cpu_model,
        host.cores.len(),
        host.memory_bytes as f64 / 1e9,
        host.kernel,
        made.len(),
        manifest.order.len(),
    )
}

/// `20260101T000000Z` as people write it.
fn date(stamp: &str) -> String {
    let digits: Vec<char> = stamp.chars().filter(char::is_ascii_digit).collect();
    let part = |from: usize, to: usize| digits[from..to].iter().collect::<String>();
    if digits.len() != 14 || stamp.len() != 16 {
        return stamp.to_owned();
    }
    format!("{}-{}-{} {}:{}:{} UTC", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_words() {
        let mut evidence = results::invented::results_folder(&[100]);
        let first = |evidence: &ResultsFolder| text(evidence).lines().next().unwrap().to_owned();
        let expected =
            "invented, 2026-01-01 00:00:00 UTC, Invented CPU (2 cores, 8.6 GB, Linux 6.0.0), complete: 30 of 30 runs";
        assert_eq!(first(&evidence), expected);
        assert!(text(&evidence).contains("delivery "));
        evidence.manifest.state = State::Running;
        evidence.runs.truncate(2);
        evidence.runs[1].record = evidence.runs[0].record.clone();
        evidence.manifest.scenario.name = "a\nb".to_owned();
        evidence.manifest.started = "yesterday".to_owned();
        let expected = "a\u{fffd}b, yesterday, Invented CPU (2 cores, 8.6 GB, Linux 6.0.0), partial: 1 of 30 runs";
        assert_eq!(first(&evidence), expected);
        evidence.runs.clear();
        assert!(text(&evidence).ends_with("partial: 0 of 30 runs\nno run of it came to its end\n"));
    }
}
