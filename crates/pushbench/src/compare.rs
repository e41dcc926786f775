//! `pushbench compare`: two finished result folders against each other.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use report::gate::{Comparison, Outcome, formats, unpaired};
use results::ResultsFolder;

use crate::exit::{INCONCLUSIVE, REGRESSION, USAGE};
use crate::print;

/// Compare two finished result folders of one scenario
#[derive(Parser)]
#[command(after_help = "\
The two did not take turns, so that a machine that changed in between looks like a program that did: `pushbench gate` keeps them apart.
It takes four repetitions on both sides for an interval, and about eight for a verdict.

Exit codes: 0 nothing got worse, 1 failed, 2 folders that cannot be read or compared, 3 regression, 4 inconclusive with --strict")]
pub(crate) struct Args {
    /// Results of the base
    base: PathBuf,

    /// Results of the head
    head: PathBuf,

    /// Fail when something could not be decided
    #[arg(long)]
    strict: bool,

    /// Write the result for others to read, as `gate` does, into this folder
    #[arg(long, value_name = "DIR")]
    reports: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
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
        print::warn("the folders have no valid run of one transport in common");
        return Ok(USAGE.into());
    }
    let comparison = Comparison {
        scenario: base.manifest.scenario.name.clone(),
        base: args.base.display().to_string(),
        head: args.head.display().to_string(),
        seed: base.manifest.seed,
        blocks_planned: 0,
        blocks: rows.iter().map(|row| row.blocks).max().unwrap_or(0),
        paired: false,
        notes: notes(&base, &head),
        rows,
        cells: Vec::new(),
    };
    if let Some(folder) = &args.reports {
        crate::gate::write_reports(folder, &comparison)?;
    }
    print::out(&formats::table(&comparison))?;
    Ok(match comparison.outcome() {
        Outcome::Regressed => REGRESSION.into(),
        Outcome::Open if args.strict => INCONCLUSIVE.into(),
        Outcome::Open | Outcome::Passed => ExitCode::SUCCESS,
    })
}

fn not_comparable(base: &ResultsFolder, head: &ResultsFolder) -> Option<String> {
    let (one, other) = (&base.manifest, &head.manifest);
    if one.scenario.name != other.scenario.name {
        let names = format!("{} and {}", one.scenario.name, other.scenario.name);
        return Some(format!("these are different scenarios: {names}; compare two jobs of one"));
    }
    if one.points != other.points {
        let changed = one.points.iter().zip(&other.points).flat_map(|(one, other)| {
            let keys = one.settings.keys().chain(other.settings.keys());
            keys.filter(|key| one.settings.get(*key) != other.settings.get(*key)).cloned().collect::<Vec<_>>()
        });
        let mut changed: Vec<String> = changed.collect();
        changed.sort();
        changed.dedup();
        let changed = if changed.is_empty() { "the points of its sweep".to_owned() } else { changed.join(", ") };
        return Some(format!("{} was run with other settings: {changed}; measure both alike", one.scenario.name));
    }
    None
}

fn notes(base: &ResultsFolder, head: &ResultsFolder) -> Vec<String> {
    let (one, other) = (&base.manifest, &head.manifest);
    let mut notes = vec![
        "the two did not take turns: a machine that changed in between looks the same; `pushbench gate` tells"
            .to_owned(),
    ];
    if one.host != other.host {
        notes.push("they were measured on different machines or cores: differences may be theirs".to_owned());
    }
    if one.program.profile != other.program.profile || one.program.rustc != other.program.rustc {
        let built = |program: &results::Program| format!("{} with {}", program.profile, program.rustc);
        notes.push(format!("they were built differently: {} and {}", built(&one.program), built(&other.program)));
    }
    notes
}
