//! Runs and blocks of a job: what the validity table and the answer say of them.

use std::collections::{BTreeMap, BTreeSet};

use results::{Mode, ResultsFolder, Run, Subject, VerdictKind};
use serde::{Deserialize, Serialize};
use wire::Transport;

use crate::stats::parts;

/// A run in the validity table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Number of the run.
    pub run: u32,
    /// Number of the round among those of the same mode.
    pub round: u32,
    /// What the load generator does.
    pub mode: Mode,
    /// Slices of the run.
    pub slices: usize,
    /// Those that count in no value.
    pub slices_dropped: usize,
    /// Point of the sweep.
    pub point: String,
    /// Transport.
    pub transport: Transport,
    /// Server; `pushbench` is the built-in server.
    pub target: String,
    /// Verdict.
    pub verdict: VerdictKind,
    /// Reasons of the verdict.
    pub reasons: Vec<String>,
    /// Send delay, 99th percentile.
    pub send_delay_p99_us: Option<u64>,
    /// Largest core usage of a worker of the load generator.
    pub generator_core_usage_max: f64,
    /// Posts sent, of those scheduled.
    pub offered_share: Option<f64>,
    /// CPU probe, as a share of the best of the job.
    pub cpu_probe_share: f64,
    /// Growth of the median latency over the window, as a share of itself.
    pub growth_share: Option<f64>,
    /// Why the server's memory per connection is unknown although it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_unknown: Option<String>,
}

/// The blocks of a job. A block is one slice of every subject at a point.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockCounts {
    /// Blocks under load and in lock-step.
    pub made: usize,
    /// Those with at least one slice that was dropped.
    pub dropped: usize,
    /// Slices of all subjects in these blocks.
    pub slices: usize,
    /// Those that were dropped.
    pub slices_dropped: usize,
    /// Blocks by reason; a block may have several.
    pub reasons: BTreeMap<String, usize>,
}

impl RunSummary {
    /// The subject.
    pub fn subject(&self) -> Subject {
        Subject::new(self.transport, &self.target)
    }

    pub(crate) fn of(run: &Run) -> Self {
        let record = &run.record;
        let (planned, machine) = (&record.planned, &record.machine);
        let lateness = record.latency.get(&results::Series::SendDelay);
        let seconds = usize::try_from(planned.window_us / 1_000_000).unwrap_or(usize::MAX);
        let medians: Vec<_> = record.seconds.iter().filter_map(|second| second.delivery_p50_us).take(seconds).collect();
        let medians: Vec<_> = medians.into_iter().map(|us| us as f64).collect();
        Self {
            run: record.run,
            round: record.round,
            mode: record.mode,
            slices: record.slices.len(),
            slices_dropped: record.slices.len() - record.kept().count(),
            point: record.point.clone(),
            transport: record.transport,
            target: record.target.clone(),
            verdict: record.verdict.kind,
            reasons: record.verdict.reasons.clone(),
            send_delay_p99_us: lateness.and_then(|lateness| lateness.quantiles.get("p99")).map(|p99| p99.us),
            generator_core_usage_max: record.generator.core_usage_max,
            offered_share: (planned.posts_in_window > 0)
                .then(|| planned.posts_sent_in_window as f64 / planned.posts_in_window as f64),
            cpu_probe_share: machine.cpu_probe_before.min(machine.cpu_probe_after)
                / machine.cpu_probe_best.max(f64::MIN_POSITIVE),
            growth_share: parts(&medians).map(|parts| parts.growth_share),
            memory_unknown: record.server_memory_bytes().and_then(Result::err).map(str::to_owned),
        }
    }
}

impl BlockCounts {
    pub(crate) fn of(job: &ResultsFolder) -> Self {
        let (mut made, mut dropped) = (BTreeSet::new(), BTreeSet::new());
        let (mut slices, mut slices_dropped) = (0, 0);
        let mut reasons = BTreeMap::<&str, BTreeSet<_>>::new();
        for record in job.runs.iter().map(|run| &run.record) {
            // Block 0 is the warm-up.
            for slice in record.slices.iter().filter(|slice| slice.block > 0) {
                let block = (record.point.as_str(), record.mode, record.round, slice.block);
                made.insert(block);
                slices += 1;
                if let Some(reason) = &slice.dropped {
                    dropped.insert(block);
                    slices_dropped += 1;
                    reasons.entry(reason).or_default().insert(block);
                }
            }
        }
        let reasons = reasons.into_iter().map(|(reason, blocks)| (reason.to_owned(), blocks.len())).collect();
        Self { made: made.len(), dropped: dropped.len(), slices, slices_dropped, reasons }
    }
}
