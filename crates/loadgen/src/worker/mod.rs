//! One worker thread: connects its clients on schedule, reconnects them after a disconnect, and runs
//! the slices that the controller announces. Between slices it runs no timer.

pub(crate) mod checkpoints;
pub(crate) mod events;
mod idle;
mod slice;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until};

use self::events::{WorkerEvent, totals};
use self::slice::Slices;
use crate::client::Client;
use crate::delivery;
use crate::error::SessionEnd;
use crate::measure::probe::PROBE_SEQ;
use crate::progress::{Announcement, ProgressCounters};
use crate::run_context::{RunContext, WorkerConfig};
use crate::scheduler::Scheduler;
use crate::session::Session;
use crate::tasks::Tasks;
use crate::timer::PreciseTimer;
use crate::transports;

/// Time between the message that ends a session and the end of its connection, so that the server
/// can read the message.
const GOODBYE_PAUSE: Duration = Duration::from_millis(200);
/// Connections for posts that are opened at once, and the pause before the next.
const OPENED_AT_ONCE: usize = 8;
const OPEN_PAUSE: Duration = Duration::from_millis(1);
const PUBLISH_EVERY: Duration = Duration::from_millis(20);
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

    /// Posts the probe of a client's room. An author that does not receive its own messages has it
    /// already.
    pub(crate) fn send_probe(&self, prober: &Rc<Client>) {
        prober.send_probe(&self.run);
        if !self.run.plan.author_receives {
            delivery::receive_probe(&self.run, &mut self.run.counters.borrow_mut(), prober, PROBE_SEQ);
        }
    }

    /// Opens the connections for posts, some at a time: in a slice they would delay posts.
    async fn open_for_posts(&self) {
        let senders =
            self.scheduler.clients.iter().filter_map(|client| Some((client, client.kept_sender.borrow().clone()?)));
        for (index, (client, sender)) in senders.enumerate() {
            sender.open(client);
            if index % OPENED_AT_ONCE == OPENED_AT_ONCE - 1 {
                sleep(OPEN_PAUSE).await;
            }
        }
        sleep(OPEN_PAUSE).await;
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
    // A task of its own, because the set polls the future that it blocks on after every wait.
    let running = async move {
        tokio::select! {
            () = run(&worker, timer, channels) => Ok(()),
            () = worker.tasks.task_panicked() => Err(std::io::Error::other("one of its tasks panicked")),
        }
    };
    LocalSet::new().block_on(&runtime, async { spawn_local(running).await })?
}

async fn run(worker: &Worker, timer: PreciseTimer, channels: Channels) {
    let Channels { announcements, progress, events } = channels;
    let client_tasks = Rc::default();
    worker.tasks.spawn(connect_clients(worker.clone(), Rc::clone(&client_tasks)));
    let mut slices = Slices::new(worker, timer, &events, &progress);
    let mut stopping = announcements.clone();
    tokio::select! {
        biased;
        () = async { while stopping.changed().await.is_ok() {} } => {}
        () = follow(worker, announcements, &events, &progress, &mut slices) => {}
    }
    publish_progress(&worker.run, &progress);
    slices.finish().await;
    let sockets = worker.run.connections.total(async || ()).await;
    events.send(totals(worker, sockets)).await.ok();
    // After the goodbye no client may poll or reconnect.
    client_tasks.borrow().iter().for_each(AbortHandle::abort);
    worker.say_goodbye().await;
}

/// Does what the controller announces, until it has ended.
async fn follow(
    worker: &Worker,
    mut announcements: watch::Receiver<Announcement>,
    events: &mpsc::Sender<WorkerEvent>,
    progress: &Arc<ProgressCounters>,
    slices: &mut Slices<'_>,
) {
    loop {
        let announced = announcements.borrow_and_update().clone();
        let mut publishes = false;
        match announced {
            Announcement::RampUp => publishes = true,
            Announcement::Probe => {
                worker.probers().for_each(|client| worker.send_probe(client));
                publishes = true;
            }
            Announcement::Rest => {
                worker.run.rest();
                let sockets = worker.run.connections.total(async || ()).await;
                events.send(WorkerEvent::Sockets(Box::new(sockets))).await.ok();
            }
            Announcement::OpenForPosts => {
                worker.open_for_posts().await;
                events.send(WorkerEvent::OpenForPosts).await.ok();
            }
            Announcement::Slice { index, start, server } => slices.run(index, start, &server).await,
        }
        let publishing = async {
            if !publishes {
                std::future::pending::<()>().await;
            }
            loop {
                publish_progress(&worker.run, progress);
                sleep(PUBLISH_EVERY).await;
            }
        };
        tokio::select! {
            changed = announcements.changed() => if changed.is_err() {
                return;
            },
            () = publishing => {}
        }
    }
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
        if has_failed {
            client.leave_node(run);
        }
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

/// Stores the counters that the progress line shows.
fn publish_progress(run: &RunContext, progress: &ProgressCounters) {
    progress.joined.store(run.population.joined.get(), Relaxed);
    progress.probed.store(run.population.probed.get(), Relaxed);
    progress.stopped.store(run.population.stopped.get(), Relaxed);
    progress.delivered.store(run.delivered(), Relaxed);
    progress.faults.store(run.faults.borrow().total(), Relaxed);
}

#[cfg(test)]
mod tests;
