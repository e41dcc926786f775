//! `pushbench show`: the tables of jobs and comparisons, from their folders.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use jiff::civil::DateTime;
use results::{LoadError, ResultsFolder, State};

use crate::exit::USAGE;
use crate::print::harmless;
use crate::run::{OutputArgs, STAMP};
use crate::{gate, print};

/// Print the results of finished jobs, or the table of a gate, from their folders
#[derive(Parser)]
#[command(after_help = "\
Examples:
  pushbench show results/runs/20260101T000000Z-quick
  pushbench show results/runs/* --wide
  pushbench show results/runs/20260101T000000Z-quick --json | jq .jobs[].points")]
pub(crate) struct Args {
    /// Results folders, and folders of `gate --reports`
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

/// What a folder holds.
enum Folder {
    Job(Box<ResultsFolder>),
    Gate(gate::SavedComparison),
}

/// Shows every folder that can be read; the first one that cannot decides the exit code.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (mut failed, mut shown) = (None, Vec::new());
    for folder in &args.folders {
        match (results::load(folder), gate::saved(folder)) {
            (Ok(job), _) => shown.push(Folder::Job(Box::new(job))),
            (Err(LoadError::NoResults { .. }), Some(saved)) => shown.push(Folder::Gate(saved)),
            (Err(error), _) => {
                let usage = matches!(error, LoadError::NoResults { .. });
                failed.get_or_insert(if usage { USAGE.into() } else { ExitCode::FAILURE });
                print::error(&error.into());
            }
        }
    }
    if args.output.json {
        json(shown)?;
    } else {
        let texts: Vec<_> = shown.iter().map(|shown| text(shown, args.output.wide)).collect();
        print::out(&texts.join("\n"))?;
    }
    Ok(failed.unwrap_or(ExitCode::SUCCESS))
}

/// One `summary.json` for all jobs, then each `comparison.json`.
fn json(shown: Vec<Folder>) -> anyhow::Result<()> {
    let (mut jobs, mut comparisons) = (Vec::new(), Vec::new());
    for shown in shown {
        match shown {
            Folder::Job(job) => jobs.push(*job),
            Folder::Gate(saved) => comparisons.push(saved.json),
        }
    }
    if !jobs.is_empty() {
        print::out(&report::summary_json(&report::summary(&jobs)))?;
    }
    comparisons.iter().try_for_each(|json| print::out(json))
}

fn text(shown: &Folder, wide: bool) -> String {
    match shown {
        Folder::Job(job) => {
            let tables = report::tables(job, wide);
            let tables = if job.runs.is_empty() { "no run of this job ended\n" } else { tables.as_str() };
            format!("{}\n{tables}", report::wrapped(&harmless(&heading(job)), 2))
        }
        Folder::Gate(saved) => saved.table.lines().map(|line| harmless(line) + "\n").collect(),
    }
}

/// Scenario, date, machine and state of a job.
fn heading(evidence: &ResultsFolder) -> String {
    let (manifest, host) = (&evidence.manifest, &evidence.manifest.host);
    let made: BTreeSet<_> = evidence.runs.iter().map(|run| (run.record.mode, run.record.round)).collect();
    let state = match manifest.state {
        State::Running => "partial",
        State::Complete => "complete",
        State::Interrupted => "interrupted",
        State::Failed => "failed",
    };
    format!(
        "{}, {}, {} ({} cores, {:.1} GB, Linux {}), {state}: {} of {} rounds",
        manifest.scenario.name,
        date(&manifest.started),
        host.cpu_model,
        host.cores.len(),
        host.memory_bytes as f64 / 1e9,
        host.kernel,
        made.len(),
        manifest.rounds.load + manifest.rounds.lock_step,
    )
}

/// `20260101T000000Z` as `2026-01-01 00:00:00 UTC`; anything else as it stands.
fn date(stamp: &str) -> String {
    DateTime::strptime(STAMP, stamp)
        .map_or_else(|_| stamp.to_owned(), |date| date.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heading_has_the_scenario_the_machine_and_the_progress() {
        let mut job = results::invented::results_folder(&[100]);
        let of = |job: &ResultsFolder| text(&Folder::Job(Box::new(job.clone())), false);
        let heading = |job: &ResultsFolder| of(job).replace("\n  ", " ").lines().next().unwrap().to_owned();
        let expected =
            "invented, 2026-01-01 00:00:00 UTC, Invented CPU (2 cores, 8.6 GB, Linux 6.0.0), complete: 3 of 3 rounds";
        assert_eq!(heading(&job), expected);
        assert!(of(&job).contains("delivery "));
        job.manifest.state = State::Running;
        job.runs.truncate(2);
        job.runs[1].record = job.runs[0].record.clone();
        job.manifest.scenario.name = "a\nb".to_owned();
        job.manifest.started = "yesterday".to_owned();
        let expected = "a\u{fffd}b, yesterday, Invented CPU (2 cores, 8.6 GB, Linux 6.0.0), partial: 1 of 3 rounds";
        assert_eq!(heading(&job), expected);
        job.runs.clear();
        assert!(of(&job).replace("\n  ", " ").ends_with("partial: 0 of 3 rounds\nno run of this job ended\n"));
    }
}
