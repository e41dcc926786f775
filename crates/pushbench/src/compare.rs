//! `pushbench compare`: two finished jobs against each other.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use report::gate::{Comparison, Outcome, formats, unpaired};
use results::{Manifest, Point, ResultsFolder};

use crate::exit::{INCONCLUSIVE, REGRESSION, USAGE};
use crate::print;
use crate::run::OutputArgs;

/// Key of the budget among the settings.
const BUDGET: &str = "budget_s";

/// Compare two finished jobs of one scenario
#[derive(Parser)]
#[command(after_help = "\
The jobs did not take turns. Costs are compared as multiples of raw TCP in the
same blocks, whose own change is shown beside them. `pushbench gate` measures
both servers in turn and sees smaller changes.

Example:
  pushbench compare results/runs/20260101T000000Z-quick \\
    results/runs/20260102T000000Z-quick")]
pub(crate) struct Args {
    /// Results folder of the base
    base: PathBuf,

    /// Results folder of the head
    head: PathBuf,

    /// Fail with exit code 4 when a metric is inconclusive
    #[arg(long)]
    strict: bool,

    /// Write the comparison as JSON, Markdown, JUnit XML and in other formats into this folder, as
    /// `gate` does
    #[arg(long, value_name = "DIR")]
    reports: Option<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if is_same_folder(&args.base, &args.head) {
        print::warn(&format!("{} is given twice; compare the folders of two jobs", args.base.display()));
        return Ok(USAGE.into());
    }
    let loaded = results::load(&args.base).and_then(|base| Ok((base, results::load(&args.head)?)));
    let (base, head) = match loaded {
        Ok(both) => both,
        Err(error) => {
            print::error(&error.into());
            return Ok(USAGE.into());
        }
    };
    if let Some(why) = not_comparable(&base, &head) {
        print::warn(&why);
        return Ok(USAGE.into());
    }
    let rows = unpaired(&base, &head);
    if rows.is_empty() {
        print::warn("no transport has a valid run in both folders");
        return Ok(USAGE.into());
    }
    let comparison = Comparison {
        scenario: base.manifest.scenario.name.clone(),
        base: args.base.display().to_string(),
        head: args.head.display().to_string(),
        seed: base.manifest.seed,
        rounds_planned: 0,
        rounds: rows.iter().map(|row| row.rounds).max().unwrap_or(0) as u32,
        paired: false,
        notes: notes(&base, &head),
        rows,
        cells: Vec::new(),
    };
    if let Some(folder) = &args.reports {
        crate::gate::write_reports(folder, &comparison)?;
    }
    print::out(&if args.output.json {
        crate::gate::json(&comparison)?
    } else {
        formats::table(&comparison, args.output.wide)
    })?;
    Ok(match comparison.outcome() {
        Outcome::Regressed => REGRESSION.into(),
        Outcome::Open if args.strict => INCONCLUSIVE.into(),
        Outcome::Open | Outcome::Passed => ExitCode::SUCCESS,
    })
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Why the two jobs cannot be compared.
fn not_comparable(base: &ResultsFolder, head: &ResultsFolder) -> Option<String> {
    let (one, other) = (&base.manifest, &head.manifest);
    if one.scenario.name != other.scenario.name {
        let names = format!("{} and {}", one.scenario.name, other.scenario.name);
        return Some(format!("the scenarios differ: {names}; compare two jobs of one scenario"));
    }
    if points_without_budget(one) != points_without_budget(other) {
        let changed = one.points.iter().zip(&other.points).flat_map(|(one, other)| {
            let keys = one.settings.keys().chain(other.settings.keys());
            let differ = |key: &&String| one.settings.get(*key) != other.settings.get(*key);
            keys.filter(differ).filter(|key| *key != BUDGET).cloned().collect::<Vec<_>>()
        });
        let mut changed: Vec<String> = changed.collect();
        changed.sort();
        changed.dedup();
        let changed = if changed.is_empty() { "points of the sweep".to_owned() } else { changed.join(", ") };
        return Some(format!(
            "the settings of {} differ: {changed}; measure both with the same settings",
            one.scenario.name
        ));
    }
    None
}

/// The points of a job; two budgets do not make two scenarios.
fn points_without_budget(manifest: &Manifest) -> Vec<Point> {
    let mut points = manifest.points.clone();
    points.iter_mut().for_each(|point| _ = point.settings.remove(BUDGET));
    points
}

fn notes(base: &ResultsFolder, head: &ResultsFolder) -> Vec<String> {
    let (one, other) = (&base.manifest, &head.manifest);
    let mut notes = vec![
        "the jobs did not take turns: a change of the machine looks like a change of the server; `pushbench gate` tells them apart"
            .to_owned(),
    ];
    if one.host != other.host {
        notes.push("the jobs ran on different machines or cores, which may explain differences".to_owned());
    }
    if one.program.profile != other.program.profile || one.program.rustc != other.program.rustc {
        let built = |program: &results::Program| format!("{} with {}", program.profile, program.rustc);
        notes.push(format!(
            "the programs were built differently: {} and {}",
            built(&one.program),
            built(&other.program)
        ));
    }
    notes
}
