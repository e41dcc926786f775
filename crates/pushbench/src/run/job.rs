//! Runs a job: rounds under load and in lock-step until the budget is used, every run saved at once.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use loadgen::Target;
use report::wrapped;
use results::{Folder, Manifest, Mode, ResultsFolder, Rounds, Run, RunEnd, RunRecord, State};
use scenario::{HttpClient, Job, Plan};
use tokio_util::sync::CancellationToken;

use super::args::{JobArgs, LoadArgs, OutputArgs, RunArgs};
use super::attached_server::{AttachedServer, random_room_prefix};
use super::external_server;
use super::listening;
use super::live_subject::RoundSubject;
use super::manifest::manifest;
use super::outcome::outcome;
use super::preflight::{self, Finding, Level};
use super::process_usage::ProcessUsageReader;
use super::progress::ProgressLine;
use super::round::{RoundPlan, RunEnvironment, round_of_slices, run_of_one_slice};
use super::round_progress::RoundProgress;
use super::server_process::ServerCommand;
use super::server_source::ServerSource;
use super::timetable::Timetable;
use super::trial::try_targets;
use crate::exit::{INTERRUPTED, PREFLIGHT, USAGE};
use crate::signals::{runtime, stoppable};
use crate::{core_locks, machine, print};

/// CPU probes at the start of a job; the best one is the reference for the first run.
const CPU_PROBES: usize = 5;

pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    command(&args.job, None)
}

pub(crate) fn load(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let target = Target { http: args.target, tcp: args.target_tcp, token: args.token, protocol: None };
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
    if let Err(error) = check_budget(&job, attached.as_ref()) {
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
    findings.extend(preflight::findings(Some(&job)));
    print::findings(findings.iter().filter(|finding| finding.level != Level::Good));
    if findings.iter().any(|finding| finding.level == Level::Fatal) {
        return Ok(PREFLIGHT.into());
    }
    if let Err(error) = runtime()?.block_on(try_targets(&job)) {
        print::error(&error);
        return Ok(PREFLIGHT.into());
    }
    stoppable(async |stop| JobRunner::start(args, job, &findings, attached, stop)?.run().await)
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
        let folder = Folder::create(&args.out, &manifest.started, &job.name)?;
        folder.save_manifest(&manifest)?;
        // This process runs on the generator's cores, never on the server's.
        machine::pin(&generator_cores).ok();
        Ok(Self {
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
            let mut observer = RoundProgress::new(&self.folder, &mut self.progress);
            let records = round_of_slices(&mut self.environment, &plan, &mut observer).await?;
            let done = observer.summary();
            self.save(records)?;
            let widest = self.widest_ratio();
            let width = widest.as_ref().map(|(half, name)| format!("; widest interval ±{:.1} %, {name}", half * 100.0));
            self.progress.end(&(done + &width.unwrap_or_default()));
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
                let mut observer = RoundProgress::new(&self.folder, &mut self.progress);
                let record = run_of_one_slice(&mut self.environment, &plan, at, run, &mut observer).await?;
                let done = observer.summary();
                self.progress.end(&done);
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

/// Refuses a budget that is over before a round under load has a block that counts.
fn check_budget(job: &Job, attached: Option<&AttachedServer>) -> anyhow::Result<()> {
    if job.has_one_slice() {
        return Ok(());
    }
    let subjects = subjects(job, attached)?;
    let connect = subjects.iter().map(RoundSubject::connect_estimate).sum();
    let block = subjects.iter().map(|subject| subject.plan.short_slice(subject.transport).slice()).sum();
    let lock_step = subjects.iter().map(RoundSubject::start_in_lock_step).sum();
    let needed = Timetable::least_budget(subjects.len(), connect, block, lock_step);
    anyhow::ensure!(
        job.budget >= needed,
        "the budget of {} is too short for {} subjects: give --budget {}s, or fewer transports with --set transports=…",
        print::duration(job.budget),
        subjects.len(),
        needed.as_secs() + 1
    );
    Ok(())
}

/// All subjects, the indices of those of lock-step rounds, and the rounds that fit the budget from
/// now on.
fn planned(job: &Job, attached: Option<&AttachedServer>) -> anyhow::Result<(Vec<RoundSubject>, Vec<usize>, Timetable)> {
    let subjects = subjects(job, attached)?;
    let in_lock_step = if job.has_one_slice() { Vec::new() } else { in_lock_step(&subjects) };
    let connect = subjects.iter().map(RoundSubject::connect_estimate).sum();
    let load = (subjects.len(), connect);
    let connect_stepped = in_lock_step.iter().map(|at| subjects[*at].start_in_lock_step()).sum();
    let lock_step = (in_lock_step.len(), connect_stepped);
    let timetable = Timetable::fit(Instant::now() + job.budget, load, lock_step, (0, 0));
    Ok((subjects, in_lock_step, timetable))
}

/// All subjects of a job.
fn subjects(job: &Job, attached: Option<&AttachedServer>) -> anyhow::Result<Vec<RoundSubject>> {
    let plans: Vec<_> = job.plans.iter().cloned().map(Arc::new).collect();
    let own = ServerCommand::own()?;
    let subject = |one: scenario::PlannedSubject| {
        let plan = Arc::clone(&plans[one.plan]);
        let server = match (attached, plan.external_server(&one.subject)) {
            (Some(attached), _) => ServerSource::Attached(attached.clone()),
            (None, Some(server)) => ServerSource::External {
                server: Arc::clone(server),
                folder: external_server::folder(server, &job.file),
            },
            (None, None) => ServerSource::BuiltIn(own.clone()),
        };
        let label = if plan.label.is_empty() { String::new() } else { format!(" {}", plan.label) };
        RoundSubject {
            name: format!("{}{label}", one.subject),
            transport: one.subject.transport,
            target: one.subject.target_name().to_owned(),
            plan,
            server,
        }
    };
    Ok(job.subjects().into_iter().map(subject).collect())
}

/// The subjects that lock-step rounds measure. Points of a sweep that do not differ there are
/// measured once; the HTTP client `reqwest` cannot be stepped, nor can a server that answers the
/// sender only.
fn in_lock_step(subjects: &[RoundSubject]) -> Vec<usize> {
    let mut seen: Vec<(Plan, &RoundSubject)> = Vec::new();
    let mut chosen = Vec::new();
    for (at, subject) in subjects.iter().enumerate() {
        let answers_all = subject.plan.rooms < subject.plan.clients || subject.plan.clients == 1;
        if subject.plan.http_client != HttpClient::BuiltIn || !answers_all {
            continue;
        }
        let plan = subject.plan.lock_step(1, 1);
        let is_alike = |other: &Plan| {
            (other.payload_bytes, other.encoding_asked, &other.tuning)
                == (plan.payload_bytes, plan.encoding_asked, &plan.tuning)
        };
        let known = seen
            .iter()
            .any(|(other, of)| (of.transport, &of.target) == (subject.transport, &subject.target) && is_alike(other));
        if !known {
            seen.push((plan, subject));
            chosen.push(at);
        }
    }
    chosen
}

fn rounds(job: &Job, timetable: &Timetable, subjects: &[RoundSubject]) -> Rounds {
    let (load, lock_step) = timetable.planned();
    let window = match subjects.iter().find(|subject| !subject.is_slow()) {
        Some(subject) if !job.has_one_slice() => subject.plan.short_slice(subject.transport).window,
        _ => job.plans[0].phases.window(),
    };
    Rounds {
        budget_s: job.budget.as_secs_f64(),
        load: if job.has_one_slice() { job.rounds_of_one_slice() } else { load },
        lock_step,
        window_us: window.as_micros() as u64,
    }
}

/// What `--dry-run` prints.
fn describe(job: &Job, attached: Option<&AttachedServer>) -> anyhow::Result<String> {
    let (subjects, _, timetable) = planned(job, attached)?;
    let Rounds { load, lock_step, .. } = rounds(job, &timetable, &subjects);
    let mut out = format!("{}: {}\n", job.name, job.question);
    for plan in &job.plans {
        let subjects: Vec<_> = plan.subjects().iter().map(ToString::to_string).collect();
        let label = if plan.label.is_empty() { String::new() } else { format!("{}: ", plan.label) };
        let window_s = plan.phases.window().as_secs_f64();
        let window = if job.has_one_slice() { format!("window {window_s} s; ") } else { String::new() };
        out += &format!(
            "{label}{} clients in {} rooms, {} of them authors; {:.1} posts/s of {} bytes, {:.0} deliveries/s; {window}{}\n",
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
        "{} subjects; rounds: {load} under load, {lock_step} in lock-step; about {}; at most {} sockets of one load generator; seed {}\n",
        subjects.len(),
        print::duration(job.duration_estimate()),
        job.sockets_max(),
        job.seed
    );
    Ok(wrapped(&(out + &total), 2))
}
