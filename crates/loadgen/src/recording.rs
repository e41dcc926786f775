//! What a run leaves.

use hdrhistogram::Histogram;
use results::{Cpu, Faults, LedgerSummary, RunEnd, Second, Series, TrafficCounts};

use crate::recorder::Histograms;
use crate::tcp_info::SocketCounts;

/// Everything one run of one transport showed.
#[derive(Debug, Clone)]
pub struct RunMeasurements {
    /// How it ended.
    pub ended: RunEnd,
    /// Length of the window as it was, from first to last reading.
    pub window_us: u64,
    /// By [`Series`], merged over workers and seconds.
    pub histograms: Vec<Histogram<u64>>,
    /// Values too large to tell apart, and values below zero.
    pub saturated: u64,
    /// See `saturated`.
    pub negative: u64,
    /// The run by seconds.
    pub seconds: Vec<Second>,
    /// Counts before T0: connecting, joining, probing.
    pub set_up: TrafficCounts,
    /// Counts between the window's two readings.
    pub window: TrafficCounts,
    /// Counts of the whole run.
    pub total: TrafficCounts,
    /// What the kernel says of the crowd's sockets over the window; none when a client keeps its sockets to itself.
    pub kernel_window: Option<SocketCounts>,
    /// The same over the whole run.
    pub kernel_total: Option<SocketCounts>,
    /// Who saw what.
    pub ledger: LedgerSummary,
    /// What broke.
    pub faults: Faults,
    /// CPU of all workers over the window.
    pub cpu: Cpu,
    /// Largest share of its core that a worker used over the window.
    pub core_usage_max: f64,
    /// Posts of the plan that were due in the window and left at all.
    pub posts_sent_in_window: u64,
}

impl RunMeasurements {
    /// Of a run that could not begin.
    pub fn empty(ended: RunEnd) -> Self {
        Self {
            ended,
            window_us: 0,
            histograms: Histograms::new().into_histograms(),
            saturated: 0,
            negative: 0,
            seconds: Vec::new(),
            set_up: TrafficCounts::default(),
            window: TrafficCounts::default(),
            total: TrafficCounts::default(),
            kernel_window: None,
            kernel_total: None,
            ledger: LedgerSummary::default(),
            faults: Faults::default(),
            cpu: Cpu::default(),
            core_usage_max: 0.0,
            posts_sent_in_window: 0,
        }
    }

    /// The histogram of a series.
    pub fn of(&self, series: Series) -> &Histogram<u64> {
        &self.histograms[series as usize]
    }
}
