//! Verdicts of all metrics at one look.

use super::block_stats::BlockStats;
use super::planning::rounds_to_decide;
use super::{Block, ComparisonRow, GateVerdict, InconclusiveReason, Look, MetricBlocks, rounds_min, worse};
use crate::stats::{self, holm};

/// Significance level of base against base again.
const AGAIN_ALPHA: f64 = 0.01;
const SHOWN_LEVEL: f64 = 0.95;

/// Judges all metrics of a job together, from all blocks made until the look.
pub fn judge(cells: &[MetricBlocks], look: &Look) -> Vec<ComparisonRow> {
    let read: Vec<BlockStats> = cells.iter().map(BlockStats::of).collect();
    let is_tested = |cell: &MetricBlocks| cell.threshold.is_some() && !cell.metric.info().is_count;
    let gated: Vec<usize> = (0..cells.len()).filter(|at| is_tested(&cells[*at])).collect();
    let adjusted = holm(&gated.iter().map(|at| read[*at].p).collect::<Vec<_>>());
    let mut p: Vec<f64> = read.iter().map(|read| read.p).collect();
    gated.iter().zip(adjusted).for_each(|(at, adjusted)| p[*at] = adjusted);
    let each_alpha = look.alpha / gated.len().max(1) as f64;
    cells.iter().zip(read).zip(p).map(|((cell, read), p)| row(cell, &read, p, look, each_alpha)).collect()
}

/// The verdict on a count, which has no noise: base and base again are the same, and head is or is
/// not. Slices of a block have the same posts, so that numbers in them have the same digits.
fn of_count(cell: &MetricBlocks, threshold: f64) -> GateVerdict {
    let middle = |of: fn(&Block) -> f64| median(cell.blocks.iter().map(of).collect());
    let (change, again) =
        (middle(|block| (block.head / block.base).ln()), middle(|block| (block.again / block.base).ln()));
    match worse(cell.metric) * change {
        _ if cell.blocks.is_empty() => GateVerdict::Inconclusive(InconclusiveReason::Missing),
        _ if again.abs() >= threshold.ln_1p() => GateVerdict::Inconclusive(InconclusiveReason::Machine),
        more if more >= threshold.ln_1p() => GateVerdict::Regression,
        less if less <= -threshold.ln_1p() => GateVerdict::Improved,
        _ => GateVerdict::Same,
    }
}

fn verdict(cell: &MetricBlocks, read: &BlockStats, p: f64, threshold: f64, look: &Look) -> GateVerdict {
    if cell.metric.info().is_count {
        return of_count(cell, threshold);
    }
    let (estimate, matters) = (read.estimate(), threshold.ln_1p());
    let interval = read.interval(look.same_level).zip(read.spread);
    let enough = read.rounds() >= rounds_min(cell.metric.mode()) as usize;
    let Some(((low, high), spread)) = interval.filter(|_| enough) else {
        return GateVerdict::Inconclusive(InconclusiveReason::Missing);
    };
    if read.p_again <= AGAIN_ALPHA && read.again.is_some_and(|again| again.value.abs() >= matters) {
        return GateVerdict::Inconclusive(InconclusiveReason::Machine);
    }
    if p <= look.alpha && estimate.abs() >= matters && estimate.abs() > spread.wander {
        return if estimate > 0.0 { GateVerdict::Regression } else { GateVerdict::Improved };
    }
    if -matters < low && high < matters {
        return GateVerdict::Same;
    }
    GateVerdict::Inconclusive(InconclusiveReason::Noise)
}

fn row(cell: &MetricBlocks, read: &BlockStats, p: f64, look: &Look, each_alpha: f64) -> ComparisonRow {
    let sign = worse(cell.metric);
    let ratio = |log: f64| (sign * log).exp();
    let interval = read.interval(SHOWN_LEVEL).map(|(low, high)| (ratio(low), ratio(high)));
    let verdict = cell.threshold.map(|threshold| verdict(cell, read, p, threshold, look));
    let planning = cell.threshold.filter(|_| !cell.metric.info().is_count).map(f64::ln_1p);
    let open = verdict.is_some_and(|verdict| !verdict.is_decided());
    ComparisonRow {
        transport: cell.transport.clone(),
        metric: cell.metric,
        threshold: cell.threshold,
        verdict,
        rounds: read.rounds(),
        blocks: cell.blocks.len(),
        base: median(cell.blocks.iter().flat_map(|block| [block.base, block.again]).collect()),
        head: median(cell.blocks.iter().map(|block| block.head).collect()),
        ratio: ratio(read.estimate()),
        interval: interval.map(|(a, b)| (a.min(b), a.max(b))),
        p,
        p_again: read.p_again,
        smallest_effect: planning.and_then(|matters| smallest_effect(read, matters, each_alpha)).map(ratio),
        rounds_to_decide: planning.zip(read.spread).filter(|_| open).and_then(|(matters, spread)| {
            let least = (rounds_min(cell.metric.mode()) as usize).max(read.rounds() + 1);
            rounds_to_decide(read.estimate(), matters, each_alpha, spread.of_round(read.rounds()), least)
        }),
        again: read.again_rounds.iter().map(|log| log.exp()).collect(),
    }
}

/// The change that is significant and estimated above the threshold with a probability of 80 %.
fn smallest_effect(read: &BlockStats, matters: f64, alpha: f64) -> Option<f64> {
    let spread = read.spread?;
    Some(spread.distance(alpha).max(matters).max(spread.wander) + spread.shortfall())
}

fn median(values: Vec<f64>) -> f64 {
    stats::median(&values).unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
