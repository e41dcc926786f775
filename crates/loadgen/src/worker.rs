//! One worker thread's state: its seats, its recorder, its counts. Everything here belongs to one thread; the hot path takes one
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

use crate::clock::{Clock, micros};
use crate::fault::Fault;
use crate::lean::request::Requests;
use crate::ledger::RoomLedger;
use crate::link::{self, OpenConnections, Reading};
use crate::live::{Cue, Live};
use crate::pacer::Pacer;
use crate::posts::Posts;
use crate::recorder::Recorder;
use crate::repeated::Numbers;
use crate::seat::{Seat, Way};
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
pub(crate) struct Hot {
    pub(crate) tally: TrafficCounts,
    pub(crate) recorder: Recorder,
    pub(crate) ledger: LedgerSummary,
    pub(crate) rooms: Vec<Option<RoomLedger>>,
    /// What stands in for the seqs of a server that gives none.
    pub(crate) numbers: Option<Numbers>,
    /// Newest post known of each author: its seq and its ordinal, which must rise together.
    pub(crate) authors: Vec<(u64, u64)>,
    /// The post that was checked last, and where its text is: the others of its room mostly see it next.
    pub(crate) said: (usize, usize),
    /// What the seconds before told: counts and faults.
    pub(crate) reported: (TrafficCounts, u64),
}

pub(crate) struct Worker {
    pub(crate) plan: Arc<Plan>,
    pub(crate) transport: Transport,
    pub(crate) form: Framing,
    pub(crate) target: Target,
    pub(crate) clock: Clock,
    pub(crate) posts: Arc<Posts>,
    pub(crate) live: Arc<Live>,
    pub(crate) seats: Vec<Rc<Seat>>,
    pub(crate) hot: RefCell<Hot>,
    pub(crate) faults: RefCell<Faults>,
    pub(crate) pacer: RefCell<Pacer>,
    pub(crate) scratch: RefCell<Vec<u8>>,
    pub(crate) sockets: Rc<OpenConnections>,
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
    /// The tasks of its seats.
    pub(crate) lives: RefCell<Vec<AbortHandle>>,
    /// Rung when one of its tasks panics.
    pub(crate) alarm: Notify,
}

/// What a worker is made from.
pub(crate) struct Share {
    pub(crate) plan: Arc<Plan>,
    pub(crate) transport: Transport,
    pub(crate) target: Target,
    pub(crate) posts: Arc<Posts>,
    pub(crate) live: Arc<Live>,
    pub(crate) cue: watch::Receiver<Cue>,
    pub(crate) base: tokio::time::Instant,
    /// Which worker of how many.
    pub(crate) at: (u32, u32),
    /// Nothing goes by the clock: see [`crate::lockstep`].
    pub(crate) lock_step: bool,
}

impl Worker {
    pub(crate) fn new(share: Share) -> Self {
        let Share { plan, transport, target, posts, live, cue, base, at, lock_step } = share;
        let seats: Vec<_> =
            plan.clients_of_worker(at.0, at.1).map(|id| Rc::new(Seat::new(id, plan.room_of(id)))).collect();
        let mut rooms: Vec<Option<RoomLedger>> = (0..plan.rooms).map(|_| None).collect();
        for seat in &seats {
            let room = &mut rooms[seat.room as usize];
            room.get_or_insert_with(|| RoomLedger::new(plan.posts_in_room(seat.room)));
        }
        let pacer = Pacer::new(&plan, plan.clients_of_worker(at.0, at.1));
        let next_due_us = if lock_step { i64::MAX } else { pacer.due_us().map_or(i64::MAX, i64::from) };
        Self {
            form: transport.framing(plan.encoding(transport)),
            hot: RefCell::new(Hot {
                tally: TrafficCounts::default(),
                recorder: Recorder::new(),
                ledger: LedgerSummary::default(),
                numbers: (target.protocol != Protocol::Pushbench).then(|| Numbers::new(&plan)),
                rooms,
                authors: vec![(0, 0); plan.clients as usize],
                said: (usize::MAX, 0),
                reported: (TrafficCounts::default(), 0),
            }),
            faults: RefCell::default(),
            pacer: RefCell::new(pacer),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES]),
            sockets: Rc::default(),
            compose: RefCell::default(),
            next_due_us: Cell::new(next_due_us),
            window_us: micros(plan.phases.warm_up())..micros(plan.phases.posting()),
            second: Cell::new(0),
            joined: Cell::new(0),
            probed: Cell::new(0),
            gone: Cell::new(0),
            lives: RefCell::default(),
            alarm: Notify::new(),
            clock: Clock::new(base),
            at,
            lock_step,
            plan,
            transport,
            target,
            posts,
            live,
            seats,
            cue,
        }
    }

    /// A seat of this worker by its number.
    pub(crate) fn seat(&self, id: u32) -> &Rc<Seat> {
        &self.seats[(id / self.at.1) as usize]
    }

    /// Whether this seat posts its room's probe.
    pub(crate) fn is_prober(&self, seat: &Seat) -> bool {
        seat.id < self.plan.rooms
    }

    /// Settings of the transport.
    pub(crate) fn tuning(&self) -> TransportTuning {
        self.plan.tuning.of(self.transport)
    }

    /// Whether a seat ever posts.
    pub(crate) fn posts_at_all(&self, seat: &Seat) -> bool {
        self.is_prober(seat) || self.plan.posts_of(seat.id) > 0
    }

    pub(crate) fn requests(&self, seat: &Seat, parameters: &str, headers: &str) -> Requests {
        Requests::new(&self.target, self.transport, &self.plan.room_name(seat.room), parameters, headers)
    }

    /// Opens a connection for a seat.
    pub(crate) async fn open(&self, seat: &Seat) -> Result<Reading, Fault> {
        let to = if self.transport.is_http() { self.target.http } else { self.target.tcp };
        let sources = self.plan.sockets(self.transport) / PORTS_PER_SOURCE + 1;
        let source = (sources > 1 && to.ip().is_loopback() && to.is_ipv4())
            .then(|| Ipv4Addr::new(127, 0, 0, 1 + (u64::from(seat.id) % sources) as u8));
        let reading = link::open(to, source, &self.sockets).await?;
        self.hot.borrow_mut().tally.connections += 1;
        seat.heard_s.set(self.second());
        Ok(reading)
    }

    /// Waits for bytes on a seat's connection; they are at the head of the scratch buffer then.
    pub(crate) async fn fill(&self, seat: &Seat, reading: &mut Reading) -> Result<usize, Fault> {
        let read = reading.fill(&self.scratch).await?;
        seat.heard_s.set(self.second());
        self.hot.borrow_mut().tally.socket_reads += 1;
        Ok(read)
    }

    /// Sends on a connection and counts the write.
    pub(crate) fn send(&self, link: &link::Link, bytes: &[u8]) -> Result<(), Fault> {
        self.hot.borrow_mut().tally.socket_writes += 1;
        link.send(bytes)
    }

    /// Second of the run as the watchman last looked: close enough for him, and no reading of the clock.
    pub(crate) fn second(&self) -> u32 {
        self.second.get()
    }

    /// Looks at the clock for the watchman.
    pub(crate) fn tick(&self) -> u32 {
        self.second.set(u32::try_from(self.clock.run_us() / 1_000_000).unwrap_or(u32::MAX));
        self.second.get()
    }

    pub(crate) fn count(&self, direction: Direction, purpose: TrafficKind, class: ByteClass, bytes: usize) {
        self.hot.borrow_mut().tally.add(direction, purpose, class, bytes);
    }

    /// A seat begins to connect.
    pub(crate) fn begin_connecting(&self, seat: &Seat) {
        seat.connecting_us.set(self.clock.run_us());
    }

    /// A seat is in its room; everything behind `after` will reach it.
    pub(crate) fn join(&self, seat: &Seat, after: u64) {
        if !seat.joined_once.replace(true) {
            seat.ledger.borrow_mut().begin(after);
        }
        if !seat.joined.replace(true) {
            self.joined.set(self.joined.get() + 1);
            let took = self.clock.run_us() - seat.connecting_us.get();
            self.hot.borrow_mut().recorder.record(Series::ConnectTime, took);
        }
    }

    /// Once a seat has joined, its posts leave on its connection.
    pub(crate) fn open_in_band(&self, seat: &Seat, link: &Rc<link::Link>) {
        if seat.joined.get() && matches!(*seat.way.borrow(), Way::None) {
            *seat.way.borrow_mut() = Way::InBand(Rc::clone(link));
            *seat.link.borrow_mut() = Some(Rc::clone(link));
            self.flush(seat);
        }
    }

    /// A session that began on polling has its WebSocket.
    pub(crate) fn upgraded(&self, opened_us: i64) {
        let mut hot = self.hot.borrow_mut();
        hot.tally.upgrades += 1;
        hot.recorder.record(Series::UpgradeTime, self.clock.run_us() - opened_us);
    }

    /// A session was refused its WebSocket and goes on without: no fault, and in the record.
    pub(crate) fn stays_on_polling(&self, why: &str) {
        self.hot.borrow_mut().tally.upgrades_refused += 1;
        tracing::debug!(why, "a session stays on polling");
    }

    /// Messages seen so far, by all seats: what comes while a seat waits is another's.
    pub(crate) fn delivered(&self) -> u64 {
        self.hot.borrow().tally.delivered
    }

    /// Counts a chunk or read that carried messages: more were seen than `before`.
    pub(crate) fn count_batch(&self, before: u64) {
        let tally = &mut self.hot.borrow_mut().tally;
        tally.batches += u64::from(tally.delivered > before);
    }

    /// A seat lost its connection.
    pub(crate) fn part(&self, seat: &Seat) {
        *seat.way.borrow_mut() = Way::None;
        *seat.link.borrow_mut() = None;
        if seat.joined.replace(false) {
            self.joined.set(self.joined.get() - 1);
            seat.was_cut.set(true);
            seat.cut_us.set(Some(self.clock.run_us()));
        }
    }

    /// A seat will not come back.
    pub(crate) fn give_up(&self, seat: &Seat) {
        self.gone.set(self.gone.get() + 1);
        self.fault(Fault::new(FaultKind::System, format!("seat {} came back too often and gave up", seat.id)));
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.faults.borrow_mut().note(fault.kind, fault.detail);
    }

    /// Stores what others may look at.
    pub(crate) fn publish_live(&self) {
        self.live.joined.store(self.joined.get(), Relaxed);
        self.live.probed.store(self.probed.get(), Relaxed);
        self.live.gone.store(self.gone.get(), Relaxed);
        self.live.delivered.store(self.hot.borrow().tally.delivered, Relaxed);
        self.live.faults.store(self.faults.borrow().total(), Relaxed);
    }

    pub(crate) fn is_in_window(&self, index: usize) -> bool {
        self.window_us.contains(&i64::from(self.plan.due_us(index)))
    }
}

#[cfg(test)]
pub(crate) mod tests;
