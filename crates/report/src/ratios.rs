//! Ratios of two subjects: from slices of the same block where both metrics are of slices, else from
//! runs of the same round.

use std::collections::BTreeMap;

use results::{MetricId, Mode, ResultsFolder, Subject};
use serde::{Deserialize, Serialize};

use crate::selection::{RunSelection, point_names};
use crate::stats::{InBlock, InRound, Ratio, block_ratio, lock_step_ratio};

/// Metrics whose ratios to raw TCP stand in the tables, in the answer and in a plot.
pub const COMPARED: [MetricId; 3] =
    [MetricId::BackToBackCpuPerMessage, MetricId::ServerCpuPerMessage, MetricId::DeliveryP50];

/// A ratio to raw TCP from which a latency is better understood in milliseconds.
pub(crate) const TIMES_MAX: f64 = 20.0;

/// A metric of a subject at a point.
pub(crate) type Side<'a> = (&'a RunSelection<'a>, MetricId);

/// The ratio of one round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RoundRatio {
    /// Number of the round among those of the same mode.
    pub round: u32,
    /// Estimate from the blocks of this round alone.
    pub ratio: f64,
}

/// `left / right`; `None` without a common block or round.
pub(crate) fn ratio(left: Side<'_>, right: Side<'_>) -> Option<Ratio> {
    let (ours, theirs) = blocks(left, right);
    estimate([left.1, right.1], &ours, &theirs)
}

/// The ratio of each round.
pub(crate) fn by_round(left: Side<'_>, right: Side<'_>) -> Vec<RoundRatio> {
    let (ours, theirs) = blocks(left, right);
    let in_round = |all: &[InBlock], round| all.iter().filter(|one| one.round == round).copied().collect::<Vec<_>>();
    let rounds: std::collections::BTreeSet<u32> = ours.iter().map(|one| one.round).collect();
    let ratios = rounds.into_iter().filter_map(|round| {
        let ratio = estimate([left.1, right.1], &in_round(&ours, round), &in_round(&theirs, round))?;
        Some(RoundRatio { round, ratio: ratio.value })
    });
    ratios.collect()
}

/// The ratio of each block.
pub(crate) fn by_block(left: Side<'_>, right: Side<'_>) -> Vec<InBlock> {
    let (ours, theirs) = blocks(left, right);
    let theirs: BTreeMap<_, _> = theirs.iter().map(|one| ((one.round, one.block), one.value)).collect();
    let ratios = ours.into_iter().filter_map(|one| {
        let other = theirs.get(&(one.round, one.block))?;
        Some(InBlock { value: one.value / other, ..one })
    });
    ratios.filter(|one| one.value.is_finite() && one.value > 0.0).collect()
}

/// The widest interval of the ratios to raw TCP that are printed: half of its width as a share of
/// the ratio, and whose it is. `None` while one of them has no interval.
pub fn widest_ratio(job: &ResultsFolder) -> Option<(f64, String)> {
    let mut widest: Option<(f64, String)> = None;
    for label in point_names(job) {
        let baseline = RunSelection::of(job, label, &Subject::BASELINE);
        let here = job.runs.iter().filter(|run| run.record.point == label);
        for subject in Subject::all(here.map(|run| &run.record)).iter().filter(|subject| **subject != Subject::BASELINE)
        {
            let own = RunSelection::of(job, label, subject);
            for metric in COMPARED {
                let Some(found) = ratio((&own, metric), (&baseline, metric)) else { continue };
                if found.value >= TIMES_MAX {
                    continue;
                }
                let (low, high) = found.interval?;
                let half = (high - low) / 2.0 / found.value;
                if widest.as_ref().is_none_or(|(most, _)| half > *most) {
                    widest = Some((half, format!("{} of {subject}", metric.info().label)));
                }
            }
        }
    }
    widest
}

/// Values of rounds as the only block of each.
pub(crate) fn one_block_a_round(values: &[InRound]) -> Vec<InBlock> {
    values.iter().map(|(round, value)| InBlock { round: *round, block: 1, value: *value }).collect()
}

fn estimate(metrics: [MetricId; 2], left: &[InBlock], right: &[InBlock]) -> Option<Ratio> {
    match metrics.map(MetricId::mode) {
        [Mode::LockStep, Mode::LockStep] => lock_step_ratio(left, right),
        _ => block_ratio(left, right),
    }
}

/// The values that are paired. Rounds of different modes have no blocks in common.
fn blocks(left: Side<'_>, right: Side<'_>) -> (Vec<InBlock>, Vec<InBlock>) {
    let [ours, theirs] = [left, right].map(|(runs, metric)| runs.in_slices(metric));
    if left.1.mode() == right.1.mode() && !ours.is_empty() && !theirs.is_empty() {
        return (ours, theirs);
    }
    let [ours, theirs] = [left, right].map(|(runs, metric)| one_block_a_round(&runs.in_rounds(metric)));
    (ours, theirs)
}

#[cfg(test)]
mod tests {
    use results::invented;
    use wire::Transport;

    use super::*;

    #[test]
    fn slices_are_paired_by_block_and_other_metrics_by_round() {
        let mut job = invented::sliced(4, 20, 10);
        let dropped = job.runs.iter_mut().find(|run| run.record.transport == Transport::Sse).unwrap();
        dropped.record.slices[0].dropped = Some("CPU time stolen".to_owned());
        let of = |transport| RunSelection::of(&job, "", &Subject::builtin(transport));
        let (tcp, sse) = (of(Transport::Tcp), of(Transport::Sse));
        let of = |metric| ratio((&sse, metric), (&tcp, metric)).unwrap();
        let shape = |metric| (of(metric).rounds, of(metric).blocks);
        assert_eq!(shape(MetricId::ServerCpuPerMessage), (4, 79));
        assert_eq!(shape(MetricId::BackToBackCpuPerMessage), (10, 200));
        assert_eq!(shape(MetricId::WritesPerMessage), (4, 4));
        let back_to_back = MetricId::BackToBackCpuPerMessage;
        assert_eq!(by_round((&sse, back_to_back), (&tcp, back_to_back)).len(), 10);
        assert_eq!(by_block((&sse, MetricId::DeliveryP50), (&tcp, MetricId::DeliveryP50)).len(), 79);
        let (widest, name) = widest_ratio(&job).unwrap();
        assert!(widest > 0.0 && widest < 0.05 && name.contains(" of "), "{widest} {name}");
        let mixed = ratio((&sse, back_to_back), (&sse, MetricId::ServerCpuPerMessage)).unwrap();
        assert_eq!((mixed.rounds, mixed.blocks), (4, 4));
    }
}
