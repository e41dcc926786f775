//! What a job is known by: the scenario, the program and the machine, gathered before the first run.

use std::time::{SystemTime, UNIX_EPOCH};

use results::{Host, Manifest, PlannedRun, Point, Program, SCHEMA, ScenarioSource, State, Subject};
use scenario::Job;

use super::preflight::{Finding, Level};
use crate::machine;

/// The manifest of a job that begins now.
pub(crate) fn manifest(
    job: &Job,
    findings: &[Finding],
    cores: &[usize],
    server_cores: &[usize],
    generator_cores: &[usize],
) -> Manifest {
    let doubtful = findings.iter().filter(|finding| finding.level == Level::Doubtful);
    Manifest {
        schema: SCHEMA,
        started: stamp(SystemTime::now()),
        state: State::Running,
        scenario: ScenarioSource {
            name: job.name.clone(),
            question: job.question.clone(),
            file: job.file.clone(),
            text: job.text.clone(),
            set: job.overrides.clone(),
        },
        points: points(job),
        repetitions: job.repetitions,
        seed: job.seed,
        room_prefix: job.plans.first().map_or_else(String::new, |plan| plan.room_prefix.to_string()),
        order: order(job),
        command: command_line(),
        program: program(),
        host: Host {
            cpu_model: machine::cpu_model(),
            cores: cores.to_vec(),
            server_cores: server_cores.to_vec(),
            generator_cores: generator_cores.to_vec(),
            cpu_quota: machine::quota_cpus(),
            memory_bytes: machine::memory_bytes(),
            kernel: machine::kernel(),
            open_files_max: machine::raise_open_files().unwrap_or(0),
            ports_per_source: machine::ports_per_source(),
        },
        findings: doubtful.map(|finding| format!("{}: {}", finding.what, finding.found)).collect(),
    }
}

fn points(job: &Job) -> Vec<Point> {
    let point = |plan: &scenario::Plan| Point {
        name: plan.label.clone(),
        swept: plan.point.iter().map(|(key, _)| key.clone()).collect(),
        settings: plan.settings.as_ref().clone(),
    };
    job.plans.iter().map(point).collect()
}

fn order(job: &Job) -> Vec<PlannedRun> {
    let runs = (0..job.repetitions).flat_map(|round| job.order(round).into_iter().map(move |run| (round, run)));
    let place = |(round, (plan, subject)): (u32, (usize, Subject))| PlannedRun {
        round: round + 1,
        point: job.plans[plan].label.clone(),
        transport: subject.transport.name().to_owned(),
        target: subject.target_name().to_owned(),
    };
    runs.map(place).collect()
}

/// The words of this program's command line, without secrets.
pub(crate) fn command_line() -> Vec<String> {
    command(std::env::args_os().map(|word| word.to_string_lossy().into_owned()))
}

/// The words of a command line without the secret that `--token` gives away.
fn command(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut secret = false;
    let hidden = words.map(|word| match (std::mem::replace(&mut secret, word == "--token"), word.split_once('=')) {
        (true, _) => "…".to_owned(),
        (false, Some(("--token", _))) => "--token=…".to_owned(),
        (false, _) => word,
    });
    hidden.collect()
}

/// What `build.rs` found.
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

/// UTC date and time as it stands in folder names.
fn stamp(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The calendar date of a day since 1970, by counting years from March (so that a leap day is a year's last).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn secrets_are_not_kept() {
        let kept = |line: &str| command(line.split(' ').map(str::to_owned)).join(" ");
        assert_eq!(kept("load x --token abc --set a=1"), "load x --token … --set a=1");
        assert_eq!(kept("load x --token=abc y"), "load x --token=… y");
    }

    #[test]
    fn dates() {
        let at = |seconds| stamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101T000000Z");
        assert_eq!(at(951_782_400), "20000229T000000Z");
        assert_eq!(at(1_795_219_199), "20261120T235959Z");
    }
}
