//! The run controller: leads the workers from ramp-up to drain, reports progress, and ends the run.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread::JoinHandle;
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use results::RunEnd;
use scenario::{HttpClient, Plan};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::collector::Collector;
use crate::config::RunConfig;
use crate::measure::post_table::PostTable;
use crate::measurements::RunMeasurements;
use crate::progress::{Announcement, Phase, Progress, ProgressCounters, sum_u32, sum_u64};
use crate::run_context::{WorkerConfig, WorkerIndex};
use crate::worker::events::WorkerEvent;
use crate::worker::{Channels, run_worker};

/// Capacity of the channel. A worker sends a few events per second.
const EVENTS_MAX: usize = 1024;
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Ramp-up and probe fail when no client makes progress for this long.
const STALL_MAX: Duration = Duration::from_secs(15);
/// Time from the announcement of T0 to T0, so that all workers know it in time.
const T0_LEAD: Duration = Duration::from_millis(30);
/// Longest wait for the workers' last events.
const COLLECT_MAX: Duration = Duration::from_secs(10);

/// Instants of a run at which its caller may take measurements of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// Before the first connection.
    Begin,
    /// All clients are connected, and nothing is sent.
    Settled,
    /// Start of the window.
    WindowStart,
    /// End of the window.
    WindowEnd,
}

/// Runs a plan over one transport.
///
/// When `stop` completes, the run ends early with its value, and what was measured is kept. `log`
/// receives the interval log. `on_progress` is called a few times per second. `on_checkpoint` is
/// awaited at each [`Checkpoint`].
pub async fn execute<W: Write>(
    config: RunConfig,
    stop: impl Future<Output = RunEnd>,
    log: &mut W,
    on_progress: impl FnMut(Progress),
    mut on_checkpoint: impl AsyncFnMut(Checkpoint),
) -> std::io::Result<RunMeasurements> {
    let mut serializer = V2DeflateSerializer::new();
    on_checkpoint(Checkpoint::Begin).await;
    let stop = std::pin::pin!(stop);
    let mut controller = RunController::start(&config, stop, log, &mut serializer, on_progress)?;
    let ended = match controller.run_phases(&config.plan, on_checkpoint).await {
        Ok(()) => RunEnd::Complete,
        Err(ended) => ended,
    };
    let mut measurements = controller.finish(&config.plan, ended).await;
    if config.http_client() == HttpClient::Reqwest {
        // This client does not expose its sockets.
        (measurements.kernel_window, measurements.kernel_total) = (None, None);
    }
    Ok(measurements)
}

struct RunController<'a, W: Write, P: FnMut(Progress)> {
    collector: Collector<'a, W>,
    announcements: watch::Sender<Announcement>,
    events: mpsc::Receiver<WorkerEvent>,
    threads: Vec<JoinHandle<std::io::Result<()>>>,
    progress: Vec<Arc<ProgressCounters>>,
    posts: Arc<PostTable>,
    clients: u32,
    /// Longest time between two polls; zero for transports that do not poll by interval.
    poll_interval: Duration,
    stop: Pin<&'a mut dyn Future<Output = RunEnd>>,
    on_progress: P,
    phase: Phase,
    t0: Option<Instant>,
}

impl<'a, W: Write, P: FnMut(Progress)> RunController<'a, W, P> {
    /// Starts the worker threads.
    fn start(
        config: &RunConfig,
        stop: Pin<&'a mut dyn Future<Output = RunEnd>>,
        log: &'a mut W,
        serializer: &'a mut V2DeflateSerializer,
        on_progress: P,
    ) -> std::io::Result<Self> {
        let cores: Vec<_> =
            if config.cores.is_empty() { vec![None] } else { config.cores.iter().copied().map(Some).collect() };
        let (announcements, announced) = watch::channel(Announcement { phase: Phase::RampUp, t0: None });
        let (event_sender, events) = mpsc::channel(EVENTS_MAX);
        let posts = Arc::new(PostTable::new(config.planned_posts()));
        let progress: Vec<_> = cores.iter().map(|_| Arc::new(ProgressCounters::default())).collect();
        let base = Instant::now();
        let mut threads = Vec::new();
        for (index, core) in cores.iter().copied().enumerate() {
            let worker = WorkerConfig {
                run: config.clone(),
                worker: WorkerIndex { index: index as u32, count: cores.len() as u32 },
                posts: Arc::clone(&posts),
                base,
                lock_step: false,
            };
            let channels = Channels {
                announcements: announced.clone(),
                progress: Arc::clone(&progress[index]),
                events: event_sender.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("worker-{index}"));
            threads.push(thread.spawn(move || run_worker(worker, core, channels))?);
        }
        Ok(Self {
            collector: Collector::new(cores.len(), log, serializer)?,
            announcements,
            events,
            threads,
            progress,
            posts,
            clients: config.plan.clients,
            poll_interval: config.plan.tuning.of(config.transport).interval.unwrap_or_default(),
            stop,
            on_progress,
            phase: Phase::RampUp,
            t0: None,
        })
    }

    async fn run_phases(&mut self, plan: &Plan, mut on_checkpoint: impl AsyncFnMut(Checkpoint)) -> Result<(), RunEnd> {
        self.wait_for_all(Phase::RampUp, STALL_MAX, "joined", |worker| &worker.joined).await?;
        let stall_max = STALL_MAX + self.poll_interval * 2;
        self.wait_for_all(Phase::Probe, stall_max, "received the probe", |worker| &worker.probed).await?;
        self.stay_in(Phase::Settle, Instant::now() + plan.phases.settle()).await?;
        on_checkpoint(Checkpoint::Settled).await;
        let t0 = Instant::now() + T0_LEAD;
        self.t0 = Some(t0);
        self.stay_in(Phase::WarmUp, t0 + plan.phases.warm_up()).await?;
        on_checkpoint(Checkpoint::WindowStart).await;
        self.stay_in(Phase::Window, t0 + plan.phases.posting()).await?;
        on_checkpoint(Checkpoint::WindowEnd).await;
        self.drain(plan).await
    }

    /// Enters a phase and announces it to the workers.
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.announcements.send_replace(Announcement { phase, t0: self.t0 });
    }

    /// Enters a phase and stays in it until an instant.
    async fn stay_in(&mut self, phase: Phase, end: Instant) -> Result<(), RunEnd> {
        self.enter(phase);
        while Instant::now() < end {
            self.poll_workers((Instant::now() + POLL_EVERY).min(end)).await?;
        }
        Ok(())
    }

    /// Enters a phase and waits until a counter has reached the number of clients. Fails when it
    /// does not rise for `stall_max`, or when the missing clients have stopped.
    async fn wait_for_all(
        &mut self,
        phase: Phase,
        stall_max: Duration,
        what: &str,
        counter: impl Fn(&ProgressCounters) -> &AtomicU32,
    ) -> Result<(), RunEnd> {
        self.enter(phase);
        let (mut best, mut rose) = (0, Instant::now());
        loop {
            let now = sum_u32(&self.progress, &counter);
            if now == self.clients {
                return Ok(());
            }
            if now > best {
                (best, rose) = (now, Instant::now());
            }
            let stopped = sum_u32(&self.progress, |worker| &worker.stopped);
            if rose.elapsed() > stall_max || now + stopped >= self.clients {
                return Err(RunEnd::Failed(format!("only {now} of {} clients {what}", self.clients)));
            }
            self.poll_workers(Instant::now() + POLL_EVERY).await?;
        }
    }

    /// Waits until the workers have sampled the end of the window, and then until everything
    /// planned has been received or nothing has been received for a while.
    async fn drain(&mut self, plan: &Plan) -> Result<(), RunEnd> {
        self.enter(Phase::Drain);
        let sampled_by = Instant::now() + COLLECT_MAX;
        while !self.collector.has_window() && Instant::now() < sampled_by {
            self.poll_workers(Instant::now() + POLL_EVERY).await?;
        }
        let planned: u64 = (0..plan.rooms).map(|room| plan.posts_in_room(room) * u64::from(plan.room_size(room))).sum();
        let begun = Instant::now();
        let (mut last, mut rose) = (0, begun);
        loop {
            let delivered = self.delivered();
            if delivered > last {
                (last, rose) = (delivered, Instant::now());
            }
            let is_idle = rose.elapsed() > plan.phases.drain_idle();
            if delivered >= planned || is_idle || begun.elapsed() > plan.phases.drain_max() {
                return Ok(());
            }
            self.poll_workers(Instant::now() + POLL_EVERY).await?;
        }
    }

    fn delivered(&self) -> u64 {
        sum_u64(&self.progress, |worker| &worker.delivered)
    }

    /// The current second since T0.
    fn second(&self) -> Option<u32> {
        let since = Instant::now().checked_duration_since(self.t0?)?;
        u32::try_from(since.as_secs()).ok()
    }

    /// Receives events until an instant or the end of the second, checks the workers and reports
    /// progress.
    async fn poll_workers(&mut self, end: Instant) -> Result<(), RunEnd> {
        let next_second =
            self.t0.zip(self.second()).map(|(t0, second)| t0 + Duration::from_secs(u64::from(second) + 1));
        let end = next_second.map_or(end, |next| end.min(next));
        loop {
            tokio::select! {
                biased;
                ended = &mut self.stop => return Err(ended),
                event = self.events.recv() => match event {
                    Some(event) => self.collector.add(event),
                    None => return Err(RunEnd::Failed("all workers have ended".to_owned())),
                },
                () = sleep_until(end) => break,
            }
        }
        if let Some(thread) = self.threads.iter().position(JoinHandle::is_finished) {
            return Err(RunEnd::Failed(worker_failure(self.threads.swap_remove(thread))));
        }
        if self.t0.is_some() && sum_u32(&self.progress, |worker| &worker.stopped) == self.clients {
            return Err(RunEnd::Failed("every client was disconnected and used all its reconnects".to_owned()));
        }
        let progress = Progress {
            phase: self.phase,
            joined: sum_u32(&self.progress, |worker| &worker.joined),
            delivered: self.delivered(),
            faults: sum_u64(&self.progress, |worker| &worker.faults),
            second: self.second(),
            delivery_us_p99: self.collector.latest_p99(),
        };
        (self.on_progress)(progress);
        Ok(())
    }

    /// Ends the workers and collects their last events.
    async fn finish(self, plan: &Plan, ended: RunEnd) -> RunMeasurements {
        let Self { mut collector, announcements, mut events, threads, posts, .. } = self;
        drop(announcements);
        let collecting = async {
            while !collector.is_done() {
                match events.recv().await {
                    Some(event) => collector.add(event),
                    None => break,
                }
            }
        };
        let in_time = tokio::time::timeout(COLLECT_MAX, collecting).await.is_ok();
        for thread in threads.into_iter().filter(|thread| in_time || thread.is_finished()) {
            thread.join().ok();
        }
        collector.finish(plan, &posts, ended)
    }
}

/// Why a worker has ended before the run.
fn worker_failure(thread: JoinHandle<std::io::Result<()>>) -> String {
    match thread.join() {
        Ok(Ok(())) => "a worker ended before the run".to_owned(),
        Ok(Err(error)) => format!("a worker failed: {error}"),
        Err(_) => "a worker panicked".to_owned(),
    }
}

#[cfg(test)]
mod tests;
