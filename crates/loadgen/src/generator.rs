//! The load generator of one subject: its workers connect, run slices of the schedule and report.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread::JoinHandle;
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use results::{RunEnd, Slice};
use scenario::HttpClient;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::collector::Collector;
use crate::config::RunConfig;
use crate::cpu_clock::ServerClocks;
use crate::measure::post_table::PostTable;
use crate::measurements::RunMeasurements;
use crate::progress::{Announcement, Progress, ProgressCounters, sum_u32, sum_u64};
use crate::run_context::{WorkerConfig, WorkerIndex};
use crate::worker::events::WorkerEvent;
use crate::worker::{Channels, run_worker};

/// Capacity of the channel. A worker sends a few events per second.
const EVENTS_MAX: usize = 1024;
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Short waits while clients connect.
const CONNECT_POLL_EVERY: Duration = Duration::from_millis(5);
/// Connecting and the probe fail when no client makes progress for this long.
const STALL_MAX: Duration = Duration::from_secs(15);
/// Time from the announcement of a slice to its start, so that all workers know it in time.
const SLICE_LEAD: Duration = Duration::from_millis(2);
/// Longest wait for the workers' last events.
const COLLECT_MAX: Duration = Duration::from_secs(10);

/// The workers of one run, led by the caller.
pub struct Generator<'a, W: Write> {
    collector: Collector<'a, W>,
    announcements: watch::Sender<Announcement>,
    events: mpsc::Receiver<WorkerEvent>,
    threads: Vec<JoinHandle<std::io::Result<()>>>,
    progress: Vec<Arc<ProgressCounters>>,
    posts: Arc<PostTable>,
    config: RunConfig,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
    slice_start: Option<Instant>,
}

/// Makes a run whose phases `lead` decides. `log` receives the interval log. `on_progress` is called
/// a few times per second while clients connect and in long slices.
pub async fn generate<'a, W: Write>(
    config: RunConfig,
    log: &'a mut W,
    on_progress: impl FnMut(Progress) + 'a,
    lead: impl AsyncFnOnce(&mut Generator<'_, W>) -> Result<(), RunEnd>,
) -> std::io::Result<RunMeasurements> {
    let mut serializer = V2DeflateSerializer::new();
    let mut generator = Generator::start(config, log, &mut serializer, Box::new(on_progress))?;
    let ended = lead(&mut generator).await.err().unwrap_or(RunEnd::Complete);
    Ok(generator.finish(ended).await)
}

/// A whole run: connects, and runs every slice of the plan.
pub async fn execute<W: Write>(config: RunConfig, log: &mut W) -> std::io::Result<(RunMeasurements, Vec<Slice>)> {
    let plan = Arc::clone(&config.plan);
    let mut slices = Vec::new();
    let run = generate(
        config,
        log,
        |_| {},
        async |generator| {
            generator.connect().await?;
            tokio::time::sleep(plan.phases.settle()).await;
            generator.open_for_posts().await?;
            for slice in 0..plan.slicing.count {
                slices.push(generator.slice(slice, None, ServerClocks::default()).await?);
            }
            Ok(())
        },
    );
    let measured = run.await?;
    Ok((measured, slices))
}

impl<'a, W: Write> Generator<'a, W> {
    /// Starts the worker threads; their clients connect.
    fn start<'b: 'a>(
        config: RunConfig,
        log: &'b mut W,
        serializer: &'b mut V2DeflateSerializer,
        on_progress: Box<dyn FnMut(Progress) + 'a>,
    ) -> std::io::Result<Self> {
        let cores: Vec<_> =
            if config.cores.is_empty() { vec![None] } else { config.cores.iter().copied().map(Some).collect() };
        let (announcements, announced) = watch::channel(Announcement::RampUp);
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
                traced: false,
            };
            let channels = Channels {
                announcements: announced.clone(),
                progress: Arc::clone(&progress[index]),
                events: event_sender.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("worker-{index}"));
            threads.push(thread.spawn(move || run_worker(worker, core, channels))?);
        }
        let collector = Collector::new(cores.len(), log, serializer)?;
        let slice_start = None;
        Ok(Self { collector, announcements, events, threads, progress, posts, config, on_progress, slice_start })
    }

    /// Connects all clients, and waits until each has received one message of its room. Afterwards
    /// nothing is sent.
    pub async fn connect(&mut self) -> Result<(), RunEnd> {
        self.wait_for_all(STALL_MAX, "joined", |worker| &worker.joined).await?;
        self.announcements.send_replace(Announcement::Probe);
        let interval = self.config.plan.tuning.of(self.config.transport).interval.unwrap_or_default();
        self.wait_for_all(STALL_MAX + interval * 2, "received the probe", |worker| &worker.probed).await?;
        self.announcements.send_replace(Announcement::Rest);
        while !self.collector.has_sockets() {
            self.poll_workers(Instant::now() + CONNECT_POLL_EVERY).await?;
        }
        Ok(())
    }

    /// Opens the connections that authors post with.
    pub async fn open_for_posts(&mut self) -> Result<(), RunEnd> {
        self.announcements.send_replace(Announcement::OpenForPosts);
        while !self.collector.is_open_for_posts() {
            self.poll_workers(Instant::now() + CONNECT_POLL_EVERY).await?;
        }
        Ok(())
    }

    /// Runs a slice of the schedule, with its drain; they follow each other in their order. It starts
    /// now, or at an instant that several generators share. Afterwards nothing is sent.
    pub async fn slice(&mut self, index: u32, start: Option<Instant>, server: ServerClocks) -> Result<Slice, RunEnd> {
        let start = start.unwrap_or_else(|| Instant::now() + SLICE_LEAD);
        self.slice_start = Some(start);
        self.collector.begin_slice();
        self.announcements.send_replace(Announcement::Slice { index, start, server });
        loop {
            self.poll_workers(Instant::now() + POLL_EVERY).await?;
            if let Some(slice) = self.collector.take_slice() {
                return Ok(slice);
            }
        }
    }

    /// Waits until a counter has reached the number of clients. Fails when it does not rise for
    /// `stall_max`, or when the missing clients have stopped.
    async fn wait_for_all(
        &mut self,
        stall_max: Duration,
        what: &str,
        counter: impl Fn(&ProgressCounters) -> &AtomicU32,
    ) -> Result<(), RunEnd> {
        let clients = self.config.plan.own_clients();
        let (mut best, mut rose) = (0, Instant::now());
        loop {
            let now = sum_u32(&self.progress, &counter);
            if now == clients {
                return Ok(());
            }
            if now > best {
                (best, rose) = (now, Instant::now());
            }
            let stopped = sum_u32(&self.progress, |worker| &worker.stopped);
            if rose.elapsed() > stall_max || now + stopped >= clients {
                return Err(RunEnd::Failed(format!("only {now} of {clients} clients {what}")));
            }
            self.poll_workers(Instant::now() + CONNECT_POLL_EVERY).await?;
        }
    }

    /// Receives events until an instant, or until a slice is over, checks the workers and reports
    /// progress.
    async fn poll_workers(&mut self, end: Instant) -> Result<(), RunEnd> {
        loop {
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Some(event) => {
                        let ends_slice = matches!(event, WorkerEvent::Slice(_));
                        self.collector.add(event);
                        if ends_slice {
                            return Ok(());
                        }
                    }
                    None => return Err(RunEnd::Failed("all workers have ended".to_owned())),
                },
                () = sleep_until(end) => break,
            }
        }
        if let Some(thread) = self.threads.iter().position(JoinHandle::is_finished) {
            return Err(RunEnd::Failed(worker_failure(self.threads.swap_remove(thread))));
        }
        let stopped = sum_u32(&self.progress, |worker| &worker.stopped);
        if self.slice_start.is_some() && stopped == self.config.plan.own_clients() {
            return Err(RunEnd::Failed("every client was disconnected and used all its reconnects".to_owned()));
        }
        let second = self.slice_start.and_then(|start| Instant::now().checked_duration_since(start));
        let progress = Progress {
            joined: sum_u32(&self.progress, |worker| &worker.joined),
            delivered: sum_u64(&self.progress, |worker| &worker.delivered),
            faults: sum_u64(&self.progress, |worker| &worker.faults),
            second: second.map(|since| u32::try_from(since.as_secs()).unwrap_or(u32::MAX)),
            delivery_us_p99: self.collector.latest_p99(),
        };
        (self.on_progress)(progress);
        Ok(())
    }

    /// Ends the workers and collects their last events.
    async fn finish(self, ended: RunEnd) -> RunMeasurements {
        let Self { mut collector, announcements, mut events, threads, posts, config, .. } = self;
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
        let mut measurements = collector.finish(&config.plan, &posts, ended);
        if config.http_client() == HttpClient::Reqwest {
            // This client does not expose its sockets.
            (measurements.sockets, measurements.sockets_in_slices) = (None, None);
        }
        measurements
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
