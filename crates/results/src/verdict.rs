//! Whether the figures of a run may be shown as a result. Decided from what was measured, never by hand.

mod traffic;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::Transport;

use crate::{FaultKind, RunEnd, RunRecord, Series, TheilSenLine, median};

pub use traffic::{BYTES_APART_SHARE_MAX, USELESS_SHARE_MAX};

/// A worker busier than this may have been the bottleneck.
pub const CORE_USAGE_MAX: f64 = 0.85;
/// Posts may leave this late without anybody noticing …
pub const SEND_DELAY_MAX_US: u64 = 1_000;
/// … or this share of the transport's own median.
const LATENESS_SHARE_MAX: f64 = 0.05;
/// Offered rate may be off by this share.
pub const OFFERED_SHARE_OFF_MAX: f64 = 0.01;
/// The machine may be this much slower than at its best. A virtual machine that nobody else on it uses wanders by 15 % or so, with
/// its neighbours; one whose cores have to share a core loses half.
pub const CPU_PROBE_LOSS_MAX: f64 = 0.25;
/// The host may take this share of the CPU.
const STOLEN_SHARE_MAX: f64 = 0.01;
/// Growth of the median over the window, as a share of it, that is called a growing backlog …
const BACKLOG_GROWTH_MAX: f64 = 0.05;
/// … when it stands out from the scatter of the seconds by this factor.
const BACKLOG_OVER_SCATTER_MIN: f64 = 3.0;
/// Fewer seconds than this show no trend.
const TREND_SECONDS_MIN: usize = 5;

/// What a run's figures are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// A result.
    Valid,
    /// The server could not keep up: a regime of its own.
    Overloaded,
    /// Messages were lost, doubled, out of order or not what was posted.
    Wrong,
    /// The server ended by itself, or could not be started.
    Crashed,
    /// The instrument failed.
    Invalid,
}

impl VerdictKind {
    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "sound",
            Self::Overloaded => "overloaded",
            Self::Wrong => "wrong",
            Self::Crashed => "crashed",
            Self::Invalid => "invalid",
        }
    }

    /// Whether the figures of such a run are shown.
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
    /// Which.
    pub kind: VerdictKind,
    /// Why not sound; empty for a sound run.
    pub reasons: Vec<String>,
}

/// Judges a run by everything but its own verdict.
pub fn judge(record: &RunRecord) -> RunVerdict {
    let (failed, wrong, overloaded) = (instrument(record), correctness(record), backlog(record));
    let crash = match &record.ended {
        RunEnd::Crashed(crash) => Some(crash.how.clone()),
        RunEnd::Complete | RunEnd::Interrupted | RunEnd::Failed(_) => None,
    };
    // A wrong message is a fact even when the server ended or the timing means nothing; a backlog explains a generator that falls behind.
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

fn correctness(record: &RunRecord) -> Vec<String> {
    let ledger = &record.ledger;
    let complete = record.ended == RunEnd::Complete;
    let counts = [
        (if complete { ledger.lost } else { 0 }, "lost"),
        (ledger.duplicated, "duplicated"),
        (ledger.reordered, "out of order"),
        (ledger.corrupted, "corrupted"),
        (ledger.unexpected, "not planned by anybody"),
    ];
    let mut reasons: Vec<_> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} of {} deliveries {what}", ledger.scheduled))
        .collect();
    if ledger.gap_messages > 0 {
        reasons.push(format!("the server said that {} messages were gone", ledger.gap_messages));
    }
    if let Some(first) = ledger.incidents.first().filter(|_| !reasons.is_empty()) {
        reasons.push(format!("first: {:?} at seat {}, seq {}", first.kind, first.client, first.seq).to_lowercase());
    }
    reasons.extend(traffic::useless_answers(record));
    reasons
}

fn instrument(record: &RunRecord) -> Vec<String> {
    let mut reasons = Vec::new();
    match &record.ended {
        RunEnd::Complete | RunEnd::Crashed(_) => {}
        RunEnd::Interrupted => reasons.push("interrupted".to_owned()),
        RunEnd::Failed(why) => reasons.push(why.clone()),
    }
    let (faulted, wanted) = (record.ledger.undelivered_posts, record.ledger.scheduled);
    let refused = record.ended == RunEnd::Complete && faulted as f64 > OFFERED_SHARE_OFF_MAX * wanted as f64;
    if refused {
        reasons.push(format!("the posts of {faulted} of {wanted} deliveries never reached the server"));
    }
    if record.ended == RunEnd::Complete && record.generator.window_us == 0 {
        reasons.push("the window was not read".to_owned());
    }
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
            "the generator used {busy:.0} % of its core, at most {:.0} % is fair",
            CORE_USAGE_MAX * 100.0
        ));
    }
    reasons.extend(traffic::bytes_apart(record));
    reasons.extend(lateness(record));
    let planned = &record.planned;
    let missing = planned.posts_in_window.saturating_sub(planned.posts_sent_in_window);
    if record.ended == RunEnd::Complete && missing as f64 > OFFERED_SHARE_OFF_MAX * planned.posts_in_window as f64 {
        reasons
            .push(format!("{} of {} posts of the window left", planned.posts_sent_in_window, planned.posts_in_window));
    }
    let machine = &record.machine;
    let slowest = machine.cpu_probe_before.min(machine.cpu_probe_after);
    if slowest < machine.cpu_probe_best * (1.0 - CPU_PROBE_LOSS_MAX) {
        reasons.push(format!("the machine gave {:.0} % of the CPU it can", 100.0 * slowest / machine.cpu_probe_best));
    }
    if machine.stolen_share > STOLEN_SHARE_MAX {
        reasons.push(format!("the host took {:.1} % of the CPU", machine.stolen_share * 100.0));
    }
    if machine.throttled_us > 0 {
        reasons.push(format!("a quota stopped us for {} ms", machine.throttled_us / 1_000));
    }
    reasons
}

fn lateness(record: &RunRecord) -> Option<String> {
    // Few posts carry no 99th percentile: the highest they do carry speaks for them.
    let quantiles = &record.latency.get(&Series::SendDelay)?.quantiles;
    let (name, late) = ["p99", "p90", "p50"].iter().find_map(|name| Some((name, quantiles.get(*name)?.us)))?;
    let median = record.latency.get(&Series::DeliveryLatency).and_then(|delivery| delivery.quantiles.get("p50"));
    let share = median.map_or(0.0, |median| median.us as f64 * LATENESS_SHARE_MAX);
    let allowed = SEND_DELAY_MAX_US.max(share as u64);
    (late > allowed).then(|| format!("posts left up to {late} µs late ({name}), at most {allowed} µs is fair"))
}

fn backlog(record: &RunRecord) -> Vec<String> {
    let medians: Vec<f64> =
        record.seconds.iter().filter_map(|second| second.delivery_us_p50).map(|us| us as f64).collect();
    // The seconds of the drain hold only stragglers.
    let window_seconds = (record.planned.window_us / 1_000_000) as usize;
    let medians = &medians[..medians.len().min(window_seconds)];
    if record.transport == Transport::Polling || medians.len() < TREND_SECONDS_MIN {
        return drained(record).into_iter().collect();
    }
    let (Some(line), Some(middle)) = (TheilSenLine::over(medians), median(medians)) else { return Vec::new() };
    let (growth, scatter) = (line.slope * (medians.len() - 1) as f64, line.scatter);
    let grows = growth > BACKLOG_GROWTH_MAX * middle && growth > BACKLOG_OVER_SCATTER_MIN * scatter && growth > 1_000.0;
    let reason = grows.then(|| format!("the median grew by {growth:.0} µs over the window, from about {middle:.0} µs"));
    reason.into_iter().chain(drained(record)).collect()
}

/// A server that was still behind by more than a second's worth when the window ended has a backlog, whatever the medians say.
fn drained(record: &RunRecord) -> Option<String> {
    let planned = &record.planned;
    let per_second = planned.deliveries_in_window as f64 * 1e6 / planned.window_us.max(1) as f64;
    let behind = planned.deliveries_in_window as f64 - record.window.delivered as f64;
    let late = record.latency.get(&Series::DeliveryLatency)?.quantiles.get("p50")?.us as f64 / 1e6;
    let explained = per_second * (2.0 * late).max(1.0);
    (behind > explained.max(0.1 * planned.deliveries_in_window as f64))
        .then(|| format!("{behind:.0} deliveries were still to come when the window ended"))
}

#[cfg(test)]
mod tests;
