//! Runs a job: rounds under load and in lock-step until the budget is used, every run saved at once.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use results::{Folder, Manifest, Mode, ResultsFolder, Run, RunEnd, RunRecord, State};
use scenario::{Job, Log};
use tokio_util::sync::CancellationToken;

use super::args::{JobArgs, LoadArgs, OutputArgs, RunArgs};
use super::attached_server::{AttachedServer, random_room_prefix};
use super::listening;
use super::live_subject::RoundSubject;
use super::manifest::manifest;
use super::outcome::outcome;
use super::planned_job::{check_budget, describe, planned, rounds};
use super::preflight::{self, Finding, Level};
use super::process_usage::ProcessUsageReader;
use super::progress::ProgressLine;
use super::round::{RoundPlan, RunEnvironment, round_of_slices, run_of_one_slice};
use super::round_progress::RoundProgress;
use super::timetable::Timetable;
use super::trial::try_targets;
use crate::agents::crew::Crew;
use crate::exit::{INTERRUPTED, PREFLIGHT, USAGE};
use crate::signals::{runtime, stoppable};
use crate::values::Agents;
use crate::watch::Watch;
use crate::{core_locks, machine, print};

/// CPU probes at the start of a job; the best one is the reference for the first run.
const CPU_PROBES: usize = 5;

pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    if matches!(args.job.agents, Agents::Remote(_)) {
        print::warn("--agents N are on other machines: start the servers and use load, or give --agents local:N");
        return Ok(USAGE.into());
    }
    command(&args.job, None, None)
}

pub(crate) fn load(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let target = match args.target() {
        Ok(target) => target,
        Err(error) => {
            print::error(&error);
            return Ok(USAGE.into());
        }
    };
    let http = target.first().http;
    let attach =
        |pid| ProcessUsageReader::attach(pid).and_then(|process| listening::check(pid, http).map(|()| process));
    match args.pid.map(attach).transpose() {
        Ok(process) => command(&args.job, Some(AttachedServer { target, process }), args.redis.as_deref()),
        Err(error) => {
            print::error(&error.context("--pid"));
            Ok(PREFLIGHT.into())
        }
    }
}

/// `attached` is the running server of `load`, and `redis` where its agents are found.
fn command(args: &JobArgs, attached: Option<AttachedServer>, redis: Option<&str>) -> anyhow::Result<ExitCode> {
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
    let fits = attached.as_ref().map_or(Ok(()), |_| check_running_servers(&job));
    if let Err(error) = fits.and_then(|()| check_budget(&job, attached.as_ref())) {
        print::error(&error);
        return Ok(USAGE.into());
    }
    if args.dry_run {
        print::out(&describe(&job, attached.as_ref())?)?;
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
    findings.extend(preflight::findings(Some(&job), attached.is_some()));
    print::findings(findings.iter().filter(|finding| finding.level != Level::Good));
    if findings.iter().any(|finding| finding.level == Level::Fatal) {
        return Ok(PREFLIGHT.into());
    }
    if let Err(error) = runtime()?.block_on(try_targets(&job)) {
        print::error(&error);
        return Ok(PREFLIGHT.into());
    }
    stoppable(async |stop| {
        let Some(url) = redis else { return JobRunner::start(args, job, &findings, attached, stop)?.run().await };
        let crew = match stop.run_until_cancelled(Crew::gather(url, args.agents.count())).await {
            Some(Ok(crew)) => crew,
            Some(Err(error)) => {
                print::error(&error);
                return Ok(PREFLIGHT.into());
            }
            None => return Ok(INTERRUPTED.into()),
        };
        let ended = with_agents(&crew, JobRunner::start(args, job, &findings, attached, stop)).await;
        crew.free().await;
        ended
    })
}

async fn with_agents(crew: &Arc<Crew>, started: anyhow::Result<JobRunner>) -> anyhow::Result<ExitCode> {
    let mut runner = started?;
    runner.environment.crew = Some(Arc::clone(crew));
    runner.run().await
}

/// This program neither started the running servers nor may stop them.
fn check_running_servers(job: &Job) -> anyhow::Result<()> {
    for plan in &job.plans {
        ensure!(
            plan.nodes == 1,
            "nodes is {}, but load starts no servers: use --set nodes=1 and a --target for each, or run",
            plan.nodes
        );
        ensure!(plan.log == Log::Memory, "log is redis, but load starts no log: use --set log=memory, or run");
        ensure!(
            plan.outages.is_empty(),
            "[[outage]] is there, but load does not stop a running server: leave it out, or use run"
        );
    }
    Ok(())
}

struct JobRunner {
    job: Job,
    subjects: Vec<RoundSubject>,
    /// Indices of the subjects of lock-step rounds.
    in_lock_step: Vec<usize>,
    attached: Option<AttachedServer>,
    folder: Folder,
    manifest: Manifest,
    environment: RunEnvironment,
    timetable: Timetable,
    progress: ProgressLine,
    output: OutputArgs,
    until: Option<f64>,
    watch: Option<Watch>,
    records: Vec<RunRecord>,
}

impl JobRunner {
    fn start(
        args: &JobArgs,
        job: Job,
        findings: &[Finding],
        attached: Option<AttachedServer>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let (subjects, in_lock_step, timetable) = planned(&job, attached.as_ref())?;
        let all_cores = machine::cores();
        let first = job.plans.first().context("the scenario has no plan")?;
        let (server_cores, generator_cores) = machine::share_cores(first.cores.as_ref(), &all_cores);
        let cpu_probe_best = (0..CPU_PROBES).map(|_| machine::cpu_probe(&all_cores)).fold(0.0, f64::max);
        let manifest =
            manifest(&job, rounds(&job, &timetable, &subjects), findings, &all_cores, &server_cores, &generator_cores);
        // Before anything is written: its port may be taken.
        let watch = args.watch.map(|port| Watch::start(port, &job.name, &job.question, &subjects)).transpose()?;
        let folder = Folder::create(&args.out, &manifest.started, &job.name)?;
        folder.save_manifest(&manifest)?;
        // This process runs on the generator's cores, never on the server's.
        machine::pin(&generator_cores).ok();
        if let Some(watch) = &watch {
            print::warn(&format!("this job is shown at {}", watch.url()));
        }
        Ok(Self {
            watch,
            progress: ProgressLine::new(job.duration_estimate()),
            environment: RunEnvironment::new(server_cores, generator_cores, all_cores, stop, cpu_probe_best),
            job,
            subjects,
            in_lock_step,
            attached,
            folder,
            manifest,
            timetable,
            output: args.output,
            until: args.until,
            records: Vec::new(),
        })
    }

    async fn run(mut self) -> anyhow::Result<ExitCode> {
        let made = if self.job.has_one_slice() { self.rounds_of_one_slice().await } else { self.rounds().await };
        self.manifest.state = *made.as_ref().unwrap_or(&State::Failed);
        let kept = self.folder.save_manifest(&self.manifest);
        // A job that failed prints what it measured before.
        let reported = if self.records.is_empty() && made.is_err() {
            Ok(())
        } else {
            crate::report::of_job(self.folder.path(), self.output)
        };
        if let Some(watch) = self.watch.take() {
            watch.end(crate::report::html(self.folder.path()));
        }
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

    /// Rounds of short slices until the budget is used; returns how far the job came.
    async fn rounds(&mut self) -> anyhow::Result<State> {
        let (load, lock_step) = self.timetable.planned();
        while let Some((mode, round, deadline)) = self.timetable.next() {
            let of = if mode == Mode::Load { load } else { lock_step };
            let kind = if mode == Mode::Load { "under load" } else { "in lock-step" };
            self.progress.begin(&format!("round {round} of {of} {kind}"));
            let chosen: Vec<_> = match mode {
                Mode::Load => self.subjects.clone(),
                Mode::LockStep => self.in_lock_step.iter().map(|at| self.subjects[*at].clone()).collect(),
            };
            let groups = [(0..chosen.len()).collect()];
            let first_run = self.records.len() as u32 + 1;
            let plan =
                RoundPlan { job: &self.job, subjects: &chosen, mode, round, first_run, deadline, groups: &groups };
            let mut observer = RoundProgress::new(&self.folder, &mut self.progress, self.watch.as_mut());
            let records = round_of_slices(&mut self.environment, &plan, &mut observer).await?;
            let done = observer.summary();
            self.save(records)?;
            let widest = self.widest_ratio();
            let width = widest.as_ref().map(|(half, name)| format!("; widest interval ±{:.1} %, {name}", half * 100.0));
            let done = done + &width.unwrap_or_default();
            self.progress.end(&done);
            if let Some(watch) = &mut self.watch {
                watch.show(&format!("{}: {done}", self.progress.title()), self.progress.left());
            }
            if self.environment.stop.is_cancelled() {
                return Ok(State::Interrupted);
            }
            if self.server_is_gone().await {
                return Ok(State::Failed);
            }
            if let (Some(wanted), Some((half, _))) = (self.until, widest)
                && half <= wanted
            {
                break;
            }
        }
        Ok(State::Complete)
    }

    /// Rounds with one long window a subject, one subject after the other.
    async fn rounds_of_one_slice(&mut self) -> anyhow::Result<State> {
        let rounds = self.job.rounds_of_one_slice();
        let runs = rounds as usize * self.subjects.len();
        for round in 1..=rounds {
            for at in self.job.order(round, 0, self.subjects.len()) {
                let run = self.records.len() as u32 + 1;
                self.progress.begin(&format!("[{run}/{runs}] {}", self.subjects[at].name));
                let plan = RoundPlan {
                    job: &self.job,
                    subjects: &self.subjects,
                    mode: Mode::Load,
                    round,
                    first_run: run,
                    deadline: Instant::now(),
                    groups: &[],
                };
                let mut observer = RoundProgress::new(&self.folder, &mut self.progress, self.watch.as_mut());
                let record = run_of_one_slice(&mut self.environment, &plan, at, run, &mut observer).await?;
                let done = observer.summary();
                self.progress.end(&done);
                if let Some(watch) = &mut self.watch {
                    watch.one_slice(&record, &format!("{}: {done}", self.progress.title()), self.progress.left());
                }
                self.save(vec![record])?;
                if self.environment.stop.is_cancelled() {
                    return Ok(State::Interrupted);
                }
                if self.server_is_gone().await {
                    return Ok(State::Failed);
                }
            }
        }
        Ok(State::Complete)
    }

    fn save(&mut self, records: Vec<RunRecord>) -> anyhow::Result<()> {
        records.iter().try_for_each(|record| self.folder.save_run(record))?;
        self.records.extend(records);
        Ok(self.folder.save_tables(&self.records)?)
    }

    /// Whether the attached server crashed in the last run and was not restarted.
    async fn server_is_gone(&self) -> bool {
        let crashed = self.records.last().filter(|record| matches!(record.ended, RunEnd::Crashed(_)));
        match (&self.attached, crashed) {
            (Some(attached), Some(record)) => !attached.accepts_again(record.transport).await,
            _ => false,
        }
    }

    /// The widest interval so far, once every ratio has one.
    fn widest_ratio(&self) -> Option<(f64, String)> {
        let run = |record: &RunRecord| Run { record: record.clone(), intervals: BTreeMap::new() };
        let runs = self.records.iter().map(run).collect();
        report::widest_ratio(&ResultsFolder { name: String::new(), manifest: self.manifest.clone(), runs })
    }
}
