//! What a run measured.

use hdrhistogram::Histogram;
use results::{Faults, LedgerSummary, RunEnd, Second, Series, TrafficCounts};

use crate::measure::histograms::Histograms;
use crate::net::tcp_info::SocketCounts;

/// The measurements of one run of one transport.
#[derive(Debug, Clone)]
pub struct RunMeasurements {
    /// How it ended.
    pub ended: RunEnd,
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
    /// Counts of the whole run.
    pub total: TrafficCounts,
    /// The kernel's counts of the clients' sockets over the whole run; `None` for an HTTP client
    /// that does not expose its sockets.
    pub sockets: Option<SocketCounts>,
    /// The same from before the first slice to the end.
    pub sockets_in_slices: Option<SocketCounts>,
    /// Deliveries, losses and incidents.
    pub ledger: LedgerSummary,
    /// Faults by kind.
    pub faults: Faults,
    /// Largest share of a core that one worker used in a window.
    pub core_usage_max: f64,
    /// Slices that were run to their end.
    pub slices_run: u32,
    /// Posts that were due in the windows of these slices and were sent, in them or later.
    pub posts_sent_in_window: u64,
}

impl RunMeasurements {
    /// The measurements of a run that could not begin.
    pub fn empty(ended: RunEnd) -> Self {
        Self {
            ended,
            histograms: Histograms::new().into_histograms(),
            saturated: 0,
            negative: 0,
            seconds: Vec::new(),
            set_up: TrafficCounts::default(),
            total: TrafficCounts::default(),
            sockets: None,
            sockets_in_slices: None,
            ledger: LedgerSummary::default(),
            faults: Faults::default(),
            core_usage_max: 0.0,
            slices_run: 0,
            posts_sent_in_window: 0,
        }
    }

    /// The histogram of a series.
    pub fn of(&self, series: Series) -> &Histogram<u64> {
        &self.histograms[series as usize]
    }
}
