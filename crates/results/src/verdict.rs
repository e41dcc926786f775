//! The verdict: whether the metrics of a run may be used as a result. It follows from the record
//! alone.

mod traffic;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::Delivery;

use crate::{FaultKind, Mode, RunEnd, RunRecord, Series, TheilSenLine, median};

pub use traffic::{BYTES_APART_SHARE_MAX, USELESS_SHARE_MAX};

/// A worker that uses a larger share of its core may be the bottleneck.
pub const CORE_USAGE_MAX: f64 = 0.85;
/// Posts may be sent this much after their scheduled instant …
pub const SEND_DELAY_MAX_US: u64 = 1_000;
/// … or this share of the transport's own median latency.
const LATENESS_SHARE_MAX: f64 = 0.05;
/// Allowed difference between the offered and the planned load, as a share.
pub const OFFERED_SHARE_OFF_MAX: f64 = 0.01;
/// Allowed loss of CPU speed against the best probe of the job. An idle virtual machine varies by
/// about 15 % because of its neighbours; one whose cores share a physical core loses half.
pub const CPU_PROBE_LOSS_MAX: f64 = 0.25;
/// Share of the CPU time that the host may take.
const STOLEN_SHARE_MAX: f64 = 0.01;
/// Growth of the median during the window, as a share of the median, that counts as a growing
/// backlog …
const BACKLOG_GROWTH_MAX: f64 = 0.05;
/// … if it exceeds the scatter of the seconds by this factor.
const BACKLOG_OVER_SCATTER_MIN: f64 = 3.0;
/// Slices whose drain may end with deliveries missing, less one.
pub const UNDRAINED_MAX: usize = 3;
/// Slices in lock-step that must count, of a subject that takes part in every block.
const LOCK_STEP_SLICES_MIN: usize = 4;
/// Seconds needed to see a trend.
const TREND_SECONDS_MIN: usize = 5;

/// Class of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// The metrics are a result.
    Valid,
    /// The server could not keep up with the load.
    Overloaded,
    /// Messages were lost, duplicated, out of order or changed.
    Wrong,
    /// The server ended during the run, or could not be started.
    Crashed,
    /// The measurement itself failed.
    Invalid,
}

impl VerdictKind {
    /// The name used in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Overloaded => "overloaded",
            Self::Wrong => "wrong",
            Self::Crashed => "crashed",
            Self::Invalid => "invalid",
        }
    }

    /// Whether the metrics of such a run are shown.
    pub const fn has_metrics(self) -> bool {
        matches!(self, Self::Valid | Self::Overloaded)
    }
}

impl fmt::Display for VerdictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A verdict with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RunVerdict {
    /// Class of the verdict.
    pub kind: VerdictKind,
    /// Why the run is not valid; empty for a valid run.
    pub reasons: Vec<String>,
}

/// Judges a run by its record, whose own verdict is ignored.
pub fn judge(record: &RunRecord) -> RunVerdict {
    let (failed, wrong, overloaded) = (measurement(record), deliveries(record), backlog(record));
    let crash = match &record.ended {
        RunEnd::Crashed(crash) => Some(crash.how.clone()),
        RunEnd::Complete | RunEnd::Interrupted | RunEnd::Failed(_) => None,
    };
    // Wrong messages count even in a run that crashed or whose timing is invalid.
    let (kind, reasons) = if !wrong.is_empty() {
        (VerdictKind::Wrong, wrong.into_iter().chain(crash).collect())
    } else if let Some(how) = crash {
        (VerdictKind::Crashed, vec![how])
    } else if !failed.is_empty() {
        (VerdictKind::Invalid, failed)
    } else if !overloaded.is_empty() {
        (VerdictKind::Overloaded, overloaded)
    } else {
        (VerdictKind::Valid, Vec::new())
    };
    RunVerdict { kind, reasons }
}

fn deliveries(record: &RunRecord) -> Vec<String> {
    let ledger = &record.ledger;
    let complete = record.ended == RunEnd::Complete;
    let counts = [
        (if complete { ledger.lost } else { 0 }, "lost"),
        (ledger.duplicated, "duplicated"),
        (ledger.reordered, "out of order"),
        (ledger.corrupted, "corrupted"),
        (ledger.unexpected, "not in the plan"),
    ];
    let mut reasons: Vec<_> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} of {} deliveries {what}", ledger.scheduled))
        .collect();
    if ledger.gap_messages > 0 {
        reasons.push(format!("the server reported that {} messages were no longer available", ledger.gap_messages));
    }
    if ledger.forgotten > 0 {
        let forgotten = ledger.forgotten;
        reasons.push(format!("the shared log has forgotten {forgotten} messages that servers had accepted"));
    }
    if let Some(first) = ledger.incidents.first().filter(|_| !reasons.is_empty()) {
        reasons.push(format!("first: {:?} at client {}, seq {}", first.kind, first.client, first.seq).to_lowercase());
    }
    reasons.extend(traffic::useless_answers(record));
    reasons
}

fn measurement(record: &RunRecord) -> Vec<String> {
    let mut reasons = Vec::new();
    match &record.ended {
        RunEnd::Complete | RunEnd::Crashed(_) => {}
        RunEnd::Interrupted => reasons.push("interrupted".to_owned()),
        RunEnd::Failed(why) => reasons.push(why.clone()),
    }
    let (faulted, wanted) = (record.ledger.undelivered_posts, record.ledger.scheduled);
    let is_expected = record.planned.outages > 0;
    let refused =
        record.ended == RunEnd::Complete && !is_expected && faulted as f64 > OFFERED_SHARE_OFF_MAX * wanted as f64;
    if refused {
        reasons
            .push(format!("{faulted} of {wanted} deliveries are missing because their posts never reached the server"));
    }
    if record.ended == RunEnd::Complete && record.window_us() == 0 {
        let dropped = record.slices.iter().filter(|slice| slice.block > 0).find_map(|slice| slice.dropped.as_ref());
        reasons.push(match dropped {
            Some(why) => format!("all its slices were dropped: {why}"),
            None => "no window fitted into its round: give a longer --budget, or fewer transports".to_owned(),
        });
    }
    reasons.extend(too_few_in_lock_step(record));
    let explains = refused || matches!(record.ended, RunEnd::Failed(_));
    for (kind, count) in &record.faults.counts {
        if explains || matches!(kind, FaultKind::OutOfFiles | FaultKind::OutOfPorts) {
            let first = record.faults.texts.get(kind).and_then(|texts| texts.first());
            reasons.push(format!("{kind} {count} times{}", first.map_or(String::new(), |text| format!(" ({text})"))));
        }
    }
    if record.generator.core_usage_max > CORE_USAGE_MAX {
        let busy = record.generator.core_usage_max * 100.0;
        reasons.push(format!(
            "the load generator used {busy:.0} % of a core (limit {:.0} %), it may be the bottleneck: give it more cores or reduce the load",
            CORE_USAGE_MAX * 100.0
        ));
    }
    reasons.extend(traffic::bytes_apart(record));
    reasons.extend(send_delay(record));
    let planned = &record.planned;
    let missing = planned.posts_in_window.saturating_sub(planned.posts_sent_in_window);
    if record.ended == RunEnd::Complete && missing as f64 > OFFERED_SHARE_OFF_MAX * planned.posts_in_window as f64 {
        reasons.push(format!(
            "only {} of {} posts scheduled in the window were sent",
            planned.posts_sent_in_window, planned.posts_in_window
        ));
    }
    // In rounds with slices, what the machine did is judged block by block.
    if record.planned.slices == 1 {
        reasons.extend(machine(record));
    }
    reasons
}

/// Where other programs leave a round a slice or two, its ratio is not that of longer rounds: beside
/// a compiler WebSocket had 0.8 times raw TCP and long polling 1.2, where all others have 1.0 and 1.7.
fn too_few_in_lock_step(record: &RunRecord) -> Option<String> {
    let kept = record.kept().count();
    let is_measured = record.mode == Mode::LockStep && record.ended == RunEnd::Complete && kept > 0;
    let takes_part_in_all = record.transport.info().delivery != Delivery::Polled;
    (is_measured && takes_part_in_all && kept < LOCK_STEP_SLICES_MIN).then(|| {
        format!("only {kept} of its slices in lock-step count, {LOCK_STEP_SLICES_MIN} are needed: end other programs, or measure fewer transports")
    })
}

/// What the machine did during one long window.
fn machine(record: &RunRecord) -> Vec<String> {
    let (machine, mut reasons) = (&record.machine, Vec::new());
    let slowest = machine.cpu_probe_before.min(machine.cpu_probe_after);
    if slowest < machine.cpu_probe_best * (1.0 - CPU_PROBE_LOSS_MAX) {
        reasons.push(format!(
            "the CPU probe reached {:.0} % of its best rate in this job (limit {:.0} %): another process or the host used the CPU",
            100.0 * slowest / machine.cpu_probe_best,
            100.0 * (1.0 - CPU_PROBE_LOSS_MAX)
        ));
    }
    if machine.stolen_share > STOLEN_SHARE_MAX {
        reasons.push(format!("the host took {:.1} % of the CPU time", machine.stolen_share * 100.0));
    }
    if machine.throttled_us > 0 {
        reasons.push(format!("a CPU quota stopped the processes for {} ms", machine.throttled_us / 1_000));
    }
    reasons
}

fn send_delay(record: &RunRecord) -> Option<String> {
    // Few posts carry no 99th percentile: the highest they do carry speaks for them.
    let quantiles = &record.latency.get(&Series::SendDelay)?.quantiles;
    let (name, late) = ["p99", "p90", "p50"].iter().find_map(|name| Some((name, quantiles.get(*name)?.us)))?;
    let median = record.latency.get(&Series::DeliveryLatency).and_then(|delivery| delivery.quantiles.get("p50"));
    let share = median.map_or(0.0, |median| median.us as f64 * LATENESS_SHARE_MAX);
    let allowed = SEND_DELAY_MAX_US.max(share as u64);
    (late > allowed).then(|| format!("posts were sent up to {late} µs late ({name}, limit {allowed} µs)"))
}

fn backlog(record: &RunRecord) -> Vec<String> {
    if record.planned.slices > 1 {
        return backlog_in_slices(record).into_iter().collect();
    }
    let medians: Vec<f64> =
        record.seconds.iter().filter_map(|second| second.delivery_p50_us).map(|us| us as f64).collect();
    // The seconds of the drain hold only stragglers.
    let window_seconds = (record.planned.window_us / 1_000_000) as usize;
    let medians = &medians[..medians.len().min(window_seconds)];
    if record.transport.info().delivery == Delivery::Polled || medians.len() < TREND_SECONDS_MIN {
        return backlog_at_end(record).into_iter().collect();
    }
    let (Some(line), Some(middle)) = (TheilSenLine::over(medians), median(medians)) else { return Vec::new() };
    let (growth, scatter) = (line.slope * (medians.len() - 1) as f64, line.scatter);
    // What is delivered before the next post leaves no backlog.
    let between_posts = record.planned.window_us as f64 / record.planned.posts_in_window.max(1) as f64;
    let grows = growth > BACKLOG_GROWTH_MAX * middle
        && growth > BACKLOG_OVER_SCATTER_MIN * scatter
        && growth > 1_000.0
        && middle + growth > between_posts;
    let reason = grows
        .then(|| format!("the median latency grew by {growth:.0} µs during the window, from about {middle:.0} µs"));
    reason.into_iter().chain(backlog_at_end(record)).collect()
}

/// Short slices show a backlog by their drains. A drain of a transport that polls lasts an interval
/// anyway.
fn backlog_in_slices(record: &RunRecord) -> Option<String> {
    let count = |is: &dyn Fn(&&crate::Slice) -> bool| record.kept().filter(is).count();
    let (all, unfinished) = (count(&|_| true), count(&|slice| !slice.drained));
    if unfinished >= UNDRAINED_MAX {
        return Some(format!("after {unfinished} of {all} slices, deliveries were still missing when the drain ended"));
    }
    let long = count(&|slice| slice.drain_us > slice.window_us);
    (record.transport.info().delivery != Delivery::Polled && 2 * long > all)
        .then(|| format!("in {long} of {all} slices the drain took longer than the window"))
}

/// A backlog of more than a second of deliveries at the end of the window, whatever the medians
/// say.
fn backlog_at_end(record: &RunRecord) -> Option<String> {
    let planned = &record.planned;
    let per_second = planned.deliveries_in_window as f64 * 1e6 / planned.window_us.max(1) as f64;
    let behind = planned.deliveries_in_window as f64 - record.window().delivered as f64;
    let late = record.latency.get(&Series::DeliveryLatency)?.quantiles.get("p50")?.us as f64 / 1e6;
    let explained = per_second * (2.0 * late).max(1.0);
    (behind > explained.max(0.1 * planned.deliveries_in_window as f64))
        .then(|| format!("{behind:.0} deliveries were still missing when the window ended"))
}

#[cfg(test)]
mod tests;
