//! One worker thread's state: its clients, its recorder, its counts. Everything here belongs to one thread; the hot path takes one
//! borrow a read and shares nothing but the table of posts.

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use scenario::{Plan, Protocol, TransportTuning};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use wire::{Framing, Transport};

use crate::client::{Client, Way};
use crate::clock::{Clock, micros};
use crate::error::Fault;
use crate::ledger::RoomOrder;
use crate::link::{self, OpenConnections, ReadHalf};
use crate::live::{Cue, ProgressCounters};
use crate::pacer::ScheduleCursor;
use crate::posts::PostTable;
use crate::protocol::request::Requests;
use crate::recorder::Histograms;
use crate::repeated::LocalSequence;
use crate::target::Target;
use results::FaultKind;
use results::Faults;
use results::LedgerSummary;
use results::Series;
use results::{ByteClass, Direction, TrafficCounts, TrafficKind};

/// Author of the one message every room gets before T0; it is not in the plan.
pub(crate) const PROBE_AUTHOR: u32 = u32::MAX;
/// Read into by all clients of the thread, one after the other.
const SCRATCH_BYTES: usize = 64 << 10;
/// OpenConnections one source address carries towards one destination before another is taken; the usual port range has 28,232.
const PORTS_PER_SOURCE: u64 = 25_000;

/// What the hot path changes.
pub(crate) struct Counters {
    pub(crate) traffic: TrafficCounts,
    pub(crate) histograms: Histograms,
    pub(crate) ledger: LedgerSummary,
    pub(crate) rooms: Vec<Option<RoomOrder>>,
    /// What stands in for the seqs of a server that gives none.
    pub(crate) numbers: Option<LocalSequence>,
    /// Newest post known of each author: its seq and its ordinal, which must rise together.
    pub(crate) authors: Vec<(u64, u64)>,
    /// The post that was checked last, and where its text is: the others of its room mostly see it next.
    pub(crate) last_text: (usize, usize),
    /// What the seconds before told: counts and faults.
    pub(crate) reported: (TrafficCounts, u64),
}

pub(crate) struct Worker {
    pub(crate) plan: Arc<Plan>,
    pub(crate) transport: Transport,
    pub(crate) framing: Framing,
    pub(crate) target: Target,
    pub(crate) clock: Clock,
    pub(crate) posts: Arc<PostTable>,
    pub(crate) live: Arc<ProgressCounters>,
    pub(crate) clients: Vec<Rc<Client>>,
    pub(crate) counters: RefCell<Counters>,
    pub(crate) faults: RefCell<Faults>,
    pub(crate) pacer: RefCell<ScheduleCursor>,
    pub(crate) scratch: RefCell<Vec<u8>>,
    pub(crate) connections: Rc<OpenConnections>,
    pub(crate) cue: watch::Receiver<Cue>,
    pub(crate) compose: RefCell<Vec<u8>>,
    pub(crate) next_due_us: Cell<i64>,
    pub(crate) lock_step: bool,
    pub(crate) window_us: Range<i64>,
    at: (u32, u32),
    second: Cell<u32>,
    joined: Cell<u32>,
    pub(crate) probed: Cell<u32>,
    gone: Cell<u32>,
    /// The tasks of its clients.
    pub(crate) client_tasks: RefCell<Vec<AbortHandle>>,
    /// Rung when one of its tasks panics.
    pub(crate) task_panicked: Notify,
}

/// What a worker is made from.
pub(crate) struct WorkerConfig {
    pub(crate) plan: Arc<Plan>,
    pub(crate) transport: Transport,
    pub(crate) target: Target,
    pub(crate) posts: Arc<PostTable>,
    pub(crate) live: Arc<ProgressCounters>,
    pub(crate) cue: watch::Receiver<Cue>,
    pub(crate) base: tokio::time::Instant,
    /// Which worker of how many.
    pub(crate) at: (u32, u32),
    /// Nothing goes by the clock: see [`crate::lockstep`].
    pub(crate) lock_step: bool,
}

impl Worker {
    pub(crate) fn new(share: WorkerConfig) -> Self {
        let WorkerConfig { plan, transport, target, posts, live, cue, base, at, lock_step } = share;
        let clients: Vec<_> =
            plan.clients_of_worker(at.0, at.1).map(|id| Rc::new(Client::new(id, plan.room_of(id)))).collect();
        let mut rooms: Vec<Option<RoomOrder>> = (0..plan.rooms).map(|_| None).collect();
        for client in &clients {
            let room = &mut rooms[client.room as usize];
            room.get_or_insert_with(|| RoomOrder::new(plan.posts_in_room(client.room)));
        }
        let pacer = ScheduleCursor::new(&plan, plan.clients_of_worker(at.0, at.1));
        let next_due_us = if lock_step { i64::MAX } else { pacer.due_us().map_or(i64::MAX, i64::from) };
        Self {
            framing: Framing::of(transport, plan.encoding(transport)),
            counters: RefCell::new(Counters {
                traffic: TrafficCounts::default(),
                histograms: Histograms::new(),
                ledger: LedgerSummary::default(),
                numbers: (target.protocol != Protocol::Pushbench).then(|| LocalSequence::new(&plan)),
                rooms,
                authors: vec![(0, 0); plan.clients as usize],
                last_text: (usize::MAX, 0),
                reported: (TrafficCounts::default(), 0),
            }),
            faults: RefCell::default(),
            pacer: RefCell::new(pacer),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES]),
            connections: Rc::default(),
            compose: RefCell::default(),
            next_due_us: Cell::new(next_due_us),
            window_us: micros(plan.phases.warm_up())..micros(plan.phases.posting()),
            second: Cell::new(0),
            joined: Cell::new(0),
            probed: Cell::new(0),
            gone: Cell::new(0),
            client_tasks: RefCell::default(),
            task_panicked: Notify::new(),
            clock: Clock::new(base),
            at,
            lock_step,
            plan,
            transport,
            target,
            posts,
            live,
            clients: clients,
            cue,
        }
    }

    /// A client of this worker by its number.
    pub(crate) fn client(&self, id: u32) -> &Rc<Client> {
        &self.clients[(id / self.at.1) as usize]
    }

    /// Whether this client posts its room's probe.
    pub(crate) fn is_prober(&self, client: &Client) -> bool {
        client.id < self.plan.rooms
    }

    /// Settings of the transport.
    pub(crate) fn tuning(&self) -> TransportTuning {
        self.plan.tuning.of(self.transport)
    }

    /// Whether a client ever posts.
    pub(crate) fn posts_at_all(&self, client: &Client) -> bool {
        self.is_prober(client) || self.plan.posts_of(client.id) > 0
    }

    pub(crate) fn requests(&self, client: &Client, parameters: &str, headers: &str) -> Requests {
        Requests::new(&self.target, self.transport, &self.plan.room_name(client.room), parameters, headers)
    }

    /// Opens a connection for a client.
    pub(crate) async fn open(&self, client: &Client) -> Result<ReadHalf, Fault> {
        let to = if self.transport.is_http() { self.target.http } else { self.target.tcp };
        let sources = self.plan.sockets(self.transport) / PORTS_PER_SOURCE + 1;
        let source = (sources > 1 && to.ip().is_loopback() && to.is_ipv4())
            .then(|| Ipv4Addr::new(127, 0, 0, 1 + (u64::from(client.id) % sources) as u8));
        let reading = link::open(to, source, &self.connections).await?;
        self.counters.borrow_mut().traffic.connections += 1;
        client.last_read_s.set(self.cached_second());
        Ok(reading)
    }

    /// Waits for bytes on a client's connection; they are at the head of the scratch buffer then.
    pub(crate) async fn read(&self, client: &Client, reading: &mut ReadHalf) -> Result<usize, Fault> {
        let read = reading.read(&self.scratch).await?;
        client.last_read_s.set(self.cached_second());
        self.counters.borrow_mut().traffic.socket_reads += 1;
        Ok(read)
    }

    /// Sends on a connection and counts the write.
    pub(crate) fn send(&self, link: &link::Connection, bytes: &[u8]) -> Result<(), Fault> {
        self.counters.borrow_mut().traffic.socket_writes += 1;
        link.send(bytes)
    }

    /// Second of the run as the watchman last looked: close enough for him, and no reading of the clock.
    pub(crate) fn cached_second(&self) -> u32 {
        self.second.get()
    }

    /// Looks at the clock for the watchman.
    pub(crate) fn update_second(&self) -> u32 {
        self.second.set(u32::try_from(self.clock.run_us() / 1_000_000).unwrap_or(u32::MAX));
        self.second.get()
    }

    pub(crate) fn count_bytes(&self, direction: Direction, purpose: TrafficKind, class: ByteClass, bytes: usize) {
        self.counters.borrow_mut().traffic.add(direction, purpose, class, bytes);
    }

    /// A client begins to connect.
    pub(crate) fn begin_connecting(&self, client: &Client) {
        client.connecting_us.set(self.clock.run_us());
    }

    /// A client is in its room; everything behind `after` will reach it.
    pub(crate) fn join(&self, client: &Client, after: u64) {
        if !client.joined_once.replace(true) {
            client.ledger.borrow_mut().start_after(after);
        }
        if !client.joined.replace(true) {
            self.joined.set(self.joined.get() + 1);
            let took = self.clock.run_us() - client.connecting_us.get();
            self.counters.borrow_mut().histograms.record(Series::ConnectTime, took);
        }
    }

    /// Once a client has joined, its posts leave on its connection.
    pub(crate) fn open_in_band(&self, client: &Client, link: &Rc<link::Connection>) {
        if client.joined.get() && matches!(*client.sender.borrow(), Way::None) {
            *client.sender.borrow_mut() = Way::InBand(Rc::clone(link));
            *client.connection.borrow_mut() = Some(Rc::clone(link));
            self.flush(client);
        }
    }

    /// A session that began on polling has its WebSocket.
    pub(crate) fn count_upgrade(&self, opened_us: i64) {
        let mut hot = self.counters.borrow_mut();
        hot.traffic.upgrades += 1;
        hot.histograms.record(Series::UpgradeTime, self.clock.run_us() - opened_us);
    }

    /// A session was refused its WebSocket and goes on without: no fault, and in the record.
    pub(crate) fn count_upgrade_refused(&self, why: &str) {
        self.counters.borrow_mut().traffic.upgrades_refused += 1;
        tracing::debug!(why, "a session stays on polling");
    }

    /// Messages seen so far, by all clients: what comes while a client waits is another's.
    pub(crate) fn delivered(&self) -> u64 {
        self.counters.borrow().traffic.delivered
    }

    /// Counts a chunk or read that carried messages: more were seen than `before`.
    pub(crate) fn count_batch(&self, before: u64) {
        let tally = &mut self.counters.borrow_mut().traffic;
        tally.batches += u64::from(tally.delivered > before);
    }

    /// A client lost its connection.
    pub(crate) fn mark_disconnected(&self, client: &Client) {
        *client.sender.borrow_mut() = Way::None;
        *client.connection.borrow_mut() = None;
        if client.joined.replace(false) {
            self.joined.set(self.joined.get() - 1);
            client.was_disconnected.set(true);
            client.disconnected_us.set(Some(self.clock.run_us()));
        }
    }

    /// A client will not come back.
    pub(crate) fn stop_retrying(&self, client: &Client) {
        self.gone.set(self.gone.get() + 1);
        self.fault(Fault::new(FaultKind::System, format!("client {} came back too often and gave up", client.id)));
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.faults.borrow_mut().note(fault.kind, fault.detail);
    }

    /// Stores what others may look at.
    pub(crate) fn publish_progress(&self) {
        self.live.joined.store(self.joined.get(), Relaxed);
        self.live.probed.store(self.probed.get(), Relaxed);
        self.live.stopped.store(self.gone.get(), Relaxed);
        self.live.delivered.store(self.counters.borrow().traffic.delivered, Relaxed);
        self.live.faults.store(self.faults.borrow().total(), Relaxed);
    }

    pub(crate) fn is_in_window(&self, index: usize) -> bool {
        self.window_us.contains(&i64::from(self.plan.due_us(index)))
    }
}

#[cfg(test)]
pub(crate) mod tests;
