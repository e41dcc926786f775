//! What a load generator measured over a whole run, and the sum of several.

use std::collections::BTreeMap;
use std::io::Write;

use hdrhistogram::Histogram;
use loadgen::{RunMeasurements, SocketCounts, add_logs};
use report::stats;
use results::{Faults, LatencySummary, LedgerSummary, RunEnd, Second, Series, TrafficCounts};
use serde::{Deserialize, Serialize};

/// What a load generator measured over a whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunTotals {
    pub(crate) ended: RunEnd,
    pub(crate) latency: BTreeMap<Series, LatencySummary>,
    pub(crate) saturated: u64,
    pub(crate) negative: u64,
    pub(crate) seconds: Vec<Second>,
    pub(crate) set_up: TrafficCounts,
    pub(crate) total: TrafficCounts,
    pub(crate) sockets: Option<SocketCounts>,
    pub(crate) sockets_in_slices: Option<SocketCounts>,
    pub(crate) ledger: LedgerSummary,
    pub(crate) faults: Faults,
    pub(crate) core_usage_max: f64,
    pub(crate) posts_sent_in_window: u64,
    /// The interval log, where it is not in a file.
    pub(crate) interval_log: String,
}

impl RunTotals {
    /// The totals of a run that could not begin.
    pub(crate) fn empty(ended: RunEnd) -> Self {
        Self::of(&RunMeasurements::empty(ended), 0)
    }

    /// Summarises the histograms. Deliveries of one post depend on each other: only the `posts`
    /// count as independent there.
    pub(crate) fn of(measured: &RunMeasurements, posts: u64) -> Self {
        Self {
            ended: measured.ended.clone(),
            latency: summaries(&measured.histograms, posts),
            saturated: measured.saturated,
            negative: measured.negative,
            seconds: measured.seconds.clone(),
            set_up: measured.set_up,
            total: measured.total,
            sockets: measured.sockets,
            sockets_in_slices: measured.sockets_in_slices,
            ledger: measured.ledger.clone(),
            faults: measured.faults.clone(),
            core_usage_max: measured.core_usage_max,
            posts_sent_in_window: measured.posts_sent_in_window,
            interval_log: String::new(),
        }
    }

    /// What load generators on the same cores measured together. Their interval logs are added up and
    /// written to `log`.
    pub(crate) fn together(parts: &[Self], posts: u64, log: &mut impl Write) -> std::io::Result<Self> {
        let sum = |of: fn(&Self) -> u64| parts.iter().map(of).sum();
        let traffic = |of: fn(&Self) -> TrafficCounts| {
            parts.iter().fold(TrafficCounts::default(), |sum, part| sum.plus(&of(part)))
        };
        let sockets = |of: fn(&Self) -> Option<SocketCounts>| {
            let all = parts.iter().map(of).collect::<Option<Vec<_>>>();
            all.map(|all| all.iter().fold(SocketCounts::default(), |sum, one| sum.plus(one)))
        };
        let (mut ledger, mut faults) = (LedgerSummary::default(), Faults::default());
        for part in parts {
            ledger.merge(&part.ledger);
            faults.merge(&part.faults);
        }
        let mut seconds = seconds_together(parts);
        let logs: Vec<_> = parts.iter().map(|part| part.interval_log.as_str()).collect();
        let histograms = add_logs(&logs, &mut seconds, log)?;
        let failed = parts.iter().map(|part| &part.ended).find(|ended| **ended != RunEnd::Complete);
        Ok(Self {
            ended: failed.cloned().unwrap_or(RunEnd::Complete),
            latency: summaries(&histograms, posts),
            saturated: sum(|part| part.saturated),
            negative: sum(|part| part.negative),
            seconds,
            set_up: traffic(|part| part.set_up),
            total: traffic(|part| part.total),
            sockets: sockets(|part| part.sockets),
            sockets_in_slices: sockets(|part| part.sockets_in_slices),
            ledger,
            faults,
            core_usage_max: parts.iter().map(|part| part.core_usage_max).sum(),
            posts_sent_in_window: sum(|part| part.posts_sent_in_window),
            interval_log: String::new(),
        })
    }
}

/// Summaries of the series that have values.
fn summaries(histograms: &[Histogram<u64>], posts: u64) -> BTreeMap<Series, LatencySummary> {
    let independent = |series| match series {
        Series::DeliveryLatency | Series::DeliveryLatencyFromSend => posts,
        Series::SendDelay
        | Series::AckLatency
        | Series::ConnectTime
        | Series::FanoutSpread
        | Series::ReconnectTime
        | Series::UpgradeTime => u64::MAX,
    };
    let recorded = Series::ALL.into_iter().zip(histograms).filter(|(_, histogram)| !histogram.is_empty());
    recorded.map(|(series, histogram)| (series, stats::latency(histogram, independent(series)))).collect()
}

/// The counts of every second, without its quantiles.
fn seconds_together(parts: &[RunTotals]) -> Vec<Second> {
    let mut sums: BTreeMap<u32, Second> = BTreeMap::new();
    for row in parts.iter().flat_map(|part| &part.seconds) {
        let sum = sums.entry(row.second).or_insert_with(|| Second { second: row.second, ..Second::default() });
        sum.delivered += row.delivered;
        sum.posted += row.posted;
        sum.requests += row.requests;
        sum.connected += row.connected;
        sum.faults += row.faults;
    }
    sums.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_one_load_generator_is_what_it_measured_and_a_failure_is_kept() {
        let mut part = RunTotals::empty(RunEnd::Complete);
        (part.total.delivered, part.saturated, part.core_usage_max) = (7, 1, 0.25);
        part.ledger.received = 7;
        part.seconds = vec![Second { second: 3, delivered: 7, connected: 2, ..Second::default() }];
        part.sockets = Some(SocketCounts { bytes_up: 5, ..SocketCounts::default() });
        let alone = RunTotals::together(std::slice::from_ref(&part), 9, &mut Vec::new()).unwrap();
        assert_eq!(alone, part);
        let lost = RunTotals::empty(RunEnd::Failed("it was killed".to_owned()));
        let both = RunTotals::together(&[part.clone(), lost, part], 9, &mut Vec::new()).unwrap();
        assert_eq!(both.ended, RunEnd::Failed("it was killed".to_owned()));
        assert_eq!((both.total.delivered, both.ledger.received, both.core_usage_max), (14, 14, 0.5));
        assert_eq!(both.seconds, [Second { second: 3, delivered: 14, connected: 4, ..Second::default() }]);
        assert_eq!(both.sockets, None, "not all are known");
    }
}
