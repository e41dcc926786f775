//! What the clients of one worker thread share: plan, clock, counters and buffers. It knows no
//! client and no transport. The hot path takes one borrow per read and locks nothing.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use results::{ByteClass, Direction, Faults, LedgerSummary, Series, TrafficCounts, TrafficKind};
use scenario::{HttpClient, Plan, TargetProtocol, TransportTuning};
use tokio::sync::Notify;
use tokio::time::Instant;
use wire::{Framing, Post, Transport};

use crate::clock::{Clock, micros};
use crate::config::{RunConfig, Target};
use crate::error::Fault;
use crate::measure::histograms::Histograms;
use crate::measure::ledger::RoomOrder;
use crate::measure::local_sequence::LocalSequence;
use crate::measure::marker::Markers;
use crate::measure::post_table::PostTable;
use crate::measure::probe::{PROBE_AUTHOR, PROBE_ORDINAL, PROBE_TEXT};
use crate::net::connection::{Connection, OpenConnections};
use crate::trace::Trace;

const SCRATCH_BYTES: usize = 64 << 10;

/// Which worker of how many. Client `n` belongs to worker `n % count`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerIndex {
    pub(crate) index: u32,
    pub(crate) count: u32,
}

impl WorkerIndex {
    pub(crate) const ONLY: Self = Self { index: 0, count: 1 };
}

/// What a worker is made from.
pub(crate) struct WorkerConfig {
    pub(crate) run: RunConfig,
    pub(crate) worker: WorkerIndex,
    /// Shared by all workers of a run.
    pub(crate) posts: Arc<PostTable>,
    /// The instant at which the run began.
    pub(crate) base: Instant,
    /// Posts and polls follow no clock: see [`crate::lockstep`].
    pub(crate) lock_step: bool,
    /// What is sent and received is kept.
    pub(crate) traced: bool,
}

impl WorkerConfig {
    /// A worker without others, which begins now.
    pub(crate) fn alone(run: &RunConfig, worker: WorkerIndex) -> Self {
        let posts = Arc::new(PostTable::new(run.planned_posts()));
        Self { run: run.clone(), worker, posts, base: Instant::now(), lock_step: false, traced: false }
    }
}

/// What the hot path changes.
pub(crate) struct Counters {
    pub(crate) traffic: TrafficCounts,
    pub(crate) histograms: Histograms,
    /// Delivery latencies of the current slice.
    pub(crate) slice_delivery: Histogram<u64>,
    pub(crate) ledger: LedgerSummary,
    pub(crate) rooms: Vec<Option<RoomOrder>>,
    /// Newest known post of each author: its seq and its ordinal, which must rise together.
    pub(crate) authors: Vec<(u64, u64)>,
    /// The post that was checked last, and the offset of its text: the other clients of its room
    /// mostly receive it next.
    pub(crate) last_text: (usize, usize),
    /// Traffic and faults up to the last second that was reported.
    pub(crate) reported: (TrafficCounts, u64),
}

/// How many clients of the worker are in which state.
#[derive(Default)]
pub(crate) struct Population {
    pub(crate) joined: Cell<u32>,
    /// Have received the probe.
    pub(crate) probed: Cell<u32>,
    /// Reconnect no more.
    pub(crate) stopped: Cell<u32>,
}

pub(crate) struct RunContext {
    pub(crate) plan: Arc<Plan>,
    pub(crate) http_client: HttpClient,
    pub(crate) transport: Transport,
    pub(crate) target: Target,
    pub(crate) framing: Framing,
    pub(crate) clock: Clock,
    pub(crate) posts: Arc<PostTable>,
    pub(crate) counters: RefCell<Counters>,
    pub(crate) faults: RefCell<Faults>,
    pub(crate) population: Population,
    /// All clients read into this one buffer, one after the other.
    pub(crate) scratch: RefCell<Vec<u8>>,
    /// Posts are encoded here before they are sent.
    pub(crate) send_buffer: RefCell<Vec<u8>>,
    pub(crate) connections: Rc<OpenConnections>,
    /// The protocol of a server that does not speak ours.
    pub(crate) protocol: Option<Rc<TargetProtocol>>,
    /// Finds posts in what such a server sends.
    pub(crate) markers: Option<Markers>,
    /// Numbers for the messages of such a server.
    pub(crate) local_sequence: Option<RefCell<LocalSequence>>,
    pub(crate) lock_step: bool,
    never_sleeps: bool,
    /// Time in which the worker asked for input and there was none.
    idle: Cell<Duration>,
    pub(crate) trace: Option<Trace>,
    /// The window of the current slice.
    window_us: RefCell<Range<i64>>,
    /// Whether clients connect or a slice is under way; between slices nothing polls.
    is_active: Cell<bool>,
    activity: Notify,
    second: Cell<u32>,
}

impl RunContext {
    pub(crate) fn new(config: WorkerConfig) -> Self {
        let WorkerConfig { run, worker, posts, base, lock_step, traced } = config;
        let http_client = run.http_client();
        let RunConfig { plan, transport, mut target, never_sleeps, .. } = run;
        let protocol = target.protocol.take().map(|protocol| Rc::new(*protocol));
        let mut rooms: Vec<Option<RoomOrder>> = (0..plan.rooms).map(|_| None).collect();
        for room in plan.clients_of_worker(worker.index, worker.count).map(|client| plan.room_of(client)) {
            rooms[room as usize].get_or_insert_with(|| RoomOrder::new(plan.posts_in_room(room)));
        }
        Self {
            framing: transport.framing(plan.encoding(transport)),
            clock: Clock::new(base),
            posts,
            counters: RefCell::new(Counters {
                traffic: TrafficCounts::default(),
                histograms: Histograms::new(),
                slice_delivery: Histograms::empty(),
                ledger: LedgerSummary::default(),
                rooms,
                authors: vec![(0, 0); plan.clients as usize],
                last_text: (usize::MAX, 0),
                reported: (TrafficCounts::default(), 0),
            }),
            faults: RefCell::default(),
            population: Population::default(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES]),
            send_buffer: RefCell::default(),
            connections: Rc::default(),
            markers: protocol.as_ref().map(|_| Markers::new(&plan)),
            local_sequence: protocol.as_ref().map(|_| RefCell::new(LocalSequence::new(&plan))),
            protocol,
            lock_step,
            never_sleeps,
            idle: Cell::default(),
            trace: traced.then(Trace::default),
            window_us: RefCell::new(window_us(&plan, 0)),
            is_active: Cell::new(true),
            activity: Notify::new(),
            second: Cell::new(0),
            http_client,
            plan,
            transport,
            target,
        }
    }

    /// Settings of the transport.
    pub(crate) fn tuning(&self) -> TransportTuning {
        self.plan.tuning.of(self.transport)
    }

    /// Whether the server gives each message a seq. If not, only the order of each author's own
    /// posts can be checked.
    pub(crate) fn server_numbers_messages(&self) -> bool {
        self.local_sequence.is_none()
    }

    /// Whether an author's own message is all that says that the server has it.
    pub(crate) fn own_message_acknowledges(&self) -> bool {
        self.protocol.as_ref().is_some_and(|protocol| !protocol.post.is_acknowledged() && protocol.author_receives)
    }

    /// Whether the server says nothing to an author.
    pub(crate) fn nothing_acknowledges(&self) -> bool {
        self.protocol.as_ref().is_some_and(|protocol| !protocol.post.is_acknowledged() && !protocol.author_receives)
    }

    /// Whether this client posts its room's probe.
    pub(crate) fn is_prober(&self, client: u32) -> bool {
        client < self.plan.rooms
    }

    /// Whether this client posts at all.
    pub(crate) fn has_posts(&self, client: u32) -> bool {
        self.is_prober(client) || self.plan.posts_of(client) > 0
    }

    /// A post of this client with its text.
    pub(crate) fn post(&self, client: u32, ordinal: u64) -> Post<'_> {
        if ordinal == PROBE_ORDINAL {
            return Post { author: PROBE_AUTHOR, ordinal, text: PROBE_TEXT.into() };
        }
        Post { author: client, ordinal, text: self.plan.text(client, ordinal).into() }
    }

    /// Sends on a connection and counts the write.
    pub(crate) fn send(&self, connection: &Connection, bytes: &[u8]) -> Result<(), Fault> {
        self.counters.borrow_mut().traffic.socket_writes += 1;
        if let Some(trace) = &self.trace {
            trace.note(connection.client(), true, bytes);
        }
        connection.send(bytes)
    }

    pub(crate) fn count_bytes(&self, direction: Direction, kind: TrafficKind, class: ByteClass, bytes: usize) {
        self.counters.borrow_mut().traffic.add(direction, kind, class, bytes);
    }

    /// Counts the bytes of a sent post by class.
    pub(crate) fn count_post(&self, payload: usize, envelope: usize, framing: usize) {
        let traffic = &mut self.counters.borrow_mut().traffic;
        traffic.add(Direction::Up, TrafficKind::Posting, ByteClass::Payload, payload);
        traffic.add(Direction::Up, TrafficKind::Posting, ByteClass::Envelope, envelope);
        traffic.add(Direction::Up, TrafficKind::Posting, ByteClass::Framing, framing);
    }

    /// Counts a session that began on polling and now has its WebSocket.
    pub(crate) fn count_upgrade(&self, opened_us: i64) {
        let mut counters = self.counters.borrow_mut();
        counters.traffic.upgrades += 1;
        counters.histograms.record(Series::UpgradeTime, self.clock.run_us() - opened_us);
    }

    /// Counts a session that stays on polling because its upgrade was refused. That is no fault.
    pub(crate) fn count_upgrade_refused(&self, reason: &str) {
        self.counters.borrow_mut().traffic.upgrades_refused += 1;
        tracing::debug!(reason, "the upgrade was refused; the session stays on polling");
    }

    /// Planned messages received so far by all clients of the worker.
    pub(crate) fn delivered(&self) -> u64 {
        self.counters.borrow().traffic.delivered
    }

    /// Counts a chunk or read as a batch if it carried messages, given the count of deliveries
    /// before it.
    pub(crate) fn count_batch(&self, delivered_before: u64) {
        let traffic = &mut self.counters.borrow_mut().traffic;
        traffic.batches += u64::from(traffic.delivered > delivered_before);
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.faults.borrow_mut().note(fault.kind, fault.detail);
    }

    /// When the post with this index is due, in microseconds since T0; `None` outside of the
    /// window.
    pub(crate) fn due_in_window(&self, index: usize) -> Option<i64> {
        let due = i64::from(self.plan.due_us(index));
        self.window_us.borrow().contains(&due).then_some(due)
    }

    /// Starts a slice of the schedule at `start`, in microseconds since the run began.
    pub(crate) fn begin_slice(&self, index: u32, start_us: i64) {
        self.clock.set_t0_us(start_us - i64::from(index) * micros(self.plan.slicing.slice()));
        *self.window_us.borrow_mut() = window_us(&self.plan, index);
        self.counters.borrow_mut().slice_delivery.reset();
        self.set_active(true);
    }

    /// The counts so far.
    pub(crate) fn traffic(&self) -> TrafficCounts {
        self.counters.borrow().traffic
    }

    /// Nothing is sent until the next slice.
    pub(crate) fn rest(&self) {
        self.set_active(false);
    }

    fn set_active(&self, active: bool) {
        self.is_active.set(active);
        self.activity.notify_waiters();
    }

    /// Asks for input without a pause while a slice is under way, if the worker has its core for itself.
    /// A thread that sleeps has to be woken, with an interrupt to its core; that would be charged to the
    /// server that sends to it, and clients on other machines cost no server that.
    pub(crate) async fn stay_awake(&self) {
        let calls = || {
            let traffic = &self.counters.borrow().traffic;
            traffic.socket_reads + traffic.socket_writes
        };
        let (mut before, mut since) = (calls(), Instant::now());
        while self.never_sleeps && self.is_active.get() {
            tokio::task::yield_now().await;
            let (after, now) = (calls(), Instant::now());
            if after == before {
                self.idle.set(self.idle.get() + (now - since));
            }
            (before, since) = (after, now);
        }
    }

    /// Time in which the worker asked for input and there was none.
    pub(crate) fn idle(&self) -> Duration {
        self.idle.get()
    }

    /// Returns at once in a slice, and otherwise when the next one starts.
    pub(crate) async fn active(&self) {
        while !self.is_active.get() {
            self.activity.notified().await;
        }
    }

    /// Returns at once between slices, and otherwise when the current one ends.
    pub(crate) async fn resting(&self) {
        while self.is_active.get() {
            self.activity.notified().await;
        }
    }

    /// When the current slice starts.
    pub(crate) fn slice_start(&self) -> Instant {
        let lead_in = self.plan.slicing.lead_in;
        let start_us = self.window_us.borrow().start - micros(lead_in);
        self.clock.instant(Duration::from_micros(start_us.unsigned_abs()))
    }

    /// The second of the slice. It serves idle detection, where an error of one second does not
    /// matter.
    pub(crate) fn cached_second(&self) -> u32 {
        self.second.get()
    }

    /// Counts a second of a long slice.
    pub(crate) fn next_second(&self) -> u32 {
        self.second.set(self.second.get() + 1);
        self.second.get()
    }
}

/// The window of a slice, in microseconds of the schedule.
fn window_us(plan: &Plan, slice: u32) -> Range<i64> {
    let start = i64::from(slice) * micros(plan.slicing.slice());
    start + micros(plan.slicing.lead_in)..start + micros(plan.slicing.slice())
}
