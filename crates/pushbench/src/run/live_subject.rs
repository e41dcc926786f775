//! A subject in a round: its server and its load generator, from their start to the record of the
//! run.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use loadgen::{Progress, ServerClocks};
use results::{Crash, Mode, RunEnd, Series, Slice, UNDRAINED_MAX};
use scenario::{Job, Log, Plan, Share, SliceLoad};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::Transport;

use super::conversation::{Command, LogPlace, Order, Reply, Schedule};
use super::generators::Generators;
use super::readings::{Checkpoint, Readings};
use super::server_source::ServerSource;
use super::target_server::TargetServer;
use super::totals::RunTotals;
use crate::agents::crew::Crew;
use crate::machine;

/// A subject as every round starts it.
#[derive(Debug, Clone)]
pub(crate) struct RoundSubject {
    /// In the progress line.
    pub(crate) name: String,
    /// The plan of its point.
    pub(crate) plan: Arc<Plan>,
    pub(crate) transport: Transport,
    /// Name of its target in results.
    pub(crate) target: String,
    pub(crate) server: ServerSource,
}

impl RoundSubject {
    /// Whether its clients ask at an interval, so that a slice takes at least two of them.
    pub(crate) fn is_slow(&self) -> bool {
        self.plan.tuning.of(self.transport).interval.is_some()
    }

    /// Time until its clients are connected and have the probe, in a round with short slices, and a
    /// foreign server is warm.
    pub(crate) fn connect_estimate(&self) -> Duration {
        let phases = self.plan.sliced(self.plan.short_slice(self.transport), 1).phases;
        let warm_up = if self.server.is_foreign() { START_FOREIGN + WARM_UP_FOREIGN } else { Duration::ZERO };
        phases.ramp_up() + phases.settle() + warm_up + self.start_of_log()
    }

    fn start_of_log(&self) -> Duration {
        if self.plan.log == Log::Redis { START_LOG } else { Duration::ZERO }
    }

    /// Whether the generator has its cores for itself; where a running server runs is not known.
    fn never_sleeps(&self, start: &SubjectStart<'_>) -> bool {
        let awake = machine::awake_cores(start.server_cores, start.generator_cores);
        awake.len() == start.generator_cores.len()
            && start.job.generators == 1
            && !matches!(self.server, ServerSource::Attached(_))
    }

    /// Time until a foreign server is ready and warm, or a shared log is ready, in a lock-step round.
    pub(crate) fn start_in_lock_step(&self) -> Duration {
        let foreign = if self.server.is_foreign() { START_FOREIGN + WARM_UP_FOREIGN_LOCK_STEP } else { Duration::ZERO };
        foreign + self.start_of_log()
    }
}

/// Time until a foreign server is ready, such as a start of Node.
const START_FOREIGN: Duration = Duration::from_millis(300);
/// Time allowed for the start of a Redis, which takes 25 ms here, and for its end.
const START_LOG: Duration = Duration::from_millis(300);
/// Least warm-up of a foreign server, for its compiler.
pub(super) const WARM_UP_FOREIGN: Duration = Duration::from_millis(1_500);
/// The same in lock-step, where messages follow each other without a pause.
pub(super) const WARM_UP_FOREIGN_LOCK_STEP: Duration = Duration::from_millis(400);

/// How a subject is started in one round.
pub(crate) struct SubjectStart<'a> {
    pub(crate) job: &'a Job,
    pub(crate) round: u32,
    pub(crate) schedule: Schedule,
    pub(crate) server_cores: &'a [usize],
    pub(crate) generator_cores: &'a [usize],
    /// The agents that make the load, if they are on other machines.
    pub(crate) crew: Option<&'a Arc<Crew>>,
    pub(crate) log: Option<PathBuf>,
    pub(crate) stop: &'a CancellationToken,
}

/// A subject whose processes are running.
pub(crate) struct LiveSubject {
    pub(crate) subject: RoundSubject,
    /// The plan of the round.
    pub(crate) plan: Arc<Plan>,
    pub(crate) mode: Mode,
    loads: Vec<SliceLoad>,
    server: TargetServer,
    /// The processes of the server, and their CPU clocks.
    pids: Vec<u32>,
    clocks: ServerClocks,
    generators: Generators,
    pub(crate) readings: Readings,
    pub(crate) slices: Vec<Slice>,
    /// How the run ended, once it cannot go on.
    ended: Option<RunEnd>,
    pub(crate) resident_bytes: u64,
    connected: Cell<u32>,
    undrained: usize,
    stop: CancellationToken,
}

/// The run of a subject that has ended.
pub(crate) struct EndedSubject {
    pub(crate) subject: RoundSubject,
    pub(crate) plan: Arc<Plan>,
    pub(crate) mode: Mode,
    pub(crate) loads: Vec<SliceLoad>,
    pub(crate) readings: Readings,
    pub(crate) slices: Vec<Slice>,
    pub(crate) resident_bytes: u64,
    pub(crate) totals: RunTotals,
}

impl LiveSubject {
    /// Starts the server and the generator. A server that crashes is an error that downcasts to
    /// [`Crash`].
    pub(crate) async fn start(subject: &RoundSubject, start: &SubjectStart<'_>) -> anyhow::Result<Self> {
        let mut plan = start.schedule.plan(&subject.plan, start.round);
        let precedence = start.schedule.precedence();
        let server = subject.server.start(&plan, subject.transport, start.server_cores, precedence).await?;
        plan.author_receives = server.target().author_receives();
        let plan = Arc::new(plan);
        let order = Order {
            file: start.job.file.clone(),
            text: start.job.text.clone(),
            set: start.job.overrides.clone(),
            point: plan.label.clone(),
            room_prefix: plan.room_prefix.clone(),
            schedule: start.schedule,
            round: start.round,
            transport: subject.transport,
            target: server.target(),
            share: Share { index: 0, of: start.job.generators },
            cores: start.generator_cores.to_vec(),
            never_sleeps: subject.never_sleeps(start),
            log: start.log.clone().map_or(LogPlace::Nowhere, LogPlace::File),
        };
        let generators = Generators::start(order, plan.fingerprint(), start.crew, precedence).await?;
        let is_started = matches!(server, TargetServer::Spawned(_));
        let readings = Readings::new(server.readers()?, server.log_reader()?, is_started);
        let mode = if matches!(start.schedule, Schedule::LockStep { .. }) { Mode::LockStep } else { Mode::Load };
        let pids = server.pids();
        Ok(Self {
            subject: subject.clone(),
            loads: plan.scheduled_by_slice(),
            clocks: ServerClocks::of(&pids).unwrap_or_default(),
            pids,
            plan,
            mode,
            server,
            generators,
            readings,
            slices: Vec::new(),
            ended: None,
            resident_bytes: 0,
            connected: Cell::new(0),
            undrained: 0,
            stop: start.stop.clone(),
        })
    }

    /// Connects all clients, one subject after the other, so that memory can be told apart.
    pub(crate) async fn connect(&mut self, on_progress: impl FnMut(Progress)) {
        self.readings.sample(Checkpoint::Begin).await;
        if let Some(Reply::Connected { resident_bytes }) = self.ask(Command::Connect, on_progress).await {
            self.resident_bytes = resident_bytes;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(self.plan.phases.settle()) => {}
            }
            self.readings.sample(Checkpoint::Settled).await;
        }
    }

    /// Whether the subject can run another slice.
    pub(crate) fn is_alive(&self) -> bool {
        let left = match self.mode {
            Mode::Load => self.slices.len() < self.plan.slicing.count as usize,
            Mode::LockStep => self.plan.posts_total() >= posts_of(self.slices.len() + 1),
        };
        left && self.ended.is_none() && self.undrained < UNDRAINED_MAX
    }

    /// Runs the next slice.
    pub(crate) async fn slice(&mut self, block: u32, position: u32, on_progress: impl FnMut(Progress)) {
        // The built-in server is one process.
        let is_foreign = self.subject.server.is_foreign();
        if is_foreign {
            self.read_processes();
        }
        if self.mode == Mode::Load && self.slices.is_empty() && self.ask(Command::Open, |_| ()).await.is_none() {
            return;
        }
        let window = Instant::now() + self.generators.start_delay() + self.plan.slicing.lead_in;
        self.server.begin_outages(&self.plan.outages, window);
        let before = self.pids.clone();
        let command = Command::Slice { pids: before.clone(), start_us: None };
        let Some(Reply::Slice(measured)) = self.ask(command, on_progress).await else {
            return;
        };
        self.server.end_outages().await;
        let changed = is_foreign && self.server.pids() != before;
        let dropped = changed.then(|| "a process of the server began or ended".to_owned());
        self.undrained = if measured.drained { 0 } else { self.undrained + 1 };
        self.slices.push(Slice { block, position, dropped, ..*measured });
    }

    /// Deliveries that were scheduled in the window of the last slice.
    pub(crate) fn scheduled_in_last(&self) -> u64 {
        self.slices
            .len()
            .checked_sub(1)
            .and_then(|last| self.loads.get(last))
            .map_or(0, |load| load.deliveries_in_window)
    }

    /// CPU time of the server so far.
    pub(crate) fn server_cpu_ns(&self) -> Option<u64> {
        self.clocks.now_ns()
    }

    fn read_processes(&mut self) {
        self.pids = self.server.pids();
        self.clocks = ServerClocks::of(&self.pids).unwrap_or_default();
    }

    /// Ends the run, the generator and then the server.
    pub(crate) async fn finish(mut self) -> anyhow::Result<EndedSubject> {
        let interrupted = self.stop.is_cancelled() && !self.has_all_slices();
        let ended = self.ended.unwrap_or(if interrupted { RunEnd::Interrupted } else { RunEnd::Complete });
        let posts = self.loads.iter().take(self.slices.len()).map(|load| load.posts_in_window).sum();
        let mut totals = self.generators.finish(&ended, posts).await?;
        if let [only] = &mut self.slices[..] {
            let latency = totals.latency.get(&Series::DeliveryLatency);
            let median = latency.and_then(|latency| latency.quantiles.get("p50"));
            only.delivery_p50_us = only.delivery_p50_us.or(median.map(|median| median.us));
        }
        if totals.ended == RunEnd::Complete || !matches!(ended, RunEnd::Complete) {
            totals.ended = ended;
        }
        let broke = totals.faults.total() > 0;
        let crash = self.server.end(self.subject.transport, broke).await;
        // A crash of the server explains every other end except Ctrl-C.
        if let Some(crash) = crash.filter(|_| matches!(totals.ended, RunEnd::Complete | RunEnd::Failed(_))) {
            totals.ended = RunEnd::Crashed(crash);
        }
        if let Some(why) = self.readings.failed() {
            tracing::debug!(why, "cannot read the statistics of the server");
        }
        Ok(EndedSubject {
            subject: self.subject,
            plan: self.plan,
            mode: self.mode,
            loads: self.loads,
            readings: self.readings,
            slices: self.slices,
            resident_bytes: self.resident_bytes,
            totals,
        })
    }

    /// Asks the generator; `None` once the run has ended.
    async fn ask(&mut self, command: Command, mut on_progress: impl FnMut(Progress)) -> Option<Reply> {
        if self.ended.is_some() {
            return None;
        }
        let (readings, connected) = (&self.readings, &self.connected);
        let show = |progress: Progress| {
            readings.read_process_each_second(progress);
            connected.set(progress.joined);
            on_progress(progress);
        };
        let reply = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(RunEnd::Interrupted),
            crash = self.server.wait_for_crash(self.subject.transport, connected) => Err(RunEnd::Crashed(crash)),
            reply = self.generators.ask(command, show) => match reply {
                Ok(Reply::Failed(ended)) => Err(ended),
                Ok(reply) => Ok(reply),
                Err(error) => Err(RunEnd::Failed(format!("{error:#}"))),
            },
        };
        reply.map_err(|ended| self.ended = Some(ended)).ok()
    }

    fn has_all_slices(&self) -> bool {
        self.plan.slicing.count == 1 && !self.slices.is_empty()
    }
}

impl EndedSubject {
    /// The run of a subject whose server could not be started.
    pub(crate) fn not_started(subject: &RoundSubject, mode: Mode, crash: Crash) -> Self {
        Self {
            subject: subject.clone(),
            plan: Arc::clone(&subject.plan),
            mode,
            loads: Vec::new(),
            readings: Readings::new(Vec::new(), None, false),
            slices: Vec::new(),
            resident_bytes: 0,
            totals: RunTotals::empty(RunEnd::Crashed(crash)),
        }
    }
}

/// Posts of this number of lock-step slices.
fn posts_of(slices: usize) -> u64 {
    slices as u64 * u64::from(crate::generate::LOCK_STEP_LEAD_IN + crate::generate::LOCK_STEP_POSTS)
}
