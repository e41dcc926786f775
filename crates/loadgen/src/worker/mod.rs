//! One worker thread: connects its clients on schedule, reconnects them after a disconnect, sends
//! posts when they are due, reports once a second, and closes idle connections.

mod checkpoints;
pub(crate) mod events;
mod idle;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, LocalSet};
use tokio::time::{Instant, sleep, sleep_until};

use self::events::{WorkerEvent, second_sample, totals};
use crate::client::Client;
use crate::error::SessionEnd;
use crate::progress::{Announcement, Phase, ProgressCounters};
use crate::run_context::{RunContext, WorkerConfig};
use crate::scheduler::Scheduler;
use crate::session::Session;
use crate::tasks::Tasks;
use crate::timer::PreciseTimer;
use crate::transports;

/// Time between the message that ends a session and the end of its connection, so that the server
/// can read the message.
const GOODBYE_PAUSE: Duration = Duration::from_millis(200);
const PUBLISH_EVERY: Duration = Duration::from_millis(50);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What the sessions of a thread share.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) run: Rc<RunContext>,
    pub(crate) scheduler: Rc<Scheduler>,
    pub(crate) tasks: Rc<Tasks>,
}

impl Worker {
    pub(crate) fn new(config: WorkerConfig) -> Self {
        let scheduler = Scheduler::new(&config.run.plan, config.worker, config.lock_step);
        Self { scheduler: Rc::new(scheduler), run: Rc::new(RunContext::new(config)), tasks: Rc::default() }
    }

    /// The session of the client with this id.
    pub(crate) fn session(&self, client: u32) -> Session {
        self.session_of(self.scheduler.client(client))
    }

    fn session_of(&self, client: &Rc<Client>) -> Session {
        Session {
            run: Rc::clone(&self.run),
            client: Rc::clone(client),
            scheduler: Rc::clone(&self.scheduler),
            tasks: Rc::clone(&self.tasks),
        }
    }

    /// Starts a client, which connects now.
    pub(crate) fn spawn_client(&self, client: &Rc<Client>) -> AbortHandle {
        self.tasks.spawn(run_client(self.session_of(client)))
    }

    /// The clients that post the probes, one per room.
    pub(crate) fn probers(&self) -> impl Iterator<Item = &Rc<Client>> {
        self.scheduler.clients.iter().filter(|client| self.run.is_prober(client.id))
    }

    /// Ends the sessions that need a message for that.
    pub(crate) async fn say_goodbye(&self) {
        let sent = self.scheduler.clients.iter().filter(|client| client.say_goodbye()).count();
        if sent > 0 {
            sleep(GOODBYE_PAUSE).await;
        }
    }
}

/// The channels between a worker and the run controller.
pub(crate) struct Channels {
    pub(crate) announcements: watch::Receiver<Announcement>,
    pub(crate) progress: Arc<ProgressCounters>,
    pub(crate) events: mpsc::Sender<WorkerEvent>,
}

/// Runs a worker thread to its end, pinned to `core` if there is one.
pub(crate) fn run_worker(config: WorkerConfig, core: Option<usize>, channels: Channels) -> std::io::Result<()> {
    if let Some(core) = core {
        let mut set = nix::sched::CpuSet::new();
        set.set(core)?;
        nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let timer = {
        let _entered = runtime.enter();
        PreciseTimer::new()?
    };
    let worker = Worker::new(config);
    LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            () = run(&worker, timer, channels) => Ok(()),
            () = worker.tasks.task_panicked() => Err(std::io::Error::other("one of its tasks panicked")),
        }
    })
}

async fn run(worker: &Worker, timer: PreciseTimer, channels: Channels) {
    let Channels { mut announcements, progress, events } = channels;
    let client_tasks = Rc::default();
    worker.tasks.spawn(connect_clients(worker.clone(), Rc::clone(&client_tasks)));
    worker.tasks.spawn(publish_repeatedly(Rc::clone(&worker.run), Arc::clone(&progress)));
    worker.tasks.spawn(idle::check_idle_clients(worker.clone()));
    let mut stopping = announcements.clone();
    let second = tokio::select! {
        biased;
        () = async { while stopping.changed().await.is_ok() {} } => current_second(&worker.run),
        second = follow_phases(worker, timer, &mut announcements, &events) => second,
    };
    publish_progress(&worker.run, &progress);
    events.send(second_sample(worker, second)).await.ok();
    let sockets = worker.run.connections.total(async || ()).await;
    events.send(totals(worker, sockets)).await.ok();
    // After the goodbye no client may poll or reconnect.
    client_tasks.borrow().iter().for_each(AbortHandle::abort);
    worker.say_goodbye().await;
}

/// Sends the probe and then the planned posts, and reports each second. Returns the unreported
/// second if the run controller has ended.
async fn follow_phases(
    worker: &Worker,
    timer: PreciseTimer,
    announcements: &mut watch::Receiver<Announcement>,
    events: &mpsc::Sender<WorkerEvent>,
) -> i64 {
    let run = &worker.run;
    if announcements.wait_for(|now| now.phase != Phase::RampUp).await.is_err() {
        return -1;
    }
    worker.probers().for_each(|client| client.send_probe(run));
    let Some(t0) = announcements.wait_for(|now| now.t0.is_some()).await.ok().and_then(|now| now.t0) else {
        return -1;
    };
    run.clock.set_t0(t0);
    worker.tasks.spawn(send_scheduled(worker.clone(), timer));
    worker.tasks.spawn(checkpoints::sample_edges(Rc::clone(run), events.clone(), checkpoints::thread_cpu));
    let mut second = -1;
    loop {
        let end = run.clock.instant(Duration::from_secs(u64::try_from(second + 1).unwrap_or(0)));
        sleep_until(end).await;
        if events.send(second_sample(worker, second)).await.is_err() {
            return second;
        }
        second += 1;
    }
}

/// The current second since T0; −1 before T0.
fn current_second(run: &RunContext) -> i64 {
    if run.clock.has_t0() { run.clock.now_us().div_euclid(1_000_000).max(-1) } else { -1 }
}

async fn connect_clients(worker: Worker, client_tasks: Rc<RefCell<Vec<AbortHandle>>>) {
    let begin = Instant::now();
    for client in &worker.scheduler.clients {
        let at = begin + worker.run.plan.connect_at(client.id);
        if at > Instant::now() {
            sleep_until(at).await;
        }
        client_tasks.borrow_mut().push(worker.spawn_client(client));
    }
}

/// Keeps a client in its room: connects it, and reconnects it with its cursor when a session has
/// ended.
async fn run_client(session: Session) {
    let (run, client) = (&*session.run, &*session.client);
    let (mut attempts, mut faults, mut failures_in_row) = (0, 0, 0);
    while faults <= run.plan.limits.reconnects_max {
        client.begin_connecting(run);
        let Err(end) = transports::run_session(&session).await;
        let was_joined = client.joined.get();
        client.mark_disconnected(run);
        let (has_failed, mut pause) = (end != SessionEnd::Closed, Duration::ZERO);
        match end {
            SessionEnd::Closed => run.counters.borrow_mut().traffic.cuts += 1,
            SessionEnd::Failed(_) if client.closed_as_idle.take() => {}
            SessionEnd::Failed(fault) => {
                pause = fault.pause();
                run.fault(fault);
            }
        }
        attempts += 1;
        faults += u32::from(has_failed);
        // Only a client that was in its room, and whose session the server closed, reconnects at
        // once.
        failures_in_row = if was_joined { u32::from(has_failed) } else { failures_in_row + 1 };
        sleep(backoff(client.id, attempts, failures_in_row).max(pause)).await;
    }
    client.stop_retrying(run);
}

/// Time before a reconnect: none after a session that the server closed, otherwise doubling. Each
/// client waits a fraction of its own, so that clients do not reconnect at the same instant.
fn backoff(client: u32, attempt: u32, failures_in_row: u32) -> Duration {
    let Some(doublings) = failures_in_row.checked_sub(1) else { return Duration::ZERO };
    let full = BACKOFF_FIRST.saturating_mul(1 << doublings.min(10)).min(BACKOFF_MAX);
    let mixed = (u64::from(client) << 32 | u64::from(attempt)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    full.mul_f64(0.5 + 0.5 * mixed as f64 / f64::from(u32::MAX))
}

async fn publish_repeatedly(run: Rc<RunContext>, progress: Arc<ProgressCounters>) {
    loop {
        publish_progress(&run, &progress);
        sleep(PUBLISH_EVERY).await;
    }
}

/// Stores the counters that the progress line shows.
fn publish_progress(run: &RunContext, progress: &ProgressCounters) {
    progress.joined.store(run.population.joined.get(), Relaxed);
    progress.probed.store(run.population.probed.get(), Relaxed);
    progress.stopped.store(run.population.stopped.get(), Relaxed);
    progress.delivered.store(run.delivered(), Relaxed);
    progress.faults.store(run.faults.borrow().total(), Relaxed);
}

/// Sends posts when they are due.
async fn send_scheduled(worker: Worker, timer: PreciseTimer) {
    while let Some(wait) = worker.scheduler.until_next_post(&worker.run) {
        if let Err(error) = timer.sleep(wait).await {
            return worker.run.fault(error.into());
        }
        worker.scheduler.send_scheduled(&worker.run);
    }
}

#[cfg(test)]
mod tests;
