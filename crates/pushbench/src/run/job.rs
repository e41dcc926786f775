//! Runs a job: rounds in random order, invalid runs repeated within `limits.invalid_reruns`, every
//! run saved at once.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use loadgen::Target;
use report::wrapped;
use results::{Crash, Folder, Manifest, RunEnd, RunRecord, State, Subject, VerdictKind};
use scenario::{Job, Plan, Protocol};
use tokio_util::sync::CancellationToken;
use wire::Transport;

use super::args::{JobArgs, LoadArgs, OutputArgs, RunArgs};
use super::attached_server::{AttachedServer, random_room_prefix};
use super::external_server;
use super::listening;
use super::manifest::manifest;
use super::measure::{RunEnvironment, RunId, TargetServer, measure, record_of_failed_start};
use super::outcome::outcome;
use super::preflight::{self, Finding, Level};
use super::process_usage::ProcessUsageReader;
use super::progress::ProgressLine;
use super::server_process::ServerProcess;
use crate::exit::{INTERRUPTED, PREFLIGHT, USAGE};
use crate::signals::{runtime, stoppable};
use crate::{core_locks, machine, print};

/// CPU probes at the start of a job; the best one is the reference for the first run.
const CPU_PROBES: usize = 5;

pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    command(&args.job, None)
}

pub(crate) fn load(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let target = Target { http: args.target, tcp: args.target_tcp, token: args.token, protocol: Protocol::Pushbench };
    let attach =
        |pid| ProcessUsageReader::attach(pid).and_then(|process| listening::check(pid, args.target).map(|()| process));
    match args.pid.map(attach).transpose() {
        Ok(process) => command(&args.job, Some(AttachedServer { target, process })),
        Err(error) => {
            print::error(&error.context("--pid"));
            Ok(PREFLIGHT.into())
        }
    }
}

/// `attached` is the running server of `load`.
fn command(args: &JobArgs, attached: Option<AttachedServer>) -> anyhow::Result<ExitCode> {
    let mut job = match args.job() {
        Ok(job) => job,
        Err(error) => {
            print::error(&error);
            return Ok(USAGE.into());
        }
    };
    if attached.is_some() {
        let prefix = random_room_prefix();
        for plan in &mut job.plans {
            // Only this server is measured, and other clients may use it too.
            plan.external_servers.clear();
            plan.room_prefix = prefix.clone();
        }
    }
    if args.dry_run {
        print::out(&describe(&job))?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before the preflight checks, which take longer.
    if let Some(attached) = &attached
        && let Err(error) = runtime()?.block_on(attached.check_joining(&mut job.plans))
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
    stoppable(async |stop| JobRunner::start(args, job, &findings, attached, stop)?.run().await)
}

struct JobRunner {
    job: Job,
    attached: Option<AttachedServer>,
    folder: Folder,
    manifest: Manifest,
    environment: RunEnvironment,
    progress: ProgressLine,
    output: OutputArgs,
    server_cores: Vec<usize>,
    records: Vec<RunRecord>,
    reruns_left: u32,
}

impl JobRunner {
    fn start(
        args: &JobArgs,
        job: Job,
        findings: &[Finding],
        attached: Option<AttachedServer>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let all_cores = machine::cores();
        let first = job.plans.first().context("the scenario has no plan")?;
        let (server_cores, generator_cores) = machine::share_cores(first.cores.as_ref(), &all_cores);
        let cpu_probe_best = (0..CPU_PROBES).map(|_| machine::cpu_probe(&all_cores)).fold(0.0, f64::max);
        let manifest = manifest(&job, findings, &all_cores, &server_cores, &generator_cores);
        let folder = Folder::create(&args.out, &manifest.started, &job.name)?;
        folder.save_manifest(&manifest)?;
        // This process runs on the generator's cores, never on the server's.
        machine::pin(&generator_cores).ok();
        Ok(Self {
            progress: ProgressLine::new(job.runs(), job.duration_estimate()),
            reruns_left: first.limits.invalid_reruns,
            environment: RunEnvironment { generator_cores, all_cores, stop, cpu_probe_best },
            job,
            attached,
            folder,
            manifest,
            output: args.output,
            server_cores,
            records: Vec::new(),
        })
    }

    async fn run(mut self) -> anyhow::Result<ExitCode> {
        let made = self.run_rounds().await;
        self.manifest.state = *made.as_ref().unwrap_or(&State::Failed);
        let kept = self.folder.save_manifest(&self.manifest);
        // A job that failed prints what it measured before.
        let reported = if self.records.is_empty() && made.is_err() {
            Ok(())
        } else {
            crate::report::of_job(self.folder.path(), self.output)
        };
        made?;
        kept?;
        reported?;
        if self.environment.stop.is_cancelled() {
            return Ok(INTERRUPTED.into());
        }
        let outcome = outcome(&self.manifest, &self.records, self.folder.path());
        outcome.sentences.iter().for_each(|sentence| print::warn(sentence));
        Ok(outcome.code.into())
    }

    /// Runs everything; returns how far it came.
    async fn run_rounds(&mut self) -> anyhow::Result<State> {
        let plans: Vec<_> = self.job.plans.iter().cloned().map(Arc::new).collect();
        let mut run = 0;
        for round in 0..self.job.repetitions {
            for (plan, subject) in self.job.order(round) {
                let mut rerun = 0;
                loop {
                    run += 1;
                    let run_id = RunId { run, round: round + 1, attempt: rerun };
                    let kind = self.run_once(&plans[plan], &subject, run_id).await?;
                    if self.environment.stop.is_cancelled() {
                        return Ok(State::Interrupted);
                    }
                    if self.server_is_gone(subject.transport).await {
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

    /// Whether the attached server crashed in the last run and was not restarted.
    async fn server_is_gone(&self, transport: Transport) -> bool {
        let crashed = self.records.last().is_some_and(|record| matches!(record.ended, RunEnd::Crashed(_)));
        match &self.attached {
            Some(attached) if crashed => !attached.accepts_again(transport).await,
            _ => false,
        }
    }

    async fn run_once(&mut self, plan: &Arc<Plan>, subject: &Subject, run_id: RunId) -> anyhow::Result<VerdictKind> {
        let label = if plan.label.is_empty() { String::new() } else { format!(" {}", plan.label) };
        self.progress.begin(run_id.attempt, &format!("{subject}{label}"));
        let started = match self.target_server(plan, subject).await {
            Ok(server) => Ok(server),
            Err(error) => Err(error.downcast::<Crash>()?),
        };
        let mut log = self.folder.begin_log(run_id.run)?;
        let record = match started {
            Ok(server) => {
                let line = &mut self.progress;
                let show = |progress| line.show(progress);
                measure(&mut self.environment, plan, subject, server, run_id, &mut log, show).await?
            }
            Err(crash) => record_of_failed_start(&self.environment, plan, subject, run_id, crash),
        };
        self.folder.save_run(&record, log)?;
        let verdict = record.verdict.clone();
        let reasons =
            if verdict.reasons.is_empty() { String::new() } else { format!(": {}", verdict.reasons.join("; ")) };
        self.progress.end(&format!("{}{reasons}", verdict.kind));
        self.records.push(record);
        self.folder.save_tables(&self.records)?;
        Ok(verdict.kind)
    }

    async fn target_server(&self, plan: &Plan, subject: &Subject) -> anyhow::Result<TargetServer> {
        let started = match (&self.attached, plan.external_server(subject)) {
            (Some(attached), _) => return Ok(TargetServer::Attached(attached.clone())),
            (None, Some(server)) => external_server::start(server, &self.job.file, &self.server_cores).await,
            (None, None) => ServerProcess::start(plan, subject.transport, &self.server_cores).await,
        };
        Ok(TargetServer::Spawned(started?.into()))
    }
}

/// What `--dry-run` prints.
fn describe(job: &Job) -> String {
    let mut out = format!("{}: {}\n", job.name, job.question);
    for plan in &job.plans {
        let subjects: Vec<_> = plan.subjects().iter().map(ToString::to_string).collect();
        let label = if plan.label.is_empty() { String::new() } else { format!("{}: ", plan.label) };
        let window_s = plan.phases.window().as_secs_f64();
        out += &format!(
            "{label}{} clients in {} rooms, {} of them authors; {:.1} posts/s of {} bytes, {:.0} deliveries/s; window {window_s} s; {}\n",
            plan.clients,
            plan.rooms,
            plan.authors,
            plan.posts_in_window() as f64 / window_s,
            plan.payload_bytes,
            plan.deliveries_in_window() as f64 / window_s,
            subjects.join(", "),
        );
    }
    let total = format!(
        "{} runs, about {}; at most {} sockets of the generator at once; seed {}\n",
        job.runs(),
        print::duration(job.duration_estimate()),
        job.sockets_max(),
        job.seed
    );
    wrapped(&(out + &total), 2)
}
