//! What a run shows while it runs, and what tells its workers where it is. Nothing here is touched per message.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Everybody connects.
    RampUp,
    /// Every client must see one message of its room.
    Probe,
    /// Nothing happens.
    Settle,
    /// Posts flow, nothing counts.
    WarmUp,
    /// What is measured.
    Window,
    /// What is on its way may arrive.
    Drain,
}

impl Phase {
    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RampUp => "ramp-up",
            Self::Probe => "probe",
            Self::Settle => "settle",
            Self::WarmUp => "warm-up",
            Self::Window => "window",
            Self::Drain => "drain",
        }
    }
}

/// A look at a run, a few times a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Where it is.
    pub phase: Phase,
    /// Seats that are connected.
    pub joined: u32,
    /// Messages that arrived so far.
    pub delivered: u64,
    /// Faults so far.
    pub faults: u64,
    /// Which second from T0 it is in; none before T0. The first look at a second comes just after it began.
    pub second: Option<u32>,
    /// 99th percentile of the last full second, when there was one.
    pub delivery_us_p99: Option<u64>,
}

/// What the conductor tells the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cue {
    RampUp,
    Probe,
    Go { t0: Instant },
    Stop,
}

/// A worker's own figures, stored now and then.
#[derive(Debug, Default)]
pub(crate) struct ProgressCounters {
    pub(crate) joined: AtomicU32,
    pub(crate) probed: AtomicU32,
    pub(crate) stopped: AtomicU32,
    pub(crate) delivered: AtomicU64,
    pub(crate) faults: AtomicU64,
}

impl ProgressCounters {
    pub(crate) fn sum_u32<'a>(all: impl IntoIterator<Item = &'a Self>, of: impl Fn(&Self) -> &AtomicU32) -> u32 {
        all.into_iter().map(|live| of(live).load(Relaxed)).sum()
    }

    pub(crate) fn sum_u64<'a>(all: impl IntoIterator<Item = &'a Self>, of: impl Fn(&Self) -> &AtomicU64) -> u64 {
        all.into_iter().map(|live| of(live).load(Relaxed)).sum()
    }
}
