//! What a job is going to do: its subjects, and the rounds that fit its budget.

use std::sync::Arc;
use std::time::Instant;

use report::wrapped;
use results::Rounds;
use scenario::{HttpClient, Job, Plan};

use super::attached_server::AttachedServer;
use super::external_server;
use super::live_subject::RoundSubject;
use super::server_process::ServerCommand;
use super::server_source::ServerSource;
use super::timetable::Timetable;
use crate::print;

/// Refuses a budget that is over before a round under load has a block that counts.
pub(super) fn check_budget(job: &Job, attached: Option<&AttachedServer>) -> anyhow::Result<()> {
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
pub(super) fn planned(
    job: &Job,
    attached: Option<&AttachedServer>,
) -> anyhow::Result<(Vec<RoundSubject>, Vec<usize>, Timetable)> {
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
            (other.payload_bytes, other.encoding_asked, &other.tuning, other.nodes, other.log)
                == (plan.payload_bytes, plan.encoding_asked, &plan.tuning, plan.nodes, plan.log)
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

pub(super) fn rounds(job: &Job, timetable: &Timetable, subjects: &[RoundSubject]) -> Rounds {
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
pub(super) fn describe(job: &Job, attached: Option<&AttachedServer>) -> anyhow::Result<String> {
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
        job.sockets_per_generator_max(),
        job.seed
    );
    Ok(wrapped(&(out + &total), 2))
}
