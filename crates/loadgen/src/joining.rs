//! One client that joins a room and leaves it: checks whether the server at the target accepts
//! clients.

use std::time::Duration;

use results::FaultKind;
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::config::RunConfig;
use crate::error::{Fault, SessionEnd};
use crate::run_context::{WorkerConfig, WorkerIndex};
use crate::transports;
use crate::worker::Worker;

const CHECK_EVERY: Duration = Duration::from_millis(2);

/// Why a client could not join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct JoinError {
    /// The kind of fault.
    pub kind: FaultKind,
    /// What was found.
    pub detail: String,
}

/// Joins and leaves with the plan's first client. The join may take `within`.
pub async fn try_join(config: &RunConfig, within: Duration) -> Result<(), JoinError> {
    // One worker per client, so that the first worker has only the first client.
    let index = WorkerIndex { index: 0, count: config.plan.clients };
    let worker = Worker::new(WorkerConfig::alone(config, index));
    let joined = LocalSet::new().run_until(join(&worker, within)).await;
    joined.map_err(|Fault { kind, detail, .. }| JoinError { kind, detail })
}

async fn join(worker: &Worker, within: Duration) -> Result<(), Fault> {
    let session = worker.session(0);
    let joined = async {
        while !session.client.joined.get() {
            sleep(CHECK_EVERY).await;
        }
    };
    session.client.begin_connecting(&session.run);
    tokio::select! {
        ended = transports::run_session(&session) => {
            return Err(match ended {
                Err(SessionEnd::Failed(fault)) => fault,
                Err(SessionEnd::Closed) => Fault::cut_short("the join"),
            });
        }
        () = joined => {}
        () = sleep(within) => {
            let detail = format!("the client had not joined after {} s", within.as_secs_f64());
            return Err(Fault::new(FaultKind::TimedOut, detail));
        }
    }
    worker.say_goodbye().await;
    Ok(())
}
