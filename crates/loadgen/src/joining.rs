//! One client that joins a room and leaves it again: whether there is a server at the target that lets clients in.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use results::FaultKind;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::conduct::Order;
use crate::crowd::GOODBYE;
use crate::fault::{End, Fault};
use crate::live::{Cue, Live};
use crate::posts::Posts;
use crate::transports;
use crate::worker::{Share, Worker};

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
pub async fn try_join(order: &Order, within: Duration) -> Result<(), JoinError> {
    let (_cue, heard) = watch::channel(Cue::RampUp);
    let worker = Rc::new(Worker::new(Share {
        plan: Arc::clone(&order.plan),
        transport: order.transport,
        target: order.target.clone(),
        posts: Arc::new(Posts::new(usize::try_from(order.plan.posts_total()).unwrap_or(usize::MAX))),
        live: Arc::new(Live::default()),
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
    let seat = worker.seat(0);
    let joined = async {
        while !seat.joined.get() {
            sleep(LOOK_EVERY).await;
        }
    };
    worker.begin_connecting(seat);
    tokio::select! {
        ended = transports::session(worker, seat) => {
            return Err(match ended {
                Err(End::Fault(fault)) => fault,
                Err(End::Cut) => Fault::cut_short("the joining"),
            });
        }
        () = joined => {}
        () = sleep(within) => {
            let detail = format!("the client had not joined after {} s", within.as_secs_f64());
            return Err(Fault::new(FaultKind::TimedOut, detail));
        }
    }
    if transports::leave(seat) {
        sleep(GOODBYE).await;
    }
    Ok(())
}
