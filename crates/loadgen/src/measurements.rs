//! What a run measured.

use hdrhistogram::Histogram;
use results::{Cpu, Faults, LedgerSummary, RunEnd, Second, Series, TrafficCounts};

use crate::measure::histograms::Histograms;
use crate::net::tcp_info::SocketCounts;

/// The measurements of one run of one transport.
#[derive(Debug, Clone)]
pub struct RunMeasurements {
    /// How it ended.
    pub ended: RunEnd,
    /// Measured length of the window, in microseconds: from the first to the last sample at its
    /// edges.
    pub window_us: u64,
    /// One histogram per [`Series`], over all workers and seconds.
    pub histograms: Vec<Histogram<u64>>,
    /// Number of values above the largest that the histograms can record.
    pub saturated: u64,
    /// Number of values below zero, recorded as zero.
    pub negative: u64,
    /// One row per second.
    pub seconds: Vec<Second>,
    /// Counts before T0: connecting, joining, the probe.
    pub set_up: TrafficCounts,
    /// Counts in the window.
    pub window: TrafficCounts,
    /// Counts of the whole run.
    pub total: TrafficCounts,
    /// The kernel's counts of the clients' sockets in the window; `None` for an HTTP client that
    /// does not expose its sockets.
    pub kernel_window: Option<SocketCounts>,
    /// The same over the whole run.
    pub kernel_total: Option<SocketCounts>,
    /// Deliveries, losses and incidents.
    pub ledger: LedgerSummary,
    /// Faults by kind.
    pub faults: Faults,
    /// CPU time of all workers in the window.
    pub cpu: Cpu,
    /// Largest share of a core that one worker used in the window.
    pub core_usage_max: f64,
    /// Posts that were due in the window and were sent, in it or later.
    pub posts_sent_in_window: u64,
}

impl RunMeasurements {
    /// The measurements of a run that could not begin.
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
