//! Two clients that join and exchange messages: whether the protocol of a server is described
//! correctly, step by step.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::config::RunConfig;
use crate::error::SessionEnd;
use crate::run_context::{WorkerConfig, WorkerIndex};
use crate::trace::Traced;
use crate::transports;
use crate::worker::Worker;

const CHECK_EVERY: Duration = Duration::from_millis(2);
const POLLED_AFTER: Duration = Duration::from_millis(200);

/// What happens while a server is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// A step begins.
    Step(String),
    /// Bytes were sent or received.
    Traced(Traced),
    /// A step succeeded.
    Done(String),
}

/// Where it stopped, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {why}")]
pub struct TryError {
    /// The step that did not succeed.
    pub step: String,
    /// The reason.
    pub why: String,
}

/// Connects two clients, joins, and posts twice; each step may take `within`.
pub async fn try_messages(config: &RunConfig, within: Duration, tell: &mut dyn FnMut(Attempt)) -> Result<(), TryError> {
    let mut plan = config.plan.pair();
    plan.author_receives = config.target.author_receives();
    let config = RunConfig { plan: Arc::new(plan), cores: Vec::new(), ..config.clone() };
    // In lock-step nothing is posted by a schedule.
    let alone = WorkerConfig::alone(&config, WorkerIndex::ONLY);
    let worker = Worker::new(WorkerConfig { traced: true, lock_step: true, ..alone });
    LocalSet::new().run_until(Trial { worker, within, tell, ended: Rc::default() }.run()).await
}

struct Trial<'a> {
    worker: Worker,
    within: Duration,
    tell: &'a mut dyn FnMut(Attempt),
    /// Why a session ended.
    ended: Rc<RefCell<Option<SessionEnd>>>,
}

impl Trial<'_> {
    async fn run(mut self) -> Result<(), TryError> {
        let worker = self.worker.clone();
        let (run, clients) = (&worker.run, &worker.scheduler.clients);
        run.clock.set_t0(Instant::now());
        for client in clients {
            let (session, ended) = (worker.session(client.id), Rc::clone(&self.ended));
            client.begin_connecting(run);
            worker.tasks.spawn(async move {
                let Err(end) = transports::run_session(&session).await;
                *ended.borrow_mut() = Some(end);
            });
            let why = || "it has not joined: what the join waits for has not come".to_owned();
            self.step(format!("client {} joins", client.id + 1), || client.joined.get(), why).await?;
        }
        let room = || clients.iter().filter(|client| client.room == clients[0].room);
        let missing = |has: &dyn Fn(&crate::client::Client) -> bool| {
            let names = room().filter(|client| !has(client)).map(|client| format!("client {}", client.id + 1));
            let (names, unmarked) = (names.collect::<Vec<_>>().join(" and "), run.traffic().unmarked);
            format!("{names} did not receive it; {unmarked} messages without the text of a post were received")
        };
        worker.send_probe(&clients[0]);
        let all_probed = || room().all(|client| client.probed.get());
        self.step("client 1 posts".to_owned(), all_probed, || missing(&|client| client.probed.get())).await?;
        clients[0].post(run, 1);
        let receives = |client: &crate::client::Client| {
            client.ledger.borrow().received > 0 || (client.id == 0 && !run.plan.author_receives)
        };
        let all_received = || room().all(|client| receives(client)) && run.traffic().accepted > 0;
        let why = || match room().all(|client| receives(client)) {
            true => "all received it, but the server did not acknowledge it".to_owned(),
            false => missing(&receives),
        };
        self.step("client 1 posts again".to_owned(), all_received, why).await?;
        if let Some(incident) = run.counters.borrow().ledger.incidents.first() {
            let why = format!("a message was {:?} at client {}", incident.kind, incident.client + 1).to_lowercase();
            return Err(TryError { step: "client 1 posts again".to_owned(), why });
        }
        worker.say_goodbye().await;
        Ok(())
    }

    /// Waits until a step is done, and tells what was sent and received meanwhile.
    async fn step(&mut self, step: String, done: impl Fn() -> bool, why: impl Fn() -> String) -> Result<(), TryError> {
        (self.tell)(Attempt::Step(step.clone()));
        let begun = Instant::now();
        let (mut stopped, mut polls) = (None, 0);
        while !done() && stopped.is_none() {
            if begun.elapsed() > POLLED_AFTER * polls {
                polls += 1;
                // A client that polls by interval polls when it is woken.
                self.worker.scheduler.clients.iter().for_each(|client| client.post_ready.notify_one());
            }
            sleep(CHECK_EVERY).await;
            self.tell_traced();
            stopped = match self.ended.take() {
                Some(SessionEnd::Failed(fault)) => Some(fault.to_string()),
                Some(SessionEnd::Closed) => Some("the server closed the connection".to_owned()),
                None => {
                    (begun.elapsed() > self.within).then(|| format!("{} after {} s", why(), self.within.as_secs_f64()))
                }
            };
            let faults = self.worker.run.faults.borrow().texts.values().flatten().next().cloned();
            stopped = stopped.or(faults);
        }
        self.tell_traced();
        if let Some(why) = stopped {
            return Err(TryError { step, why });
        }
        (self.tell)(Attempt::Done(format!("after {:.1} ms", begun.elapsed().as_secs_f64() * 1e3)));
        Ok(())
    }

    fn tell_traced(&mut self) {
        let traced = self.worker.run.trace.as_ref().map(crate::trace::Trace::take).unwrap_or_default();
        traced.into_iter().for_each(|one| (self.tell)(Attempt::Traced(one)));
    }
}
