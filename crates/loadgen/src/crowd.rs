//! A worker's life: clients that connect when the plan says so and come back when they are cut, a timer for the posts, a ticker for
//! seconds, and a watchman for those that hear nothing.

use std::rc::Rc;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use scenario::Protocol;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until};

use crate::client::Client;
use crate::error::{Fault, SessionEnd};
use crate::live::Cue;
use crate::pacer::PreciseTimer;
use crate::recorder::Histograms;
use crate::tcp_info::SocketCounts;
use crate::transports;
use crate::worker::{Worker, WorkerConfig};
use results::FaultKind;
use results::LedgerSummary;
use results::TrafficCounts;
use results::{Cpu, Faults};

/// What those who say goodbye leave the server for hearing it before their connections end.
pub(crate) const GOODBYE: Duration = Duration::from_millis(200);
const LIVE_EVERY: Duration = Duration::from_millis(50);
/// Silence beyond what a transport's own beat explains.
const SILENCE_MAX: Duration = Duration::from_secs(20);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What a worker tells the conductor.
pub(crate) enum WorkerEvent {
    /// A second is over; −1 is everything before T0.
    Second(Box<SecondSample>),
    /// A reading at an edge of the window.
    Edge(Box<EdgeSample>),
    Done(Box<WorkerTotals>),
}

/// What one worker's second added; a worker may be a second behind the others when the run ends.
pub(crate) struct SecondSample {
    pub(crate) second: i64,
    pub(crate) recorder: Histograms,
    pub(crate) tally: TrafficCounts,
    pub(crate) joined: u32,
    pub(crate) faults: u64,
}

/// A worker's counts and CPU at one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EdgeSample {
    pub(crate) at: Instant,
    pub(crate) tally: TrafficCounts,
    pub(crate) cpu: Cpu,
    pub(crate) sockets: SocketCounts,
}

/// What is left when a worker ends.
pub(crate) struct WorkerTotals {
    pub(crate) tally: TrafficCounts,
    pub(crate) sockets: SocketCounts,
    pub(crate) ledger: LedgerSummary,
    pub(crate) faults: Faults,
    /// Seat, planned messages it saw, and the first it may have missed.
    pub(crate) clients: Vec<(u32, u32, u64)>,
}

/// A worker thread from begin to end.
pub(crate) fn run_worker(
    share: WorkerConfig,
    core: Option<usize>,
    reports: mpsc::Sender<WorkerEvent>,
) -> std::io::Result<()> {
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
    let worker = Rc::new(Worker::new(share));
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        tokio::select! {
            () = run(Rc::clone(&worker), timer, reports) => Ok(()),
            () = worker.task_panicked.notified() => Err(std::io::Error::other("one of its tasks panicked")),
        }
    })
}

/// Starts a task of a worker. The runtime would let a panic end only that task, and a client that is gone without a word would look
/// like a server that loses messages: the whole worker ends instead, and the run with it.
pub(crate) fn spawn(worker: &Rc<Worker>, task: impl Future<Output = ()> + 'static) -> AbortHandle {
    struct Alarm(Rc<Worker>);
    impl Drop for Alarm {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.task_panicked.notify_one();
            }
        }
    }
    let alarm = Alarm(Rc::clone(worker));
    spawn_local(async move {
        let _alarm = alarm;
        task.await;
    })
    .abort_handle()
}

async fn run(worker: Rc<Worker>, timer: PreciseTimer, reports: mpsc::Sender<WorkerEvent>) {
    let mut cue = worker.cue.clone();
    spawn(&worker, connect_clients(Rc::clone(&worker)));
    spawn(&worker, publish(Rc::clone(&worker)));
    spawn(&worker, check_idle_clients(Rc::clone(&worker)));
    wait_for(&mut cue, |cue| cue != Cue::RampUp).await;
    let stopped = async {
        let mut cue = worker.cue.clone();
        wait_for(&mut cue, |cue| cue == Cue::Stop).await;
    };
    let playing = play(Rc::clone(&worker), timer, reports.clone());
    let second = tokio::select! {
        second = playing => second,
        () = stopped => current_second(&worker),
    };
    worker.publish_progress();
    reports.send(WorkerEvent::Second(Box::new(second_sample(&worker, second)))).await.ok();
    let sockets = worker.connections.total(async || ()).await;
    reports.send(WorkerEvent::Done(Box::new(remains(&worker, sockets)))).await.ok();
    // Who said goodbye asks no further question, and nobody comes back.
    worker.client_tasks.borrow().iter().for_each(AbortHandle::abort);
    if worker.clients.iter().filter(|client| transports::say_goodbye(client)).count() > 0 {
        sleep(GOODBYE).await;
    }
}

/// From the probe to the end. Comes back only when the conductor is gone.
async fn play(worker: Rc<Worker>, timer: PreciseTimer, reports: mpsc::Sender<WorkerEvent>) -> i64 {
    let mut cue = worker.cue.clone();
    if *cue.borrow() == Cue::Probe {
        worker.clients.iter().filter(|client| worker.is_prober(client)).for_each(|client| worker.probe(client));
    }
    wait_for(&mut cue, |cue| matches!(cue, Cue::Go { .. })).await;
    if let Cue::Go { t0 } = *cue.borrow() {
        worker.clock.set_t0(t0);
    }
    spawn(&worker, send_scheduled(Rc::clone(&worker), timer));
    spawn(&worker, read_edges(Rc::clone(&worker), reports.clone(), thread_cpu));
    let mut second = -1;
    loop {
        let end = worker.clock.instant(Duration::from_secs(u64::try_from(second + 1).unwrap_or(0)));
        sleep_until(end).await;
        if reports.send(WorkerEvent::Second(Box::new(second_sample(&worker, second)))).await.is_err() {
            return second;
        }
        second += 1;
    }
}

fn current_second(worker: &Worker) -> i64 {
    if worker.clock.has_t0() { worker.clock.now_us().div_euclid(1_000_000).max(-1) } else { -1 }
}

/// Waits for a cue; an end of the conductor is a `Stop`.
async fn wait_for(cue: &mut watch::Receiver<Cue>, wanted: impl Fn(Cue) -> bool) {
    cue.wait_for(|now| wanted(*now) || *now == Cue::Stop).await.ok();
}

async fn connect_clients(worker: Rc<Worker>) {
    let begin = Instant::now();
    for client in &worker.clients {
        let at = begin + worker.plan.connect_at(client.id);
        if at > Instant::now() {
            sleep_until(at).await;
        }
        let life = spawn(&worker, run_client(Rc::clone(&worker), Rc::clone(client)));
        worker.client_tasks.borrow_mut().push(life);
    }
}

/// Keeps a client in its room: connects, and comes back with its cursor when the connection is over.
pub(crate) async fn run_client(worker: Rc<Worker>, client: Rc<Client>) {
    let (mut tries, mut faults, mut failures) = (0, 0, 0);
    while faults <= worker.plan.limits.reconnects_max {
        worker.begin_connecting(&client);
        let Err(end) = transports::session(&worker, &client).await;
        let was_joined = client.joined.get();
        worker.mark_disconnected(&client);
        let (broke, mut pause) = (end != SessionEnd::Closed, Duration::ZERO);
        match end {
            SessionEnd::Closed => worker.counters.borrow_mut().traffic.cuts += 1,
            SessionEnd::Failed(_) if client.aborted.take() => {}
            SessionEnd::Failed(fault) => {
                pause = fault.pause();
                worker.fault(fault);
            }
        }
        tries += 1;
        faults += u32::from(broke);
        // Only a client that was in its room and was sent away properly comes back at once.
        failures = if was_joined { u32::from(broke) } else { failures + 1 };
        sleep(backoff(client.id, tries, failures).max(pause)).await;
    }
    worker.stop_retrying(&client);
}

/// None after a proper cut; then doubling, each client with a share of its own so that a crowd does not come back as one.
fn backoff(client: u32, retry: u32, failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let full = BACKOFF_FIRST.saturating_mul(1 << doublings.min(10)).min(BACKOFF_MAX);
    let mixed = (u64::from(client) << 32 | u64::from(retry)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    full.mul_f64(0.5 + 0.5 * mixed as f64 / f64::from(u32::MAX))
}

async fn publish(worker: Rc<Worker>) {
    loop {
        worker.publish_progress();
        sleep(LIVE_EVERY).await;
    }
}

/// Sends posts when they are due.
async fn send_scheduled(worker: Rc<Worker>, timer: PreciseTimer) {
    while let Some(wait) = worker.until_next_post() {
        if let Err(error) = timer.sleep(wait).await {
            return worker.fault(error.into());
        }
        worker.send_scheduled();
    }
}

/// Breaks connections on which nothing was heard for longer than their transport explains.
async fn check_idle_clients(worker: Rc<Worker>) {
    let idle_max = worker.tuning().idle_max();
    // Who only repeats what it is told does not beat.
    let beat = if worker.target.protocol == Protocol::Pushbench { idle_max } else { Duration::MAX / 2 };
    let limit = u32::try_from((beat + SILENCE_MAX).as_secs()).unwrap_or(u32::MAX);
    loop {
        sleep(Duration::from_secs(1)).await;
        let now = worker.update_second();
        for client in &worker.clients {
            let link = client.connection.borrow();
            if let Some(link) = link.as_ref().filter(|_| now.saturating_sub(client.last_read_s.get()) > limit) {
                client.aborted.set(true);
                client.last_read_s.set(now);
                worker.fault(Fault::new(FaultKind::TimedOut, format!("nothing was heard for {limit} s")));
                link.abort();
            }
        }
    }
}

/// Reads counts and CPU at the window's edges. What it takes to ask the kernel of the sockets is nobody's cost.
async fn read_edges(worker: Rc<Worker>, reports: mpsc::Sender<WorkerEvent>, cpu_now: impl Fn() -> Cpu) {
    let phases = worker.plan.phases;
    let mut asking = Cpu::default();
    for edge in [phases.warm_up(), phases.posting()] {
        sleep_until(worker.clock.instant(edge)).await;
        let (at, tally, mut begun) = (Instant::now(), worker.counters.borrow().traffic, cpu_now());
        let cpu = Cpu { user_us: begun.user_us - asking.user_us, system_us: begun.system_us - asking.system_us };
        let sockets = worker.connections.total(async || {
            let asked = cpu_now();
            asking.user_us += asked.user_us - begun.user_us;
            asking.system_us += asked.system_us - begun.system_us;
            tokio::task::yield_now().await;
            begun = cpu_now();
        });
        let sockets = sockets.await;
        reports.send(WorkerEvent::Edge(Box::new(EdgeSample { at, tally, cpu, sockets }))).await.ok();
    }
}

fn thread_cpu() -> Cpu {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else { return Cpu::default() };
    let micros = |time: TimeVal| time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_usec().unsigned_abs();
    Cpu { user_us: micros(usage.user_time()), system_us: micros(usage.system_time()) }
}

fn second_sample(worker: &Worker, second: i64) -> SecondSample {
    let mut hot = worker.counters.borrow_mut();
    let joined = worker.clients.iter().filter(|client| client.joined.get()).count() as u32;
    let now = (hot.traffic, worker.faults.borrow().total());
    let before = std::mem::replace(&mut hot.reported, now);
    SecondSample {
        second,
        recorder: hot.histograms.take(),
        tally: now.0.since(&before.0),
        joined,
        faults: now.1 - before.1,
    }
}

fn remains(worker: &Worker, sockets: SocketCounts) -> WorkerTotals {
    if worker.target.protocol != Protocol::Pushbench {
        worker.confirm_sent_posts();
    }
    let hot = worker.counters.borrow();
    let clients = worker.clients.iter().map(|client| {
        let ledger = client.ledger.borrow();
        (client.id, ledger.received, ledger.first_gap().unwrap_or(ledger.last() + 1))
    });
    WorkerTotals {
        tally: hot.traffic,
        sockets,
        ledger: hot.ledger.clone(),
        faults: worker.faults.borrow().clone(),
        clients: clients.collect(),
    }
}

#[cfg(test)]
mod tests;
