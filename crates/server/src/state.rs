//! State that all handlers of one server share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::{ServerStats, StartAt, Transport};

use crate::config::{Access, ServerLimits};
use crate::connection::Timeouts;
use crate::counters::{Counter, Counters, TransportSlot};
use crate::hub::{Hub, HubLimits, Order, Room};
use crate::presence::Presence;
use crate::process::process_usage;
use crate::refusal::Refusal;
use crate::shared::SharedLog;
use crate::slowdown::Slowdown;

/// Connections over the limit that may receive an error answer at the same time. Further ones are
/// closed without an answer.
const CONCURRENT_REFUSALS_MAX: usize = 64;

pub(crate) struct ServerState {
    pub(crate) hub: Arc<Hub>,
    shared: Option<SharedLog>,
    pub(crate) presence: Presence,
    pub(crate) counters: Arc<Counters>,
    pub(crate) limits: ServerLimits,
    pub(crate) access: Access,
    pub(crate) timeouts: Arc<Timeouts>,
    pub(crate) tasks: TaskTracker,
    pub(crate) closing: CancellationToken,
    pub(crate) open: Arc<AtomicUsize>,
    is_closing: AtomicBool,
    admitted_host: OnceLock<Box<str>>,
    started: Instant,
    accept_errors: AtomicU64,
}

/// What the server does with a connection that it has just accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Serve,
    /// Answer that the server is full.
    Refuse,
}

impl ServerState {
    pub(crate) fn new(
        limits: ServerLimits,
        access: Access,
        slowdown: Option<Slowdown>,
        (order, shared): (Order, Option<SharedLog>),
    ) -> Self {
        let hub_limits = HubLimits {
            rooms_max: limits.rooms_max,
            log_messages_max: limits.log_messages_max,
            log_bytes_max: limits.log_bytes_max,
        };
        Self {
            hub: Arc::new(Hub::new(hub_limits, order)),
            shared,
            presence: Presence::new(),
            counters: Arc::new(Counters::new(slowdown)),
            timeouts: Arc::new(Timeouts::from(&limits)),
            limits,
            access,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            open: Arc::default(),
            is_closing: AtomicBool::new(false),
            admitted_host: OnceLock::new(),
            started: Instant::now(),
            accept_errors: AtomicU64::new(0),
        }
    }

    /// Whether a reader may start there without a look at the shared log.
    pub(crate) fn covers(&self, room: &str, start: StartAt) -> bool {
        self.shared.is_none() || self.hub.known(room).is_some_and(|room| room.covers(start))
    }

    /// Copies what a reader needs from the shared log. The room stays while the caller has it.
    pub(crate) async fn copy(&self, room: &str, start: StartAt) -> Result<Arc<Room>, Refusal> {
        let room = self.hub.room(room)?;
        if let Some(shared) = &self.shared {
            shared.copy_for(&room, start).await?;
        }
        Ok(room)
    }

    /// Begins the shutdown: every connection ends when it is idle.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Relaxed);
        self.closing.cancel();
        self.hub.close();
    }

    /// Whether the server is shutting down. In contrast to `closing.is_cancelled` it takes no lock.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Relaxed)
    }

    /// Whether requests may name this host. Nearly all of them name the same.
    pub(crate) fn admits_host(&self, host: &str) -> bool {
        if self.admitted_host.get().is_some_and(|known| **known == *host) {
            return true;
        }
        let is_admitted = self.access.admits_host(host).is_ok();
        if is_admitted {
            self.admitted_host.get_or_init(|| host.into());
        }
        is_admitted
    }

    /// Decides about a new connection. `None`: close it without an answer.
    pub(crate) fn admit(&self, slot: TransportSlot) -> Option<Admission> {
        let open = self.open.load(Relaxed);
        if open < self.limits.connections_max {
            return Some(Admission::Serve);
        }
        self.counters.add(slot, Counter::Refused, 1);
        (open < self.limits.connections_max + CONCURRENT_REFUSALS_MAX).then_some(Admission::Refuse)
    }

    /// Counts a connection that the kernel could not hand over, usually because the process has too
    /// many open files. Returns true for the first one.
    pub(crate) fn count_accept_error(&self) -> bool {
        self.accept_errors.fetch_add(1, Relaxed) == 0
    }

    /// The answer to `GET /stats`.
    pub(crate) fn stats(&self) -> ServerStats {
        // Read before the counters of the transports: a connection that is no longer open is then
        // counted as closed there.
        let connections_open = self.open.load(Relaxed) as u64;
        let named = Transport::ALL.into_iter().map(|t| (t.name(), TransportSlot::of(t)));
        let transports = named
            .chain([("other", TransportSlot::OTHER)])
            .map(|(name, slot)| (name.to_owned(), self.counters.totals(slot)))
            .collect();
        ServerStats {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_us: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            metered: Counters::is_on(),
            connections_open,
            accept_errors: self.accept_errors.load(Relaxed),
            process: process_usage(),
            hub: self.hub.usage(),
            transports,
        }
    }
}
