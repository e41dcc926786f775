//! The scenarios that the program contains: `pushbench scenarios` lists and prints them, and other
//! commands take their names.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;
use report::wrapped;
use scenario::{Job, LoadedScenario, Override};

use crate::exit::USAGE;
use crate::print;

/// Names and texts of the shipped scenarios. Those in `scenarios/peers` need servers from files
/// beside them and are run from a checkout.
macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../scenarios/", $name, ".toml")))),*]
    };
}

const SHIPPED: &[(&str, &str)] = shipped![
    "quick",
    "chat",
    "high-rate",
    "broadcast",
    "clients",
    "payload",
    "poll-interval",
    "idle",
    "scale",
    "socketio",
    "nodes",
    "hundred-thousand",
    "counters",
    "counters-nodes",
    "smoke",
    "described",
    "claims/backplane",
    "claims/connections",
    "claims/half-interval",
    "claims/thundering-herd",
    "claims/message-rate",
    "claims/saturation",
    "claims/short-connections",
    "claims/idle-polling",
    "claims/small-messages",
    "claims/streams",
    "papers/headers-871",
    "papers/tangen",
];
const LIST: &str = "`pushbench scenarios` lists the shipped scenarios";
/// Edits between a mistyped name and the name that was meant, at most.
const TYPOS_MAX: usize = 2;

/// List the shipped scenarios, or print one
#[derive(Parser)]
#[command(after_help = "\
Examples:
  pushbench scenarios
  pushbench scenarios quick > mine.toml
  pushbench run mine.toml")]
pub(crate) struct Args {
    /// Name of the scenario to print
    name: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(name) = &args.name else { return print::out(&list()?).map(|()| ExitCode::SUCCESS) };
    match shipped(name) {
        Some(text) => print::out(text).map(|()| ExitCode::SUCCESS),
        None => {
            print::warn(&unknown(name));
            Ok(USAGE.into())
        }
    }
}

/// Reads and decides a shipped scenario or a file. A file wins over a shipped scenario of the same
/// name.
pub(crate) fn load(scenario: &Path, set: &[Override]) -> anyhow::Result<Job> {
    let name = scenario.to_string_lossy();
    let is_path = scenario.is_file() || name.ends_with(".toml") || name.ends_with(".json");
    let loaded = match shipped(&name) {
        _ if is_path => scenario::load(scenario, set)?,
        Some(text) => LoadedScenario::parse(&name, text, set)?,
        None => bail!(unknown(&name)),
    };
    Ok(loaded.decide()?)
}

fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
}

fn unknown(name: &str) -> String {
    let last = |name: &'static str| name.rsplit('/').next().unwrap_or(name);
    let distance = |shipped| strsim::osa_distance(name, shipped).min(strsim::osa_distance(name, last(shipped)));
    let nearest = SHIPPED.iter().map(|(shipped, _)| (distance(shipped), *shipped)).min();
    let nearest = nearest.filter(|(distance, _)| *distance <= TYPOS_MAX);
    let meant = nearest.map_or_else(String::new, |(_, shipped)| format!("did you mean {shipped}? "));
    format!("there is no scenario and no file {name}; {meant}{LIST}")
}

/// Name, duration and question of each scenario.
fn list() -> anyhow::Result<String> {
    let mut out = String::new();
    let width = SHIPPED.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, text) in SHIPPED {
        let job = scenario::parse(name, text, &[])?;
        let duration = print::duration(job.duration_estimate());
        let line = wrapped(&format!("{name:<width$}  {duration:>10}  {}", job.question), width + 14);
        out += &format!("{line}\n");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn files(below: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(below);
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter_map(|name| Some(format!("{below}{}", name.strip_suffix(".toml")?))).collect()
    }

    #[test]
    fn every_scenario_that_needs_no_other_file_is_shipped() {
        let mut files = [files(""), files("claims/"), files("papers/")].concat();
        let mut names: Vec<_> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
        files.sort();
        names.sort();
        assert_eq!(names, files);
        for (name, text) in SHIPPED {
            let job = scenario::parse(name, text, &[]).unwrap();
            let mut servers = job.plans.iter().flat_map(|plan| &plan.external_servers);
            assert!(servers.all(|server| server.needs.is_none()), "{name} needs other files");
        }
        for path in files_of_external_servers() {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains("needs = "), "{} needs no other files: ship it", path.display());
        }
    }

    fn files_of_external_servers() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/peers");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect()
    }

    #[test]
    fn the_list_fits_a_terminal_and_has_every_question() {
        let list = list().unwrap();
        assert!(list.lines().all(|line| line.chars().count() <= report::COLUMNS), "{list}");
        assert!(list.starts_with("quick ") && list.contains("  How do the transports compare, "), "{list}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = |name: &str| load(Path::new(name), &[]).unwrap_err().to_string();
        assert_eq!(error("quik"), format!("there is no scenario and no file quik; did you mean quick? {LIST}"));
        assert_eq!(
            error("thundering-herd"),
            format!("there is no scenario and no file thundering-herd; did you mean claims/thundering-herd? {LIST}")
        );
        assert_eq!(error("nothing"), format!("there is no scenario and no file nothing; {LIST}"));
        assert!(error("missing.toml").starts_with("cannot read the scenario missing.toml"));
        assert_eq!(load(Path::new("claims/thundering-herd"), &[]).unwrap().file, "claims/thundering-herd");
    }
}
