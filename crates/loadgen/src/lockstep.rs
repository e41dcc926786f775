//! One message at a time: a post leaves when everybody has seen the one before. Nothing here is timed, so what is counted is the same
//! on every machine and under any load.
//!
//! The clients are those of a run. They ask, post and read as ever; only what a run leaves to timers is said here: when to connect, when
//! to post, and for a poller when to ask. The plan's posts leave in the order in which they are due.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use results::TrafficCounts;
use scenario::HttpClient;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::Instant;
use wire::Transport;

use crate::client::{Client, PendingPost};
use crate::conduct::{Checkpoint, RunConfig};
use crate::crowd;
use crate::live::{Cue, ProgressCounters};
use crate::posts::PostTable;
use crate::worker::{Worker, WorkerConfig};

/// A step that takes longer than this never ends.
const STEP_MAX: Duration = Duration::from_secs(20);

/// What the clients counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepCounts {
    /// Connecting and joining, everybody.
    pub connecting: TrafficCounts,
    /// The window's posts, from the first one leaving to the last receiver.
    pub window: TrafficCounts,
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum LockStepError {
    /// Not with these clients.
    #[error("http_client = \"reqwest\" polls by its own clock; lock-step needs http_client = \"built-in\"")]
    Client,
    /// Something did not come.
    #[error("over {0}, {1} did not happen within {limit_s} s", limit_s = STEP_MAX.as_secs())]
    Stuck(Transport, String),
    /// Something else came first.
    #[error("over {transport}, {what} was waited for when something broke: {faults}")]
    Broke {
        /// Which transport.
        transport: Transport,
        /// What was to happen.
        what: String,
        /// What broke.
        faults: String,
    },
    /// A fault of ours.
    #[error("over {0}, one of the clients panicked; standard error says where")]
    Panicked(Transport),
    /// It came, but not once, in order, as posted.
    #[error("over {0}, messages were lost, doubled, reordered or altered: {1}")]
    Wrong(Transport, String),
}

/// How far to walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To the window's first post, which does not leave: what is spent so far is not the window's.
    Window,
    /// To the end.
    End,
}

/// Walks through the plan's posts on the current thread. `on_edge` is awaited as in a run: before the first connection, when
/// everybody is connected, before the first post of the window and after its last.
pub async fn lock_step(
    order: &RunConfig,
    until: Until,
    on_edge: impl AsyncFnMut(Checkpoint),
) -> Result<StepCounts, LockStepError> {
    if order.plan.http_client != HttpClient::BuiltIn {
        return Err(LockStepError::Client);
    }
    let (_cue, heard) = watch::channel(Cue::RampUp);
    let worker = Rc::new(Worker::new(WorkerConfig {
        plan: Arc::clone(&order.plan),
        transport: order.transport,
        target: order.target.clone(),
        posts: Arc::new(PostTable::new(usize::try_from(order.plan.posts_total()).unwrap_or(usize::MAX))),
        live: Arc::new(ProgressCounters::default()),
        cue: heard,
        base: Instant::now(),
        at: (0, 1),
        lock_step: true,
    }));
    LocalSet::new().run_until(run_until_panic(&worker, until, on_edge)).await
}

async fn run_until_panic(
    worker: &Rc<Worker>,
    end: Until,
    on_edge: impl AsyncFnMut(Checkpoint),
) -> Result<StepCounts, LockStepError> {
    tokio::select! {
        steps = run_steps(worker, end, on_edge) => steps,
        () = worker.task_panicked.notified() => Err(LockStepError::Panicked(worker.transport)),
    }
}

async fn run_steps(
    worker: &Rc<Worker>,
    end: Until,
    mut on_edge: impl AsyncFnMut(Checkpoint),
) -> Result<StepCounts, LockStepError> {
    on_edge(Checkpoint::Begin).await;
    worker.clock.set_t0(Instant::now());
    for client in &worker.clients {
        crowd::spawn(worker, crowd::run_client(Rc::clone(worker), Rc::clone(client)));
        let questions = if worker.transport == Transport::LongPolling { u64::from(client.id) * 2 + 2 } else { 0 };
        let joined = || client.joined.get() && tally(worker).requests >= questions;
        until(worker, joined, || format!("the joining of client {}", client.id)).await?;
    }
    on_edge(Checkpoint::Settled).await;
    let connecting = tally(worker);
    for prober in worker.clients.iter().filter(|client| worker.is_prober(client)) {
        worker.probe(prober);
        let members = || worker.clients.iter().filter(|client| client.room == prober.room);
        poll_all(worker, members(), || members().all(|client| client.probed.get()), || "the probe".to_owned()).await?;
    }
    let mut begun = None;
    loop {
        let next = worker.pacer.borrow_mut().pop(&worker.plan, i64::MAX);
        let Some(post) = next else { break };
        let in_window = worker.plan.post_index(post.client, post.ordinal).is_some_and(|at| worker.is_in_window(at));
        if in_window && begun.is_none() {
            on_edge(Checkpoint::WindowStart).await;
            begun = Some(tally(worker));
            if end == Until::Window {
                break;
            }
        }
        step(worker, worker.client(post.client), post.ordinal).await?;
    }
    on_edge(Checkpoint::WindowEnd).await;
    let end = tally(worker);
    let ledger = worker.counters.borrow().ledger.clone();
    if let Some(incident) = ledger.incidents.first() {
        return Err(LockStepError::Wrong(worker.transport, format!("{incident:?}")));
    }
    Ok(StepCounts { connecting, window: end.since(&begun.unwrap_or(end)) })
}

/// One post, until it is confirmed and everybody in its room has seen it.
async fn step(worker: &Rc<Worker>, author: &Rc<Client>, ordinal: u64) -> Result<(), LockStepError> {
    let before = tally(worker);
    author.queue.borrow_mut().push_back(PendingPost::now(ordinal));
    worker.flush(author);
    let members = || worker.clients.iter().filter(|client| client.room == author.room);
    let named = || format!("post {ordinal} of client {}", author.id);
    until(worker, || tally(worker).accepted > before.accepted, || format!("the confirmation of {}", named())).await?;
    let receivers = members().count() as u64;
    // A long poller must have asked again: the next message would otherwise find it on its way, at times.
    let requests = match worker.transport {
        Transport::LongPolling => before.requests + 1 + receivers,
        Transport::Tcp
        | Transport::Polling
        | Transport::HttpStreaming
        | Transport::Sse
        | Transport::Websocket
        | Transport::SocketioPolling
        | Transport::SocketioWebsocket
        | Transport::Socketio
        | Transport::Stomp => 0,
    };
    let seen = || {
        let now = tally(worker);
        now.delivered >= before.delivered + receivers && now.requests >= requests
    };
    poll_all(worker, members(), seen, || format!("the delivery of {} to all of its room", named())).await
}

/// Waits until everybody has it; pollers are told to ask for it, one after the other.
async fn poll_all<'a>(
    worker: &Rc<Worker>,
    members: impl Iterator<Item = &'a Rc<Client>>,
    seen: impl Fn() -> bool,
    what: impl Fn() -> String,
) -> Result<(), LockStepError> {
    if worker.transport == Transport::Polling {
        for client in members {
            // The author's post may be the thing its poller is at: until it is answered, the bell only rings for posts.
            until(worker, || client.queue.borrow().is_empty(), &what).await?;
            let before = client.ledger.borrow().last();
            client.post_ready.notify_one();
            until(worker, || client.ledger.borrow().last() > before, &what).await?;
        }
    }
    until(worker, seen, what).await
}

async fn until(worker: &Rc<Worker>, done: impl Fn() -> bool, what: impl Fn() -> String) -> Result<(), LockStepError> {
    let begun = Instant::now();
    while !done() {
        let faults: Vec<_> = worker.faults.borrow().texts.values().flatten().cloned().collect();
        if !faults.is_empty() {
            return Err(LockStepError::Broke { transport: worker.transport, what: what(), faults: faults.join("; ") });
        }
        if begun.elapsed() > STEP_MAX {
            return Err(LockStepError::Stuck(worker.transport, what()));
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn tally(worker: &Worker) -> TrafficCounts {
    worker.counters.borrow().traffic
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::tests::{worker, worker_to};

    #[tokio::test]
    async fn what_broke_is_not_called_slow() {
        let worker = worker(1, 1, "");
        let walked = LocalSet::new().run_until(run_until_panic(&worker, Until::End, async |_| ())).await;
        assert!(matches!(walked, Err(LockStepError::Broke { .. })), "{walked:?}");
    }

    #[tokio::test]
    async fn a_panicking_client_ends_it_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let worker = worker_to(&listener, Transport::Tcp);
        let panics = async |_| _ = crowd::spawn(&worker, async { panic!("this panic belongs to the test") });
        let walked = LocalSet::new().run_until(run_until_panic(&worker, Until::End, panics)).await;
        assert!(matches!(walked, Err(LockStepError::Panicked(Transport::Tcp))), "{walked:?}");
    }
}
