//! One client that joins a room and leaves it again: whether there is a server at the target that lets clients in.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use results::FaultKind;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::conduct::RunConfig;
use crate::crowd::GOODBYE;
use crate::error::{Fault, SessionEnd};
use crate::live::{Cue, ProgressCounters};
use crate::posts::PostTable;
use crate::transports;
use crate::worker::{Worker, WorkerConfig};

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Why a client could not join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct JoinError {
    /// What kind of fault it was.
    pub kind: FaultKind,
    /// What was found.
    pub detail: String,
}

/// Joins the plan's first client and lets it leave; it may take `within` for the joining.
pub async fn try_join(order: &RunConfig, within: Duration) -> Result<(), JoinError> {
    let (_cue, heard) = watch::channel(Cue::RampUp);
    let worker = Rc::new(Worker::new(WorkerConfig {
        plan: Arc::clone(&order.plan),
        transport: order.transport,
        target: order.target.clone(),
        posts: Arc::new(PostTable::new(usize::try_from(order.plan.posts_total()).unwrap_or(usize::MAX))),
        live: Arc::new(ProgressCounters::default()),
        cue: heard,
        base: Instant::now(),
        // A worker for each client: the first of them has the first client.
        at: (0, order.plan.clients),
        lock_step: false,
    }));
    let joined = LocalSet::new().run_until(join(&worker, within)).await;
    joined.map_err(|Fault { kind, detail, .. }| JoinError { kind, detail })
}

async fn join(worker: &Rc<Worker>, within: Duration) -> Result<(), Fault> {
    let client = worker.client(0);
    let joined = async {
        while !client.joined.get() {
            sleep(LOOK_EVERY).await;
        }
    };
    worker.begin_connecting(client);
    tokio::select! {
        ended = transports::session(worker, client) => {
            return Err(match ended {
                Err(SessionEnd::Failed(fault)) => fault,
                Err(SessionEnd::Closed) => Fault::cut_short("the joining"),
            });
        }
        () = joined => {}
        () = sleep(within) => {
            let detail = format!("the client had not joined after {} s", within.as_secs_f64());
            return Err(Fault::new(FaultKind::TimedOut, detail));
        }
    }
    if transports::say_goodbye(client) {
        sleep(GOODBYE).await;
    }
    Ok(())
}
