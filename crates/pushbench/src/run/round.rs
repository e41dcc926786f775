//! A round: fresh processes for every subject, and slices that take turns.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use loadgen::Progress;
use results::{Crash, MachineState, Mode, RunRecord, Slice};
use scenario::{Job, Slicing};
use tokio_util::sync::CancellationToken;

use super::conversation::Schedule;
use super::live_subject::{
    EndedSubject, LiveSubject, RoundSubject, SubjectStart, WARM_UP_FOREIGN, WARM_UP_FOREIGN_LOCK_STEP,
};
use super::record::record;
use crate::agents::crew::Crew;
use crate::generate::{LOCK_STEP_LEAD_IN, LOCK_STEP_POSTS};
use crate::machine::{self, CpuSteal};

/// Warm-up slices of the built-in server: the same number for every subject, so that all send the
/// same segments of the schedule in a block.
const WARM_UP: u32 = 2;
/// Time of a short slice besides its lead-in and window: drain, and words between the processes.
const SLICE_EXTRA: Duration = Duration::from_millis(10);
/// The slow subjects may take this share of the others' time, unless a claim is about them.
const SLOW_SHARE_MAX: f64 = 0.15;
/// Share of a core that the resting servers may use in somebody's window …
const RESTING_SHARE_MAX: f64 = 0.01;
/// … or, in short windows, this much.
const RESTING_MAX: Duration = Duration::from_micros(150);
/// Share of the CPU time that the host may take in a block.
const STOLEN_SHARE_MAX: f64 = 0.02;
/// In lock-step polling, whose clients are asked one after the other, takes part in one of so many
/// blocks.
const LOCK_STEP_SLOW_TURNS: u32 = 16;
/// Shortest estimate of a lock-step slice, for the number of posts that are planned.
const LOCK_STEP_SLICE_MIN: Duration = Duration::from_millis(3);

/// What all rounds of a job share.
pub(crate) struct RunEnvironment {
    pub(crate) server_cores: Vec<usize>,
    pub(crate) generator_cores: Vec<usize>,
    pub(crate) all_cores: Vec<usize>,
    /// The agents that make the load, if they are on other machines.
    pub(crate) crew: Option<Arc<Crew>>,
    pub(crate) stop: CancellationToken,
    /// Best CPU probe so far.
    pub(crate) cpu_probe_best: f64,
}

/// One round to make.
pub(crate) struct RoundPlan<'a> {
    pub(crate) job: &'a Job,
    pub(crate) subjects: &'a [RoundSubject],
    pub(crate) mode: Mode,
    /// Number among the rounds of its mode, from 1.
    pub(crate) round: u32,
    /// Number of its first run.
    pub(crate) first_run: u32,
    /// When the last block ends.
    pub(crate) deadline: Instant,
    /// Subjects of a group take turns in blocks of their own.
    pub(crate) groups: &'a [Vec<usize>],
}

/// What a job sees of a round.
pub(crate) trait RoundObserver {
    /// Where the interval log of a run is written.
    fn log_path(&mut self, run: u32) -> anyhow::Result<Option<PathBuf>>;
    /// A subject does something: a word for it, and its progress.
    fn subject(&mut self, name: &str, doing: &str, progress: Option<Progress>);
    /// Nothing is measured: a subject has started or connected.
    fn idle(&mut self) {}
    /// A block is over.
    fn block(&mut self, block: u32, slices: &[BlockSlice<'_>]);
    /// A run is over.
    fn run(&mut self, record: &RunRecord);
}

/// A slice of a block that is over.
pub(crate) struct BlockSlice<'a> {
    pub(crate) subject: &'a str,
    pub(crate) mode: Mode,
    pub(crate) round: u32,
    pub(crate) slice: &'a Slice,
    /// Deliveries that were scheduled in its window.
    pub(crate) scheduled: u64,
}

/// Makes a round with short slices; returns a record of every subject.
pub(crate) async fn round_of_slices(
    environment: &mut RunEnvironment,
    plan: &RoundPlan<'_>,
    observer: &mut impl RoundObserver,
) -> anyhow::Result<Vec<RunRecord>> {
    let probe = machine::cpu_probe_of_round(&environment.all_cores);
    let mut order = plan.job.order(round_seed(plan), 0, plan.subjects.len());
    let mut round = Round { live: Vec::new(), failed: Vec::new() };
    let slot = plan.deadline.saturating_duration_since(Instant::now());
    let schedules = schedules(plan, slot);
    for at in order.drain(..) {
        let run = plan.first_run + at as u32;
        round.start(environment, plan, (at, run), schedules[at].0, observer).await?;
    }
    round.live.sort_by_key(|(at, _)| *at);
    for (_, live) in &mut round.live {
        live.readings.sample(super::readings::Checkpoint::Start).await;
    }
    round.blocks(environment, plan, &schedules, observer).await;
    for (_, live) in &mut round.live {
        live.readings.sample(super::readings::Checkpoint::End).await;
    }
    let probe_after = machine::cpu_probe_of_round(&environment.all_cores);
    let machine = machine_state(environment, probe, probe_after, &CpuSteal::default());
    let finishing = round.live.into_iter().map(async |(at, live)| anyhow::Ok((at, live.finish().await?)));
    let mut ended = round.failed;
    ended.extend(try_join_all(finishing).await?);
    ended.sort_by_key(|(at, _)| *at);
    let records: Vec<_> =
        ended.into_iter().map(|(at, ended)| record(plan.first_run + at as u32, plan.round, ended, machine)).collect();
    records.iter().for_each(|record| observer.run(record));
    Ok(records)
}

/// Makes the run of one subject with one long window.
pub(crate) async fn run_of_one_slice(
    environment: &mut RunEnvironment,
    plan: &RoundPlan<'_>,
    at: usize,
    run: u32,
    observer: &mut impl RoundObserver,
) -> anyhow::Result<RunRecord> {
    let probe = environment.wait_until_cpu_available().await;
    let steal = CpuSteal::now();
    let mut round = Round { live: Vec::new(), failed: Vec::new() };
    round.start(environment, plan, (at, run), Schedule::OneSlice, observer).await?;
    let ended = match round.live.pop() {
        Some((_, mut live)) => {
            let name = live.subject.name.clone();
            live.readings.sample(super::readings::Checkpoint::Start).await;
            live.slice(1, 1, |progress| observer.subject(&name, "window", Some(progress))).await;
            live.readings.sample(super::readings::Checkpoint::End).await;
            live.finish().await?
        }
        None => round.failed.remove(0).1,
    };
    let steal = CpuSteal::now().since(&steal);
    let machine = machine_state(environment, probe, machine::cpu_probe(&environment.all_cores), &steal);
    let record = record(run, plan.round, ended, machine);
    observer.run(&record);
    Ok(record)
}

/// The subjects of a round that are alive, and those whose server could not be started.
struct Round {
    live: Vec<(usize, LiveSubject)>,
    failed: Vec<(usize, EndedSubject)>,
}

impl Round {
    async fn start(
        &mut self,
        environment: &RunEnvironment,
        plan: &RoundPlan<'_>,
        (at, run): (usize, u32),
        schedule: Schedule,
        observer: &mut impl RoundObserver,
    ) -> anyhow::Result<()> {
        let subject = &plan.subjects[at];
        observer.subject(&subject.name, "starts", None);
        let start = SubjectStart {
            job: plan.job,
            round: plan.round,
            schedule,
            server_cores: &environment.server_cores,
            generator_cores: &environment.generator_cores,
            crew: environment.crew.as_ref(),
            log: observer.log_path(run)?,
            stop: &environment.stop,
        };
        match LiveSubject::start(subject, &start).await {
            Ok(mut live) => {
                observer.idle();
                live.connect(|progress| observer.subject(&subject.name, "connects", Some(progress))).await;
                observer.idle();
                self.live.push((at, live));
            }
            Err(error) => {
                let crash = error.downcast::<Crash>()?;
                self.failed.push((at, EndedSubject::not_started(subject, plan.mode, crash)));
            }
        }
        Ok(())
    }

    /// Warms every subject up, and then runs blocks until the time is up.
    async fn blocks(
        &mut self,
        environment: &RunEnvironment,
        plan: &RoundPlan<'_>,
        schedules: &[(Schedule, u32)],
        observer: &mut impl RoundObserver,
    ) {
        for (_, live) in &mut self.live {
            warm_up(live).await;
        }
        // A block with the slow subjects takes longer than the others.
        let (mut block, mut took) = (0_u32, [Duration::ZERO; 2]);
        while !environment.stop.is_cancelled() && self.live.iter().any(|(_, live)| live.is_alive()) {
            let is_long = schedules.iter().any(|(_, turns)| *turns > 1 && block.is_multiple_of(*turns));
            if Instant::now() + took[usize::from(is_long)] > plan.deadline {
                break;
            }
            block += 1;
            let begun = Instant::now();
            for (number, group) in plan.groups.iter().enumerate() {
                let steal = CpuSteal::now();
                let order = plan.job.order(round_seed(plan), block << 8 | number as u32, group.len());
                let turn: Vec<_> = order.into_iter().map(|at| group[at]).collect();
                let turn = turn.into_iter().filter(|at| (block - 1).is_multiple_of(schedules[*at].1));
                for (position, at) in (1..).zip(turn) {
                    self.slice(at, block, position).await;
                }
                let stolen = CpuSteal::now().since(&steal);
                self.drop_stolen(group, block, &stolen);
            }
            let longest = &mut took[usize::from(is_long)];
            *longest = begun.elapsed().max(*longest);
            observer.block(block, &self.slices_of(block, plan));
        }
    }

    fn slices_of(&self, block: u32, plan: &RoundPlan<'_>) -> Vec<BlockSlice<'_>> {
        let slices = self.live.iter().filter_map(|(_, live)| {
            let slice = live.slices.last().filter(|slice| slice.block == block)?;
            let (subject, scheduled) = (live.subject.name.as_str(), live.scheduled_in_last());
            Some(BlockSlice { subject, mode: plan.mode, round: plan.round, slice, scheduled })
        });
        slices.collect()
    }

    /// Runs one slice, and drops it if the resting servers were not at rest.
    async fn slice(&mut self, at: usize, block: u32, position: u32) {
        let resting = |live: &[(usize, LiveSubject)]| -> Vec<Option<u64>> {
            live.iter().map(|(_, live)| live.server_cpu_ns()).collect()
        };
        let Some(own) = self.live.iter().position(|(one, live)| *one == at && live.is_alive()) else { return };
        let (before, begun) = (resting(&self.live), Instant::now());
        self.live[own].1.slice(block, position, |_| ()).await;
        let (after, elapsed) = (resting(&self.live), begun.elapsed());
        // Subjects of an attached server have the same process, and with it the same clock.
        let of_own = before[own];
        let others = before.iter().zip(&after).enumerate().filter(|(one, (start, _))| *one != own && **start != of_own);
        let used: u64 =
            others.filter_map(|(_, (start, end))| Some(end.as_ref()?.saturating_sub(*start.as_ref()?))).sum();
        let allowed = (RESTING_SHARE_MAX * elapsed.as_nanos() as f64) as u64;
        if used > allowed.max(RESTING_MAX.as_nanos() as u64)
            && let Some(slice) = self.live[own].1.slices.last_mut().filter(|slice| slice.block == block)
        {
            slice.dropped.get_or_insert_with(|| "a resting server was busy".to_owned());
        }
    }

    /// Drops the slices of a block in which the host or a quota took the CPU.
    fn drop_stolen(&mut self, group: &[usize], block: u32, steal: &CpuSteal) {
        let reason = if steal.stolen_share() > STOLEN_SHARE_MAX {
            "the host took CPU time"
        } else if steal.throttled_us > 0 {
            "a CPU quota stopped the processes"
        } else {
            return;
        };
        for (_, live) in self.live.iter_mut().filter(|(at, _)| group.contains(at)) {
            for slice in live.slices.iter_mut().filter(|slice| slice.block == block) {
                slice.dropped.get_or_insert_with(|| reason.to_owned());
            }
        }
    }
}

/// Runs slices that do not count.
async fn warm_up(live: &mut LiveSubject) {
    if live.mode == Mode::Load && live.subject.is_slow() {
        // Its lead-in is an interval.
        return;
    }
    let time = match (live.subject.server.is_foreign(), live.mode) {
        (false, _) => Duration::ZERO,
        (true, Mode::Load) => WARM_UP_FOREIGN,
        (true, Mode::LockStep) => WARM_UP_FOREIGN_LOCK_STEP,
    };
    let (begun, mut made) = (Instant::now(), 0);
    while live.is_alive() && (made < WARM_UP || begun.elapsed() < time) {
        live.slice(0, 0, |_| ()).await;
        if let Some(slice) = live.slices.last_mut() {
            slice.dropped = Some("warm-up".to_owned());
        }
        made += 1;
    }
}

/// The schedule of every subject, and in which blocks it takes part: every, every second and so on.
fn schedules(plan: &RoundPlan<'_>, slot: Duration) -> Vec<(Schedule, u32)> {
    let is_slow = |at: usize| plan.subjects[at].is_slow();
    if plan.mode == Mode::LockStep {
        let slices = slot.as_secs_f64() / (LOCK_STEP_SLICE_MIN.as_secs_f64() * plan.subjects.len() as f64);
        let warm_up = WARM_UP_FOREIGN_LOCK_STEP.div_duration_f64(LOCK_STEP_SLICE_MIN);
        let posts = ((slices + warm_up) as u32 + WARM_UP + 2) * (LOCK_STEP_LEAD_IN + LOCK_STEP_POSTS);
        let turns = |at: usize| if is_slow(at) { LOCK_STEP_SLOW_TURNS } else { 1 };
        return (0..plan.subjects.len()).map(|at| (Schedule::LockStep { posts }, turns(at))).collect();
    }
    let forms: Vec<_> = plan.subjects.iter().map(|subject| subject.plan.short_slice(subject.transport)).collect();
    // A slow subject drains for up to an interval, which is its lead-in.
    let time =
        |at: usize| forms[at].slice() + if is_slow(at) { forms[at].lead_in } else { Duration::ZERO } + SLICE_EXTRA;
    let fast: Duration = (0..forms.len()).filter(|at| !is_slow(*at)).map(time).sum();
    let slow: Duration = (0..forms.len()).filter(|at| is_slow(*at)).map(time).sum();
    let is_claimed = plan.subjects.iter().any(|one| one.is_slow() && plan.job.has_claim_about(one.transport));
    let every = if fast.is_zero() || is_claimed {
        1.0
    } else {
        (slow.as_secs_f64() / fast.as_secs_f64() / SLOW_SHARE_MAX).ceil().max(1.0)
    };
    let block = fast + slow.div_f64(every);
    let blocks = slot.as_secs_f64() / block.as_secs_f64().max(1e-3) + 2.0;
    let schedule = |at: usize| {
        let turns = if is_slow(at) { every as u32 } else { 1 };
        let warm_up = if plan.subjects[at].server.is_foreign() {
            WARM_UP_FOREIGN.div_duration_f64(forms[at].slice())
        } else {
            f64::from(WARM_UP)
        };
        let count = blocks * 1.3 / f64::from(turns) + warm_up + 2.0;
        (Schedule::Slices(limited(plan, at, Slicing { count: count as u32, ..forms[at] })), turns)
    };
    (0..forms.len()).map(schedule).collect()
}

/// No more slices than the posts and the length that a schedule may have.
fn limited(plan: &RoundPlan<'_>, at: usize, slicing: Slicing) -> Slicing {
    let point = &plan.subjects[at].plan;
    let posts_per_slice = f64::from(point.authors) * point.posts_per_author_per_s * slicing.slice().as_secs_f64();
    let by_posts = point.limits.posts_max as f64 / posts_per_slice.max(1e-9);
    let by_time = scenario::RUN_MAX.as_secs_f64() / slicing.slice().as_secs_f64();
    Slicing { count: f64::from(slicing.count).min(by_posts).min(by_time).max(1.0) as u32, ..slicing }
}

/// Rounds of both modes draw different orders.
fn round_seed(plan: &RoundPlan<'_>) -> u32 {
    plan.round * 2 + u32::from(plan.mode == Mode::LockStep)
}

fn machine_state(environment: &mut RunEnvironment, before: f64, after: f64, steal: &CpuSteal) -> MachineState {
    environment.cpu_probe_best = environment.cpu_probe_best.max(before).max(after);
    MachineState {
        cpu_probe_before: before,
        cpu_probe_after: after,
        cpu_probe_best: environment.cpu_probe_best,
        stolen_share: steal.stolen_share(),
        throttled_us: steal.throttled_us,
    }
}

/// Probes before a run; with their pauses they take about ten seconds.
const CPU_PROBES_MAX: usize = 20;
const CPU_PROBE_PAUSE: Duration = Duration::from_millis(350);

impl RunEnvironment {
    pub(crate) fn new(
        server_cores: Vec<usize>,
        generator_cores: Vec<usize>,
        all_cores: Vec<usize>,
        stop: CancellationToken,
        cpu_probe_best: f64,
    ) -> Self {
        Self { server_cores, generator_cores, all_cores, crew: None, stop, cpu_probe_best }
    }

    /// Probes the CPU, and waits up to ten seconds while the probe is too low: a run started now
    /// would be invalid.
    async fn wait_until_cpu_available(&self) -> f64 {
        let mut probe = machine::cpu_probe(&self.all_cores);
        for _ in 0..CPU_PROBES_MAX {
            if probe >= self.cpu_probe_best * (1.0 - results::CPU_PROBE_LOSS_MAX) || self.stop.is_cancelled() {
                break;
            }
            tokio::time::sleep(CPU_PROBE_PAUSE).await;
            probe = machine::cpu_probe(&self.all_cores);
        }
        probe
    }
}
