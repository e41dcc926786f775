//! The phases of a run, what its progress line shows, and what the workers know of both. Nothing
//! here is touched per message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

/// A phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// All clients connect.
    RampUp,
    /// Every client must receive one message of its room.
    Probe,
    /// Nothing is sent.
    Settle,
    /// Posts are sent, and nothing is measured.
    WarmUp,
    /// The measurement window.
    Window,
    /// Nothing is sent; messages in flight may still arrive.
    Drain,
}

impl Phase {
    /// The name shown to people.
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

/// The state of a run, reported a few times per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The current phase.
    pub phase: Phase,
    /// Number of connected clients.
    pub joined: u32,
    /// Messages received so far.
    pub delivered: u64,
    /// Faults so far.
    pub faults: u64,
    /// The current second since T0; `None` before T0. The first report of a second follows its
    /// start.
    pub second: Option<u32>,
    /// 99th percentile of the delivery latency in the last full second, if it had deliveries.
    pub delivery_us_p99: Option<u64>,
}

/// What the run controller tells the workers. The end of the channel is the end of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) phase: Phase,
    /// Start of the warm-up, once it is known.
    pub(crate) t0: Option<Instant>,
}

/// Counters of one worker, stored a few times per second.
#[derive(Debug, Default)]
pub(crate) struct ProgressCounters {
    pub(crate) joined: AtomicU32,
    pub(crate) probed: AtomicU32,
    pub(crate) stopped: AtomicU32,
    pub(crate) delivered: AtomicU64,
    pub(crate) faults: AtomicU64,
}

/// The sum of one counter over all workers.
pub(crate) fn sum_u32(workers: &[Arc<ProgressCounters>], of: impl Fn(&ProgressCounters) -> &AtomicU32) -> u32 {
    workers.iter().map(|worker| of(worker).load(Relaxed)).sum()
}

/// The sum of one counter over all workers.
pub(crate) fn sum_u64(workers: &[Arc<ProgressCounters>], of: impl Fn(&ProgressCounters) -> &AtomicU64) -> u64 {
    workers.iter().map(|worker| of(worker).load(Relaxed)).sum()
}
