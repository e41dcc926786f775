//! What the progress line shows of a run, and what the workers and their controller tell each
//! other. Nothing here is touched per message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cpu_clock::ServerClocks;

/// The state of a run, reported a few times per second while clients connect and in long slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Number of connected clients.
    pub joined: u32,
    /// Messages received so far.
    pub delivered: u64,
    /// Faults so far.
    pub faults: u64,
    /// The current second of the slice; `None` before it.
    pub second: Option<u32>,
    /// 99th percentile of the delivery latency in the last full second, if it had deliveries.
    pub delivery_us_p99: Option<u64>,
}

/// What the controller tells the workers. The end of the channel is the end of the run.
#[derive(Debug, Clone)]
pub(crate) enum Announcement {
    /// All clients connect.
    RampUp,
    /// Every client must receive one message of its room.
    Probe,
    /// Nothing is sent.
    Rest,
    /// Authors open the connections that they post with.
    OpenForPosts,
    /// A slice of the schedule starts at `start`, with its lead-in.
    Slice { index: u32, start: Instant, server: ServerClocks },
}

/// Counters of one worker, stored a few times per second while clients connect and in long slices.
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
