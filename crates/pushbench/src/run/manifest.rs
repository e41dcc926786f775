//! The manifest of a job: scenario, program and machine, collected before the first run.

use jiff::Timestamp;
use results::{Host, Manifest, PlannedSubject, Point, Program, Rounds, SCHEMA, ScenarioSource, State};
use scenario::Job;

use super::preflight::{Finding, Level};
use crate::machine;
use crate::precedence::Precedence;

/// UTC date and time as results folders write it.
pub(crate) const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// The manifest of a job that starts now.
pub(crate) fn manifest(
    job: &Job,
    rounds: Rounds,
    findings: &[Finding],
    cores: &[usize],
    server_cores: &[usize],
    generator_cores: &[usize],
) -> Manifest {
    let doubtful = findings.iter().filter(|finding| finding.level == Level::Doubtful);
    Manifest {
        schema: SCHEMA,
        started: Timestamp::now().strftime(STAMP).to_string(),
        state: State::Running,
        scenario: ScenarioSource {
            name: job.name.clone(),
            question: job.question.clone(),
            file: job.file.clone(),
            text: job.text.clone(),
            set: job.overrides.clone(),
        },
        points: points(job),
        rounds,
        generators: job.generators,
        seed: job.seed,
        room_prefix: job.plans.first().map_or_else(String::new, |plan| plan.room_prefix.to_string()),
        subjects: subjects(job),
        command: command_line(),
        program: program(),
        host: Host {
            cpu_model: machine::cpu_model(),
            cores: cores.to_vec(),
            server_cores: server_cores.to_vec(),
            generator_cores: generator_cores.to_vec(),
            awake_cores: awake_cores(job, server_cores, generator_cores),
            precedence: !job.has_one_slice() && Precedence::is_allowed(),
            cpu_quota: machine::quota_cpus(),
            memory_bytes: machine::memory_bytes(),
            kernel: machine::kernel(),
            open_files_max: machine::raise_open_files().unwrap_or(0),
            ports_per_source: machine::ports_per_source(),
        },
        findings: doubtful.map(|finding| format!("{}: {}", finding.what, finding.found)).collect(),
    }
}

/// Several load generators leave the cores to each other.
fn awake_cores(job: &Job, server_cores: &[usize], generator_cores: &[usize]) -> Vec<usize> {
    if job.generators > 1 { Vec::new() } else { machine::awake_cores(server_cores, generator_cores) }
}

fn points(job: &Job) -> Vec<Point> {
    let point = |plan: &scenario::Plan| Point {
        name: plan.label.clone(),
        swept: plan.point.iter().map(|(key, _)| key.clone()).collect(),
        settings: plan.settings.as_ref().clone(),
    };
    job.plans.iter().map(point).collect()
}

fn subjects(job: &Job) -> Vec<PlannedSubject> {
    let planned = |one: scenario::PlannedSubject| PlannedSubject {
        point: job.plans[one.plan].label.clone(),
        transport: one.subject.transport.name().to_owned(),
        target: one.subject.target_name().to_owned(),
    };
    job.subjects().into_iter().map(planned).collect()
}

/// The command line of this process, without the token.
pub(crate) fn command_line() -> Vec<String> {
    command(std::env::args_os().map(|word| word.to_string_lossy().into_owned()))
}

/// A command line with the values of `--token` and `--redis`, which may have a password, replaced.
fn command(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut secret = false;
    let is_secret = |flag: &str| matches!(flag, "--token" | "--redis");
    let hidden = words.map(|word| match (std::mem::replace(&mut secret, is_secret(&word)), word.split_once('=')) {
        (true, _) => "…".to_owned(),
        (false, Some((flag, _))) if is_secret(flag) => format!("{flag}=…"),
        (false, _) => word,
    });
    hidden.collect()
}

/// Version, compiler and dependencies, as `build.rs` found them.
fn program() -> Program {
    let dependencies = env!("PUSHBENCH_DEPENDENCIES").split_whitespace().filter_map(|one| one.split_once('='));
    Program {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("PUSHBENCH_COMMIT").map(str::to_owned),
        profile: env!("PUSHBENCH_PROFILE").to_owned(),
        rustc: env!("PUSHBENCH_RUSTC").to_owned(),
        dependencies: dependencies.map(|(name, version)| (name.to_owned(), version.to_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        let kept = |line: &str| command(line.split(' ').map(str::to_owned)).join(" ");
        assert_eq!(kept("load x --token abc --set a=1"), "load x --token … --set a=1");
        assert_eq!(kept("load x --token=abc y"), "load x --token=… y");
        assert_eq!(kept("load x --redis redis://:secret@h y"), "load x --redis … y");
    }
}
