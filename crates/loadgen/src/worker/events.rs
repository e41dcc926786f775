//! What a worker reports to the run controller.

use hdrhistogram::Histogram;
use results::{Faults, LedgerSummary, TrafficCounts};

use super::Worker;
use super::checkpoints::EdgeSample;
use crate::measure::histograms::Histograms;
use crate::net::tcp_info::SocketCounts;
use crate::transports;

pub(crate) enum WorkerEvent {
    /// A second is over; −1 is the time before T0.
    Second(Box<SecondSample>),
    /// A slice is over and drained, or its drain was given up.
    Slice(Box<SliceSample>),
    /// The sockets before the first slice.
    Sockets(Box<SocketCounts>),
    /// The connections for posts are open.
    OpenForPosts,
    Done(Box<WorkerTotals>),
}

/// What one second of a worker added. When the run ends, a worker may be a second behind the
/// others.
pub(crate) struct SecondSample {
    pub(crate) second: i64,
    pub(crate) histograms: Histograms,
    pub(crate) traffic: TrafficCounts,
    pub(crate) joined: u32,
    pub(crate) faults: u64,
}

/// One slice of a worker.
pub(crate) struct SliceSample {
    /// Both edges of the window.
    pub(crate) edges: [EdgeSample; 2],
    /// Delivery latencies of the posts scheduled in the window.
    pub(crate) delivery: Histogram<u64>,
    pub(crate) drain_us: u64,
    pub(crate) drained: bool,
}

/// What a worker reports when it ends.
pub(crate) struct WorkerTotals {
    pub(crate) traffic: TrafficCounts,
    pub(crate) sockets: SocketCounts,
    pub(crate) ledger: LedgerSummary,
    pub(crate) faults: Faults,
    pub(crate) clients: Vec<ClientTotals>,
}

/// What one client received.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientTotals {
    pub(crate) client: u32,
    /// Planned messages, each counted once.
    pub(crate) received: u32,
    /// The first seq that it may have missed.
    pub(crate) first_missing: u64,
}

/// What was counted since the last report.
pub(super) fn second_sample(worker: &Worker, second: i64) -> WorkerEvent {
    let mut counters = worker.run.counters.borrow_mut();
    let now = (counters.traffic, worker.run.faults.borrow().total());
    let before = std::mem::replace(&mut counters.reported, now);
    WorkerEvent::Second(Box::new(SecondSample {
        second,
        histograms: counters.histograms.take(),
        traffic: now.0.since(&before.0),
        joined: worker.run.population.joined.get(),
        faults: now.1 - before.1,
    }))
}

pub(super) fn totals(worker: &Worker, sockets: SocketCounts) -> WorkerEvent {
    let (run, clients) = (&*worker.run, &worker.scheduler.clients);
    if !run.server_numbers_messages() {
        transports::confirm_sent_posts(run, clients);
    }
    let counters = run.counters.borrow();
    let clients = clients.iter().map(|client| {
        let ledger = client.ledger.borrow();
        let first_missing = ledger.first_gap().unwrap_or(ledger.last() + 1);
        ClientTotals { client: client.id, received: ledger.received, first_missing }
    });
    WorkerEvent::Done(Box::new(WorkerTotals {
        traffic: counters.traffic,
        sockets,
        ledger: counters.ledger.clone(),
        faults: run.faults.borrow().clone(),
        clients: clients.collect(),
    }))
}
