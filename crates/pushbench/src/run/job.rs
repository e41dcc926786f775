//! A job from its scenario to its table: rounds in random order, invalid runs repeated within their budget, every run saved at once.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use loadgen::Target;
use results::{Crash, Folder, Manifest, RunEnd, RunRecord, State, Subject, VerdictKind};
use scenario::{Job, Plan, Protocol};
use tokio_util::sync::CancellationToken;
use wire::Transport;

use super::args::{JobArgs, LoadArgs, RunArgs};
use super::foreign::{Foreign, room_prefix};
use super::listening;
use super::manifest::manifest;
use super::meter::Meter;
use super::one::{Bench, Patient, Place, measure, not_begun};
use super::outcome::outcome;
use super::peer;
use super::preflight::{self, Finding, Level};
use super::progress::Shown;
use super::server_process::ServerProcess;
use crate::exit::{INTERRUPTED, PREFLIGHT, USAGE};
use crate::signals::{runtime, stoppable};
use crate::{core_locks, machine, print};

/// Probes at the start of a job, so that the first run knows what the machine can do.
const SPIN_ROUNDS: usize = 5;

pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    command(&args.job, None)
}

pub(crate) fn load(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let target = Target { http: args.target, tcp: args.target_tcp, token: args.token, protocol: Protocol::Pushbench };
    let metered = |pid| Meter::attach(pid).and_then(|meter| listening::check(pid, args.target).map(|()| meter));
    match args.pid.map(metered).transpose() {
        Ok(meter) => command(&args.job, Some(Foreign { target, meter })),
        Err(error) => {
            print::error(&error.context("--pid"));
            Ok(PREFLIGHT.into())
        }
    }
}

/// `foreign` is a server that somebody else started.
fn command(args: &JobArgs, foreign: Option<Foreign>) -> anyhow::Result<ExitCode> {
    let mut job = match scenario::load(&args.scenario, &args.set).and_then(|source| source.decide()) {
        Ok(job) => job,
        Err(error) => {
            print::error(&error.into());
            return Ok(USAGE.into());
        }
    };
    if foreign.is_some() {
        let rooms = room_prefix();
        for plan in &mut job.plans {
            // One server is there, which others may use too, and nobody starts others.
            plan.external_servers.clear();
            plan.room_prefix = rooms.clone();
        }
    }
    if args.dry_run {
        print::out(&describe(&job))?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before the machine is looked at, which takes longer.
    if let Some(foreign) = &foreign
        && let Err(error) = runtime()?.block_on(foreign.check_joining(&mut job.plans))
    {
        print::error(&error);
        return Ok(PREFLIGHT.into());
    }
    let cores = &job.plans.first().context("the scenario has no plan")?.cores;
    // Held until the job has ended.
    let (_locks, mut findings) = core_locks::take(cores.as_ref(), args.lock);
    findings.extend(preflight::findings(Some(&job)));
    print::findings(findings.iter().filter(|finding| finding.level != Level::Good));
    if findings.iter().any(|finding| finding.level == Level::Fatal) {
        return Ok(PREFLIGHT.into());
    }
    stoppable(async |stop| Running::start(args, job, &findings, foreign, stop)?.all().await)
}

struct Running {
    job: Job,
    foreign: Option<Foreign>,
    folder: Folder,
    manifest: Manifest,
    bench: Bench,
    shown: Shown,
    server_cores: Vec<usize>,
    records: Vec<RunRecord>,
    reruns_left: u32,
}

impl Running {
    fn start(
        args: &JobArgs,
        job: Job,
        findings: &[Finding],
        foreign: Option<Foreign>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let all_cores = machine::cores();
        let first = job.plans.first().context("the scenario has no plan")?;
        let (server_cores, generator_cores) = machine::share_cores(first.cores.as_ref(), &all_cores);
        let spin_best = (0..SPIN_ROUNDS).map(|_| machine::spin(&all_cores)).fold(0.0, f64::max);
        let manifest = manifest(&job, findings, &all_cores, &server_cores, &generator_cores);
        let folder = Folder::create(&args.out, &manifest.started, &job.name)?;
        folder.save_manifest(&manifest)?;
        // What conducts and meters shares the generator's cores, never the server's.
        machine::pin(&generator_cores).ok();
        Ok(Self {
            shown: Shown::new(job.runs(), job.duration_estimate()),
            reruns_left: first.limits.invalid_reruns,
            bench: Bench { generator_cores, all_cores, stop, spin_best },
            job,
            foreign,
            folder,
            manifest,
            server_cores,
            records: Vec::new(),
        })
    }

    async fn all(mut self) -> anyhow::Result<ExitCode> {
        let made = self.rounds().await;
        self.manifest.state = *made.as_ref().unwrap_or(&State::Failed);
        let kept = self.folder.save_manifest(&self.manifest);
        // What was measured is shown, also by a job that could not go on.
        let reported =
            if self.records.is_empty() && made.is_err() { Ok(()) } else { crate::report::of_job(self.folder.path()) };
        made?;
        kept?;
        reported?;
        if self.bench.stop.is_cancelled() {
            return Ok(INTERRUPTED.into());
        }
        let outcome = outcome(&self.manifest, &self.records, self.folder.path());
        outcome.sentences.iter().for_each(|sentence| print::note(sentence));
        Ok(outcome.code.into())
    }

    /// Makes the runs, and says how far it came.
    async fn rounds(&mut self) -> anyhow::Result<State> {
        let plans: Vec<_> = self.job.plans.iter().cloned().map(Arc::new).collect();
        let mut run = 0;
        for round in 0..self.job.repetitions {
            for (plan, subject) in self.job.order(round) {
                let mut rerun = 0;
                loop {
                    run += 1;
                    let place = Place { run, round: round + 1, rerun };
                    let kind = self.one(&plans[plan], &subject, place).await?;
                    if self.bench.stop.is_cancelled() {
                        return Ok(State::Interrupted);
                    }
                    if self.is_gone(subject.transport).await {
                        return Ok(State::Failed);
                    }
                    if kind != VerdictKind::Invalid || self.reruns_left == 0 {
                        break;
                    }
                    self.reruns_left -= 1;
                    rerun += 1;
                }
            }
        }
        Ok(State::Complete)
    }

    /// Whether the one server there is ended in the last run, and is not started again.
    async fn is_gone(&self, transport: Transport) -> bool {
        let crashed = self.records.last().is_some_and(|record| matches!(record.ended, RunEnd::Crashed(_)));
        match &self.foreign {
            Some(foreign) if crashed => !foreign.is_restarted(transport).await,
            _ => false,
        }
    }

    async fn one(&mut self, plan: &Arc<Plan>, subject: &Subject, place: Place) -> anyhow::Result<VerdictKind> {
        let label = if plan.label.is_empty() { String::new() } else { format!(" {}", plan.label) };
        self.shown.begin(place.run, &format!("{subject}{label}"));
        let started = match self.patient(plan, subject).await {
            Ok(patient) => Ok(patient),
            Err(error) => Err(error.downcast::<Crash>()?),
        };
        let mut log = self.folder.begin_log(place.run)?;
        let record = match started {
            Ok(patient) => {
                let shown = &mut self.shown;
                let show = |progress| shown.show(progress);
                measure(&mut self.bench, plan, subject, patient, place, &mut log, show).await?
            }
            Err(crash) => not_begun(&self.bench, plan, subject, place, crash),
        };
        self.folder.save_run(&record, log)?;
        let verdict = record.verdict.clone();
        let reasons =
            if verdict.reasons.is_empty() { String::new() } else { format!(": {}", verdict.reasons.join("; ")) };
        self.shown.end(&format!("{}{reasons}", verdict.kind));
        self.records.push(record);
        self.folder.save_tables(&self.records)?;
        Ok(verdict.kind)
    }

    async fn patient(&self, plan: &Plan, subject: &Subject) -> anyhow::Result<Patient> {
        let started = match (&self.foreign, plan.external_server(subject)) {
            (Some(foreign), _) => return Ok(Patient::Found(foreign.clone())),
            (None, Some(peer)) => peer::start(peer, &self.job.file, &self.server_cores).await,
            (None, None) => ServerProcess::start(plan, subject.transport, &self.server_cores).await,
        };
        Ok(Patient::Started(started?.into()))
    }
}

fn describe(job: &Job) -> String {
    let mut out = format!("{}: {}\n", job.name, job.question);
    for plan in &job.plans {
        let subjects: Vec<_> = plan.subjects().iter().map(ToString::to_string).collect();
        let label = if plan.label.is_empty() { String::new() } else { format!("{}: ", plan.label) };
        out += &format!(
            "  {label}{} seats in {} rooms, {} authors, {:.1} posts/s, {:.0} deliveries/s, {} bytes each, window {} s\n    over {}\n",
            plan.clients,
            plan.rooms,
            plan.authors,
            plan.posts_in_window() as f64 / plan.phases.window().as_secs_f64(),
            plan.deliveries_in_window() as f64 / plan.phases.window().as_secs_f64(),
            plan.payload_bytes,
            plan.phases.window().as_secs_f64(),
            subjects.join(", "),
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
