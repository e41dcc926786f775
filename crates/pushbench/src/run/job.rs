//! A job from its scenario to its table: rounds in random order, invalid runs repeated within their budget, every run saved at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use loadgen::Target;
use results::{Folder, RunRecord, VerdictKind};
use scenario::{Job, Plan};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use wire::Transport;

use super::args::{JobArgs, LoadArgs, RunArgs};
use super::meter::Meter;
use super::one::{Bench, Foreign, Patient, Place, measure};
use super::preflight::{Level, findings};
use super::progress::Shown;
use super::server_process::ServerProcess;
use crate::exit::{ALL_INVALID, INTERRUPTED, PREFLIGHT, USAGE};
use crate::{machine, print};

/// Probes at the start of a job, so that the first run knows what the machine can do.
const SPIN_ROUNDS: usize = 5;

pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    command(&args.job, None)
}

pub(crate) fn load(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let target = Target { http: args.target, tcp: args.target_tcp, token: args.token };
    match args.pid.map(Meter::attach).transpose() {
        Ok(meter) => command(&args.job, Some(Foreign { target, meter })),
        Err(error) => {
            print::error(&error.context("--pid"));
            Ok(PREFLIGHT.into())
        }
    }
}

/// `foreign` is a server that somebody else started.
fn command(args: &JobArgs, foreign: Option<Foreign>) -> anyhow::Result<ExitCode> {
    let job = match scenario::load(&args.scenario, &args.set).and_then(|source| source.decide()) {
        Ok(job) => job,
        Err(error) => {
            print::error(&error.into());
            return Ok(USAGE.into());
        }
    };
    if args.dry_run {
        print::out(&describe(&job));
        return Ok(ExitCode::SUCCESS);
    }
    let findings = findings(Some(&job));
    print::findings(findings.iter().filter(|finding| finding.level != Level::Good));
    if findings.iter().any(|finding| finding.level == Level::Fatal) {
        return Ok(PREFLIGHT.into());
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(Running::start(args, job, foreign)?.all())
}

struct Running {
    job: Job,
    foreign: Option<Foreign>,
    folder: Folder,
    bench: Bench,
    shown: Shown,
    server_cores: Vec<usize>,
    records: Vec<RunRecord>,
    reruns_left: u32,
}

impl Running {
    fn start(args: &JobArgs, job: Job, foreign: Option<Foreign>) -> anyhow::Result<Self> {
        let all_cores = machine::cores();
        let first = job.plans.first().context("the scenario has no plan")?;
        let (server_cores, generator_cores) = machine::share_cores(&first.cores, &all_cores);
        let spin_best = (0..SPIN_ROUNDS).map(|_| machine::spin(&all_cores)).fold(0.0, f64::max);
        let folder = Folder::create(&args.out, &stamp(SystemTime::now()), &job.name)?;
        folder.save_json("manifest.json", &manifest(&job, &server_cores, &generator_cores))?;
        // What conducts and meters shares the generator's cores, never the server's.
        machine::pin(&generator_cores).ok();
        let stop = CancellationToken::new();
        Ok(Self {
            shown: Shown::new(job.runs(), job.duration_estimate()),
            reruns_left: first.limits.invalid_reruns,
            bench: Bench { generator_cores, all_cores, stop, spin_best },
            job,
            foreign,
            folder,
            server_cores,
            records: Vec::new(),
        })
    }

    async fn all(mut self) -> anyhow::Result<ExitCode> {
        listen_for_ctrl_c(self.bench.stop.clone())?;
        let plans: Vec<_> = self.job.plans.iter().cloned().map(Arc::new).collect();
        let mut run = 0;
        'rounds: for round in 0..self.job.repetitions {
            for (plan, transport) in self.job.order(round) {
                let mut rerun = 0;
                loop {
                    run += 1;
                    let place = Place { run, round: round + 1, rerun };
                    let kind = self.one(&plans[plan], transport, place).await?;
                    if self.bench.stop.is_cancelled() {
                        break 'rounds;
                    }
                    if kind != VerdictKind::Invalid || self.reruns_left == 0 {
                        break;
                    }
                    self.reruns_left -= 1;
                    rerun += 1;
                }
            }
        }
        print::out(&report::summary::render(&self.records));
        print::out(&format!("\nresults: {}\n", self.folder.path().display()));
        if self.bench.stop.is_cancelled() {
            return Ok(INTERRUPTED.into());
        }
        if self.records.iter().any(|record| record.verdict.kind == VerdictKind::Wrong) {
            print::note("a server lost, doubled, reordered or altered messages; see the runs called wrong");
            return Ok(ExitCode::FAILURE);
        }
        let any_valid = self.records.iter().any(|record| record.verdict.kind != VerdictKind::Invalid);
        Ok(if any_valid { ExitCode::SUCCESS } else { ALL_INVALID.into() })
    }

    async fn one(&mut self, plan: &Arc<Plan>, transport: Transport, place: Place) -> anyhow::Result<VerdictKind> {
        let label = if plan.label.is_empty() { String::new() } else { format!(" {}", plan.label) };
        self.shown.begin(place.run, &format!("{transport}{label}"));
        let patient = match &self.foreign {
            None => Patient::Ours(ServerProcess::start(plan, transport, &self.server_cores).await?.into()),
            Some(foreign) => Patient::Theirs(foreign.clone()),
        };
        let mut log = self.folder.begin_log(place.run)?;
        let shown = &mut self.shown;
        let show = |progress| shown.show(progress);
        let record = measure(&mut self.bench, plan, transport, patient, place, &mut log, show).await?;
        self.folder.save_run(&record, log)?;
        let verdict = record.verdict.clone();
        let reasons =
            if verdict.reasons.is_empty() { String::new() } else { format!(": {}", verdict.reasons.join("; ")) };
        self.shown.end(&format!("{}{reasons}", verdict.kind));
        self.records.push(record);
        Ok(verdict.kind)
    }
}

/// The first Ctrl-C ends the run and keeps what was measured; the second ends the program.
fn listen_for_ctrl_c(stop: CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupts = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminations = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            if stop.is_cancelled() {
                print::note("stopped at once; the run in progress is lost");
                crate::exit::now(INTERRUPTED);
            }
            print::note("stopping; what was measured is written (once more to stop at once)");
            stop.cancel();
        }
    });
    Ok(())
}

fn manifest(job: &Job, server_cores: &[usize], generator_cores: &[usize]) -> serde_json::Value {
    json!({
        "schema": results::SCHEMA,
        "scenario": { "name": job.name, "question": job.question, "file": job.file, "text": job.text, "set": job.overrides },
        "seed": job.seed,
        "repetitions": job.repetitions,
        "version": env!("CARGO_PKG_VERSION"),
        "command": std::env::args().collect::<Vec<_>>(),
        "started": stamp(SystemTime::now()),
        "cores": { "server": server_cores, "generator": generator_cores },
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
    })
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

fn describe(job: &Job) -> String {
    let mut out = format!("{}: {}\n", job.name, job.question);
    for plan in &job.plans {
        let transports: Vec<_> = plan.transports.iter().map(|t| t.name()).collect();
        let label = if plan.label.is_empty() { String::new() } else { format!("{}: ", plan.label) };
        out += &format!(
            "  {label}{} seats in {} rooms, {} authors, {:.1} posts/s, {:.0} deliveries/s, {} bytes each, window {} s\n    over {}\n",
            plan.seats,
            plan.rooms,
            plan.authors,
            plan.posts_in_window() as f64 / plan.phases.window.as_secs_f64(),
            plan.deliveries_in_window() as f64 / plan.phases.window.as_secs_f64(),
            plan.payload_bytes,
            plan.phases.window.as_secs_f64(),
            transports.join(", "),
        );
    }
    out + &format!(
        "{} runs, about {} s; at most {} sockets for the generator at once; seed {}\n",
        job.runs(),
        job.duration_estimate().as_secs(),
        job.sockets_max(),
        job.seed
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates() {
        let at = |seconds| stamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101T000000Z");
        assert_eq!(at(951_782_400), "20000229T000000Z");
        assert_eq!(at(1_795_219_199), "20261120T235959Z");
    }
}
