//! One message at a time: a post is sent when every client of the room has received the one before.
//! Nothing is timed, so the counts are the same on every machine and under any load.
//!
//! The clients are those of a run. They poll, post and read in the same manner. Only what a run
//! leaves to timers is decided here: when to connect, when to post, and when to poll. Posts are
//! sent in the order in which they are due.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use results::{Cpu, LedgerSummary, RunEnd, Slice, TrafficCounts};
use scenario::HttpClient;
use tokio::task::LocalSet;
use tokio::time::Instant;
use wire::Transport;

use crate::client::Client;
use crate::config::RunConfig;
use crate::cpu_clock::ServerClocks;
use crate::measurements::RunMeasurements;
use crate::run_context::{WorkerConfig, WorkerIndex};
use crate::worker::Worker;
use crate::worker::checkpoints::EdgeSample;

/// Time in which a server becomes idle after the last delivery …
const IDLE_AFTER: Duration = Duration::from_micros(300);
/// … and where it still takes the next requests of all clients.
const IDLE_AFTER_REQUESTS: Duration = Duration::from_millis(1);
/// Longest time of one step.
const STEP_MAX: Duration = Duration::from_secs(20);

/// Instants of lock-step at which its caller may take measurements of its own.
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

/// What the clients counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepCounts {
    /// Connecting and joining, all clients.
    pub connecting: TrafficCounts,
    /// The posts of the window, from the first that is sent to the last delivery.
    pub window: TrafficCounts,
}

/// Why a lock-step run failed.
#[derive(Debug, thiserror::Error)]
pub enum LockStepError {
    /// The HTTP client cannot be stepped.
    #[error("http_client = \"reqwest\" polls by its own clock; lock-step needs http_client = \"built-in\"")]
    Client,
    /// A step did not end.
    #[error("over {0}, {1} did not happen within {limit_s} s", limit_s = STEP_MAX.as_secs())]
    Stuck(Transport, String),
    /// A fault occurred during a step.
    #[error("over {transport}, a fault occurred during {what}: {faults}")]
    Broke {
        /// The transport.
        transport: Transport,
        /// The step.
        what: String,
        /// The faults.
        faults: String,
    },
    /// The load generator has a bug.
    #[error("over {0}, one of the clients panicked; standard error has the message")]
    Panicked(Transport),
    /// A message was not received once, in order, as it was posted.
    #[error("over {0}, messages were lost, duplicated, reordered or altered: {1}")]
    Wrong(Transport, String),
}

/// Where to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Before the first post of the window, so that only the costs before it are counted.
    Window,
    /// After the last post.
    End,
}

/// Sends the posts of a plan one by one, on the current thread. `on_checkpoint` is awaited as in a
/// run.
pub async fn lock_step(
    config: &RunConfig,
    until: Until,
    on_checkpoint: impl AsyncFnMut(Checkpoint),
) -> Result<StepCounts, LockStepError> {
    let steps = LockStep::new(config)?;
    steps.until_panic(steps.run(until, on_checkpoint)).await
}

/// A lock-step run whose slices `lead` decides, on the current thread.
pub async fn lock_step_slices(
    config: &RunConfig,
    lead: impl AsyncFnOnce(&LockStep) -> Result<(), LockStepError>,
) -> Result<RunMeasurements, LockStepError> {
    let steps = LockStep::new(config)?;
    steps.until_panic(async { lead(&steps).await }).await?;
    steps.finish()
}

/// The clients of a lock-step run.
pub struct LockStep {
    worker: Worker,
    slices_run: Cell<u32>,
}

impl LockStep {
    fn new(config: &RunConfig) -> Result<Self, LockStepError> {
        if config.plan.http_client != HttpClient::BuiltIn {
            return Err(LockStepError::Client);
        }
        let config = WorkerConfig { lock_step: true, ..WorkerConfig::alone(config, WorkerIndex::ONLY) };
        Ok(Self { worker: Worker::new(config), slices_run: Cell::default() })
    }

    /// Runs `steps`; a client that panics ends them.
    async fn until_panic<T>(&self, steps: impl Future<Output = Result<T, LockStepError>>) -> Result<T, LockStepError> {
        let guarded = async {
            tokio::select! {
                done = steps => done,
                () = self.worker.tasks.task_panicked() => Err(LockStepError::Panicked(self.worker.run.transport)),
            }
        };
        LocalSet::new().run_until(guarded).await
    }

    /// Connects all clients, and waits until each has received one message.
    pub async fn join(&self) -> Result<(), LockStepError> {
        self.connect().await?;
        self.probe().await
    }

    /// Sends `lead_in` posts and then `posts` posts, one after the other; the latter are measured.
    pub async fn slice(&self, lead_in: u32, posts: u32, server: &ServerClocks) -> Result<Slice, LockStepError> {
        let run = &self.worker.run;
        self.post_next(lead_in).await?;
        self.server_idle().await?;
        let start = EdgeSample::now(run, server);
        self.post_next(posts).await?;
        let window = start.at.elapsed();
        self.server_idle().await?;
        let end = EdgeSample::now(run, server);
        let cpu = |of: fn(&Cpu) -> u64| of(&end.cpu).saturating_sub(of(&start.cpu));
        self.slices_run.set(self.slices_run.get() + 1);
        Ok(Slice {
            block: 0,
            position: 0,
            dropped: None,
            window_us: window.as_micros() as u64,
            traffic: end.traffic.since(&start.traffic),
            generator_cpu: Cpu { user_us: cpu(|cpu| cpu.user_us), system_us: cpu(|cpu| cpu.system_us) },
            server_cpu_ns: start.server_cpu_ns.zip(end.server_cpu_ns).map(|(start, end)| end.saturating_sub(start)),
            delivery_p50_us: None,
            drain_us: 0,
            drained: true,
        })
    }

    /// Waits until the server is idle: while it is running its CPU clock is late, see [`ServerClocks`].
    async fn server_idle(&self) -> Result<(), LockStepError> {
        let until = Instant::now() + if self.holds_requests() { IDLE_AFTER_REQUESTS } else { IDLE_AFTER };
        self.wait_for(|| Instant::now() >= until, || "a pause".to_owned()).await
    }

    /// Sends the next posts of the plan; it may have fewer left.
    async fn post_next(&self, posts: u32) -> Result<(), LockStepError> {
        for _ in 0..posts {
            let Some(post) = self.worker.scheduler.pop(&self.worker.run, i64::MAX) else { break };
            self.post(self.worker.scheduler.client(post.client), post.ordinal).await?;
        }
        Ok(())
    }

    /// Ends the run. Everything that was posted was received, or a step would have failed.
    fn finish(&self) -> Result<RunMeasurements, LockStepError> {
        let run = &self.worker.run;
        if let Some(incident) = run.counters.borrow().ledger.incidents.first() {
            return Err(LockStepError::Wrong(run.transport, format!("{incident:?}")));
        }
        let traffic = self.counts();
        let mut measured = RunMeasurements::empty(RunEnd::Complete);
        measured.total = traffic;
        measured.slices_run = self.slices_run.get();
        measured.ledger = LedgerSummary {
            scheduled: traffic.delivered,
            received: traffic.delivered,
            ..run.counters.borrow().ledger.clone()
        };
        Ok(measured)
    }

    async fn run(
        &self,
        until: Until,
        mut on_checkpoint: impl AsyncFnMut(Checkpoint),
    ) -> Result<StepCounts, LockStepError> {
        let (run, scheduler) = (&self.worker.run, &self.worker.scheduler);
        on_checkpoint(Checkpoint::Begin).await;
        self.connect().await?;
        on_checkpoint(Checkpoint::Settled).await;
        let connecting = self.counts();
        self.probe().await?;
        let mut at_window = None;
        while let Some(post) = scheduler.pop(run, i64::MAX) {
            let index = run.plan.post_index(post.client, post.ordinal);
            let in_window = index.is_some_and(|index| run.due_in_window(index).is_some());
            if in_window && at_window.is_none() {
                on_checkpoint(Checkpoint::WindowStart).await;
                at_window = Some(self.counts());
                if until == Until::Window {
                    break;
                }
            }
            self.post(scheduler.client(post.client), post.ordinal).await?;
        }
        on_checkpoint(Checkpoint::WindowEnd).await;
        let end = self.counts();
        if let Some(incident) = run.counters.borrow().ledger.incidents.first() {
            return Err(LockStepError::Wrong(run.transport, format!("{incident:?}")));
        }
        Ok(StepCounts { connecting, window: end.since(&at_window.unwrap_or(end)) })
    }

    /// Connects one client after the other.
    async fn connect(&self) -> Result<(), LockStepError> {
        self.worker.run.clock.set_t0(Instant::now());
        for client in &self.worker.scheduler.clients {
            self.worker.spawn_client(client);
            // A long polling client joins with its first request; the second is the first that is
            // held.
            let requests = match &self.worker.run.protocol {
                None if self.holds_requests() => u64::from(client.id) * 2 + 2,
                _ => 0,
            };
            let has_joined = || client.joined.get() && self.counts().requests >= requests;
            self.wait_for(has_joined, || format!("the join of client {}", client.id)).await?;
        }
        Ok(())
    }

    async fn probe(&self) -> Result<(), LockStepError> {
        for prober in self.worker.probers() {
            self.worker.send_probe(prober);
            let members = || self.worker.scheduler.members(prober.room);
            let all_probed = || members().all(|client| client.probed.get());
            self.poll_all(members(), all_probed, || "the probe".to_owned()).await?;
        }
        Ok(())
    }

    /// Sends one post and waits until it is acknowledged and every client of the room has received
    /// it.
    async fn post(&self, author: &Rc<Client>, ordinal: u64) -> Result<(), LockStepError> {
        let before = self.counts();
        author.post(&self.worker.run, ordinal);
        let post = || format!("post {ordinal} of client {}", author.id);
        let is_accepted = || self.counts().accepted > before.accepted;
        self.wait_for(is_accepted, || format!("the acknowledgement of {}", post())).await?;
        let receives = |client: &&Rc<Client>| self.worker.run.plan.author_receives || client.id != author.id;
        let members = || self.worker.scheduler.members(author.room).filter(receives);
        let receivers = members().count() as u64;
        // A long polling client must have sent its next request: otherwise the next message would
        // sometimes find it waiting and sometimes not.
        let requests = if self.holds_requests() { before.requests + 1 + receivers } else { 0 };
        let all_received = || {
            let now = self.counts();
            now.delivered >= before.delivered + receivers && now.requests >= requests
        };
        self.poll_all(members(), all_received, || format!("the delivery of {} to its room", post())).await
    }

    /// Waits until `done`. Clients that poll by interval poll one after the other.
    async fn poll_all<'a>(
        &self,
        members: impl Iterator<Item = &'a Rc<Client>>,
        done: impl Fn() -> bool,
        what: impl Fn() -> String,
    ) -> Result<(), LockStepError> {
        if self.worker.run.tuning().interval.is_some() {
            for client in members {
                // While the author's task is sending its post, waking it does not make it poll.
                self.wait_for(|| client.queue.borrow().is_empty(), &what).await?;
                let before = client.ledger.borrow().last();
                client.post_ready.notify_one();
                self.wait_for(|| client.ledger.borrow().last() > before, &what).await?;
            }
        }
        self.wait_for(done, what).await
    }

    /// Waits until `done` without sleeping: the wake-up of a core that sleeps would be charged to the
    /// server, and costs something else each time.
    async fn wait_for(&self, done: impl Fn() -> bool, what: impl Fn() -> String) -> Result<(), LockStepError> {
        let run = &self.worker.run;
        let begun = Instant::now();
        while !done() {
            let faults: Vec<_> = run.faults.borrow().texts.values().flatten().cloned().collect();
            if !faults.is_empty() {
                let faults = faults.join("; ");
                return Err(LockStepError::Broke { transport: run.transport, what: what(), faults });
            }
            if begun.elapsed() > STEP_MAX {
                return Err(LockStepError::Stuck(run.transport, what()));
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Whether the server holds requests until there is a message.
    fn holds_requests(&self) -> bool {
        self.worker.run.tuning().hold.is_some()
    }

    fn counts(&self) -> TrafficCounts {
        self.worker.run.traffic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{listener, worker, worker_to};

    fn steps(worker: Worker) -> LockStep {
        LockStep { worker, slices_run: Cell::default() }
    }

    #[tokio::test]
    async fn a_fault_ends_a_step_at_once() {
        let steps = steps(worker(1, 1, ""));
        let outcome = steps.until_panic(steps.run(Until::End, async |_| ())).await;
        assert!(matches!(outcome, Err(LockStepError::Broke { .. })), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_panicking_client_ends_the_run_at_once() {
        // A server that accepts connections and answers nothing.
        let listener = listener();
        let steps = steps(worker_to(&listener, Transport::Tcp));
        let panics = async |_| _ = steps.worker.tasks.spawn(async { panic!("this panic belongs to the test") });
        let outcome = steps.until_panic(steps.run(Until::End, panics)).await;
        assert!(matches!(outcome, Err(LockStepError::Panicked(Transport::Tcp))), "{outcome:?}");
    }
}
