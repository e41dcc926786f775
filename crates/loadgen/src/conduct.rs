//! One run from ramp-up to drain: tells the workers where it is, shows its progress, and ends it.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use scenario::Plan;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use wire::Transport;

use crate::collect::Collector;
use crate::crowd::{self, WorkerEvent};
use crate::live::{Cue, Phase, Progress, ProgressCounters};
use crate::posts::PostTable;
use crate::recording::RunMeasurements;
use crate::target::Target;
use crate::transports::is_by_reqwest;
use crate::worker::WorkerConfig;
use results::RunEnd;

/// Reports are a handful a second and worker.
const REPORTS_MAX: usize = 1024;
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Ramp-up and probe fail when nothing moves for this long.
const STALL_MAX: Duration = Duration::from_secs(15);
/// From the order to go to T0: all workers have heard it by then.
const T0_LEAD: Duration = Duration::from_millis(30);
/// Workers have only to hand over what they hold.
const COLLECT_MAX: Duration = Duration::from_secs(10);

/// Instants at which a run's surroundings should be metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// Before the first connection.
    Begin,
    /// Everybody is connected and silent.
    Settled,
    /// First instant of the window.
    WindowStart,
    /// Last instant of the window.
    WindowEnd,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// Who does what when.
    pub plan: Arc<Plan>,
    /// Over which transport.
    pub transport: Transport,
    /// Against whom.
    pub target: Target,
    /// A worker for each, pinned to it; none is one worker, unpinned.
    pub cores: Vec<usize>,
}

/// Runs it. When `stop` comes back, the run ends early as it says, and what was measured is kept. `log` takes the interval log,
/// `on_progress` hears a few times a second, `on_edge` is awaited at each [`Edge`].
pub async fn execute<W: Write>(
    order: RunConfig,
    stop: impl Future<Output = RunEnd>,
    log: &mut W,
    on_progress: impl FnMut(Progress),
    mut on_edge: impl AsyncFnMut(Checkpoint),
) -> std::io::Result<RunMeasurements> {
    let mut serializer = V2DeflateSerializer::new();
    on_edge(Checkpoint::Begin).await;
    let stop = std::pin::pin!(stop);
    let mut run = RunController::start(&order, stop, log, &mut serializer, on_progress)?;
    let ended = match run.phases(&order.plan, on_edge).await {
        Ok(()) => RunEnd::Complete,
        Err(ended) => ended,
    };
    Ok(run.finish(&order.plan, ended).await)
}

struct RunController<'a, W: Write, P: FnMut(Progress)> {
    collector: Collector<'a, W>,
    cue: watch::Sender<Cue>,
    events: mpsc::Receiver<WorkerEvent>,
    threads: Vec<JoinHandle<std::io::Result<()>>>,
    progress: Vec<Arc<ProgressCounters>>,
    posts: Arc<PostTable>,
    clients: u32,
    transport: Transport,
    stop: Pin<&'a mut dyn Future<Output = RunEnd>>,
    on_progress: P,
    phase: Phase,
    t0: Option<Instant>,
}

impl<'a, W: Write, P: FnMut(Progress)> RunController<'a, W, P> {
    fn start(
        order: &RunConfig,
        stop: Pin<&'a mut dyn Future<Output = RunEnd>>,
        log: &'a mut W,
        serializer: &'a mut V2DeflateSerializer,
        on_progress: P,
    ) -> std::io::Result<Self> {
        let cores: Vec<_> =
            if order.cores.is_empty() { vec![None] } else { order.cores.iter().copied().map(Some).collect() };
        let (cue, cue_heard) = watch::channel(Cue::RampUp);
        let (report, reports) = mpsc::channel(REPORTS_MAX);
        let posts = Arc::new(PostTable::new(usize::try_from(order.plan.posts_total()).unwrap_or(usize::MAX)));
        let lives: Vec<_> = cores.iter().map(|_| Arc::new(ProgressCounters::default())).collect();
        let base = Instant::now();
        let mut threads = Vec::new();
        for (at, core) in cores.iter().copied().enumerate() {
            let share = WorkerConfig {
                plan: Arc::clone(&order.plan),
                transport: order.transport,
                target: order.target.clone(),
                posts: Arc::clone(&posts),
                live: Arc::clone(&lives[at]),
                cue: cue_heard.clone(),
                base,
                at: (at as u32, cores.len() as u32),
                lock_step: false,
            };
            let report = report.clone();
            let thread = std::thread::Builder::new().name(format!("worker-{at}"));
            threads.push(thread.spawn(move || crowd::run_worker(share, core, report))?);
        }
        Ok(Self {
            collector: Collector::new(cores.len(), log, serializer)?,
            cue,
            events: reports,
            threads,
            progress: lives,
            posts,
            clients: order.plan.clients,
            transport: order.transport,
            stop,
            on_progress,
            phase: Phase::RampUp,
            t0: None,
        })
    }

    async fn phases(&mut self, plan: &Plan, mut on_edge: impl AsyncFnMut(Checkpoint)) -> Result<(), RunEnd> {
        self.wait_for_all(Phase::RampUp, STALL_MAX, "joined", |live| &live.joined).await?;
        self.cue.send_replace(Cue::Probe);
        let slowest = plan.tuning.of(self.transport).interval.unwrap_or_default();
        self.wait_for_all(Phase::Probe, STALL_MAX + slowest * 2, "saw the probe", |live| &live.probed).await?;
        self.stay_in(Phase::Settle, Instant::now() + plan.phases.settle()).await?;
        on_edge(Checkpoint::Settled).await;
        let t0 = Instant::now() + T0_LEAD;
        self.cue.send_replace(Cue::Go { t0 });
        self.t0 = Some(t0);
        self.stay_in(Phase::WarmUp, t0 + plan.phases.warm_up()).await?;
        on_edge(Checkpoint::WindowStart).await;
        self.stay_in(Phase::Window, t0 + plan.phases.posting()).await?;
        on_edge(Checkpoint::WindowEnd).await;
        self.drain(plan).await
    }

    /// Waits for an instant.
    async fn stay_in(&mut self, stage: Phase, end: Instant) -> Result<(), RunEnd> {
        self.phase = stage;
        while Instant::now() < end {
            self.poll_workers((Instant::now() + POLL_EVERY).min(end)).await?;
        }
        Ok(())
    }

    /// Waits until a figure has come to all clients; fails when it does not move for `patience`, or when
    /// those that are missing gave up.
    async fn wait_for_all(
        &mut self,
        stage: Phase,
        patience: Duration,
        what: &str,
        of: impl Fn(&ProgressCounters) -> &std::sync::atomic::AtomicU32,
    ) -> Result<(), RunEnd> {
        self.phase = stage;
        let (mut best, mut moved) = (0, Instant::now());
        loop {
            let now = ProgressCounters::sum_u32(self.progress.iter().map(Arc::as_ref), &of);
            if now == self.clients {
                return Ok(());
            }
            if now > best {
                (best, moved) = (now, Instant::now());
            }
            let gone = ProgressCounters::sum_u32(self.progress.iter().map(Arc::as_ref), |live| &live.stopped);
            if moved.elapsed() > patience || now + gone >= self.clients {
                return Err(RunEnd::Failed(format!("{now} of {} clients {what}, and no more came", self.clients)));
            }
            self.poll_workers(Instant::now() + POLL_EVERY).await?;
        }
    }

    /// Until everything planned has arrived, or nothing has come for a while; and until the workers have read the window's end.
    async fn drain(&mut self, plan: &Plan) -> Result<(), RunEnd> {
        self.phase = Phase::Drain;
        let read_by = Instant::now() + COLLECT_MAX;
        while !self.collector.has_window() && Instant::now() < read_by {
            self.poll_workers(Instant::now() + POLL_EVERY).await?;
        }
        let planned: u64 = (0..plan.rooms).map(|room| plan.posts_in_room(room) * u64::from(plan.room_size(room))).sum();
        let begun = Instant::now();
        let (mut last, mut moved) = (0, begun);
        loop {
            let delivered = self.delivered();
            if delivered > last {
                (last, moved) = (delivered, Instant::now());
            }
            let quiet = moved.elapsed() > plan.phases.drain_idle();
            if delivered >= planned || quiet || begun.elapsed() > plan.phases.drain_max() {
                return Ok(());
            }
            self.poll_workers(Instant::now() + POLL_EVERY).await?;
        }
    }

    fn delivered(&self) -> u64 {
        ProgressCounters::sum_u64(self.progress.iter().map(Arc::as_ref), |live| &live.delivered)
    }

    /// Which second it is since T0.
    fn second(&self) -> Option<u32> {
        let since = Instant::now().checked_duration_since(self.t0?)?;
        u32::try_from(since.as_secs()).ok()
    }

    /// Takes reports until an instant, or until a second is over, then shows the progress.
    async fn poll_workers(&mut self, end: Instant) -> Result<(), RunEnd> {
        let next_second =
            self.t0.zip(self.second()).map(|(t0, second)| t0 + Duration::from_secs(u64::from(second) + 1));
        let end = next_second.map_or(end, |next| end.min(next));
        loop {
            tokio::select! {
                biased;
                ended = &mut self.stop => return Err(ended),
                report = self.events.recv() => match report {
                    Some(report) => self.collector.add(report),
                    None => return Err(RunEnd::Failed("all workers are gone".to_owned())),
                },
                () = sleep_until(end) => break,
            }
        }
        if let Some(thread) = self.threads.iter().position(JoinHandle::is_finished) {
            return Err(RunEnd::Failed(self.worker_failure(thread)));
        }
        let lives = || self.progress.iter().map(Arc::as_ref);
        if self.t0.is_some() && ProgressCounters::sum_u32(lives(), |live| &live.stopped) == self.clients {
            return Err(RunEnd::Failed("every client was cut off and gave up".to_owned()));
        }
        let second = self.second();
        (self.on_progress)(Progress {
            phase: self.phase,
            joined: ProgressCounters::sum_u32(lives(), |live| &live.joined),
            delivered: ProgressCounters::sum_u64(lives(), |live| &live.delivered),
            faults: ProgressCounters::sum_u64(lives(), |live| &live.faults),
            second,
            delivery_us_p99: self.collector.latest_p99(),
        });
        Ok(())
    }

    /// Why a worker ended before it was told to.
    fn worker_failure(&mut self, thread: usize) -> String {
        match self.threads.swap_remove(thread).join() {
            Ok(Ok(())) => "a worker ended by itself".to_owned(),
            Ok(Err(error)) => format!("a worker failed: {error}"),
            Err(_) => "a worker panicked".to_owned(),
        }
    }

    async fn finish(mut self, plan: &Plan, ended: RunEnd) -> RunMeasurements {
        self.cue.send_replace(Cue::Stop);
        let collecting = async {
            while !self.collector.is_done() {
                match self.events.recv().await {
                    Some(report) => self.collector.add(report),
                    None => break,
                }
            }
        };
        let in_time = tokio::time::timeout(COLLECT_MAX, collecting).await.is_ok();
        for thread in self.threads.drain(..).filter(|thread| in_time || thread.is_finished()) {
            thread.join().ok();
        }
        let mut recording = self.collector.finish(plan, &self.posts, ended);
        if is_by_reqwest(plan, self.transport) {
            (recording.kernel_window, recording.kernel_total) = (None, None);
        }
        recording
    }
}

#[cfg(test)]
mod tests;
