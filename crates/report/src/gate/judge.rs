//! Verdicts of all metrics at one look.

use super::{Block, ComparisonRow, GateVerdict, InconclusiveReason, Look, MetricBlocks, worse};
use crate::stats::{self, PairwiseMeans, holm, within_blocks};

/// Significance level of base against base again.
const AGAIN_ALPHA: f64 = 0.01;
const SHOWN_LEVEL: f64 = 0.95;
/// 97.5 % point of the normal distribution, for the printed 95 % interval.
const SHOWN_Z: f64 = 1.96;
/// 80 % point of the normal distribution, for a detection probability of 80 %.
const POWER_Z: f64 = 0.842;
/// 95 % point of the normal distribution, for the 90 % interval of the last look.
const SAME_Z: f64 = 1.645;
/// Largest number of blocks that is suggested.
const BLOCKS_SENSIBLE_MAX: f64 = 1_000.0;

/// Judges all metrics of a job together, from the first blocks, as many as the look has.
pub fn judge(cells: &[MetricBlocks], look: &Look) -> Vec<ComparisonRow> {
    let read: Vec<BlockStats> = cells.iter().map(|cell| BlockStats::of(cell, look)).collect();
    let gated: Vec<usize> = (0..cells.len()).filter(|at| cells[*at].metric.info().gate.is_some()).collect();
    let adjusted = holm(&gated.iter().map(|at| read[*at].p).collect::<Vec<_>>());
    let mut p: Vec<f64> = read.iter().map(|read| read.p).collect();
    gated.iter().zip(adjusted).for_each(|(at, adjusted)| p[*at] = adjusted);
    let each_alpha = look.alpha / gated.len().max(1) as f64;
    cells.iter().zip(read).zip(p).map(|((cell, read), p)| row(cell, &read, p, look, each_alpha)).collect()
}

/// Statistics of the blocks of one metric, in logarithms; positive is worse.
struct BlockStats<'a> {
    blocks: &'a [Block],
    differences: Vec<f64>,
    means: Option<PairwiseMeans>,
    p: f64,
    p_again: f64,
}

impl<'a> BlockStats<'a> {
    fn of(cell: &'a MetricBlocks, look: &Look) -> Self {
        let blocks = &cell.blocks[..cell.blocks.len().min(look.blocks)];
        let sign = worse(cell.metric);
        let log = |value: f64| sign * value.ln();
        let arms: Vec<[f64; 3]> = blocks.iter().map(|b| [log(b.head), log(b.base), log(b.again)]).collect();
        let same: Vec<[f64; 2]> = arms.iter().map(|[_, base, again]| [*again, *base]).collect();
        let differences: Vec<f64> =
            arms.iter().map(|[head, base, again]| head - f64::midpoint(*base, *again)).collect();
        Self {
            blocks,
            means: PairwiseMeans::of(&differences),
            differences,
            p: within_blocks(&arms).map_or(1.0, crate::stats::Tails::p),
            p_again: within_blocks(&same).map_or(1.0, crate::stats::Tails::p),
        }
    }

    fn estimate(&self) -> f64 {
        self.means.as_ref().map_or(0.0, PairwiseMeans::median)
    }

    fn interval(&self, level: f64) -> Option<(f64, f64)> {
        self.means.as_ref()?.interval(level)
    }

    fn verdict(&self, p: f64, delta: f64, look: &Look) -> GateVerdict {
        let Some((low, high)) = self.interval(look.same_level) else {
            return GateVerdict::Inconclusive(InconclusiveReason::Missing);
        };
        if self.p_again <= AGAIN_ALPHA {
            return GateVerdict::Inconclusive(InconclusiveReason::Machine);
        }
        let (estimate, matters) = (self.estimate(), delta.ln_1p());
        if p <= look.alpha && estimate.abs() >= matters {
            return if estimate > 0.0 { GateVerdict::Regression } else { GateVerdict::Improved };
        }
        if -matters < low && high < matters {
            return GateVerdict::Same;
        }
        GateVerdict::Inconclusive(InconclusiveReason::Noise)
    }

    /// Standard error of the estimate, derived from its interval.
    fn error(&self) -> Option<f64> {
        let (low, high) = self.interval(SHOWN_LEVEL)?;
        Some((high - low) / (2.0 * SHOWN_Z))
    }
}

fn row(cell: &MetricBlocks, read: &BlockStats<'_>, p: f64, look: &Look, each_alpha: f64) -> ComparisonRow {
    let sign = worse(cell.metric);
    let ratio = |log: f64| (sign * log).exp();
    let interval = read.interval(SHOWN_LEVEL).map(|(low, high)| (ratio(low), ratio(high)));
    let verdict = cell.metric.info().gate.map(|delta| read.verdict(p, delta, look));
    let planning = cell.metric.info().gate.zip(read.error());
    ComparisonRow {
        transport: cell.transport.clone(),
        metric: cell.metric,
        verdict,
        blocks: read.differences.len(),
        base: median(read.blocks.iter().flat_map(|block| [block.base, block.again]).collect()),
        head: median(read.blocks.iter().map(|block| block.head).collect()),
        ratio: ratio(read.estimate()),
        interval: interval.map(|(a, b)| (a.min(b), a.max(b))),
        p,
        p_again: read.p_again,
        smallest_effect: planning.map(|(delta, error)| ratio(smallest_effect(delta.ln_1p(), error, each_alpha))),
        blocks_to_decide: planning.and_then(|(delta, error)| {
            let open = verdict.is_some_and(|verdict| matches!(verdict, GateVerdict::Inconclusive(_)));
            open.then(|| blocks_to_decide(read, delta.ln_1p(), error, each_alpha)).flatten()
        }),
        again: read.blocks.iter().map(|block| block.again / block.base).collect(),
    }
}

/// The change that is significant and estimated above the threshold with a probability of 80 %.
fn smallest_effect(matters: f64, error: f64, alpha: f64) -> f64 {
    ((normal_point(alpha / 2.0) + POWER_Z) * error).max(matters + POWER_Z * error)
}

/// If the estimate is right: number of blocks until the interval lies within the threshold, or
/// until the change is significant.
fn blocks_to_decide(read: &BlockStats<'_>, matters: f64, error: f64, alpha: f64) -> Option<u64> {
    let spread = error * (read.differences.len() as f64).sqrt();
    let estimate = read.estimate().abs();
    let (room, z) = if estimate < matters {
        (matters - estimate, SAME_Z + POWER_Z)
    } else {
        (estimate, normal_point(alpha / 2.0) + POWER_Z)
    };
    let blocks = (z * spread / room).powi(2).ceil().max(read.differences.len() as f64 + 1.0);
    (blocks <= BLOCKS_SENSIBLE_MAX).then_some(blocks as u64)
}

/// Quantile of the normal distribution for an upper tail (Hastings' approximation, accurate to
/// 0.0005, which is enough for planning).
fn normal_point(tail: f64) -> f64 {
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

fn median(values: Vec<f64>) -> f64 {
    stats::median(&values).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::MetricId;

    use crate::gate::Rule;
    use crate::stats::Chance;

    const COST: MetricId = MetricId::ServerCpuPerMessage;
    const RATE: MetricId = MetricId::DeliveredPerS;

    fn metric_blocks(metric: MetricId, sigma: f64, head: f64, again: f64) -> MetricBlocks {
        let mut chance = Chance::new(11, 0);
        let mut value = |factor: f64| 100.0 * factor * (sigma * chance.normal()).exp();
        let blocks = (0..16).map(|_| Block { base: value(1.0), head: value(head), again: value(again) }).collect();
        MetricBlocks { transport: "tcp".to_owned(), metric, blocks }
    }

    fn judged(blocks: MetricBlocks) -> ComparisonRow {
        judge(&[blocks], Rule::of(16).looks().last().unwrap()).remove(0)
    }

    #[test]
    fn a_higher_cost_and_a_lower_rate_are_regressions() {
        let verdict = |metric, head| judged(metric_blocks(metric, 0.02, head, 1.0)).verdict;
        assert_eq!(verdict(COST, 1.2), Some(GateVerdict::Regression));
        assert_eq!(verdict(COST, 0.8), Some(GateVerdict::Improved));
        assert_eq!(verdict(RATE, 1.2), Some(GateVerdict::Improved));
        assert_eq!(verdict(RATE, 0.8), Some(GateVerdict::Regression));
        assert_eq!(verdict(COST, 1.0), Some(GateVerdict::Same));
        assert_eq!(verdict(COST, 1.01), Some(GateVerdict::Same));
        assert_eq!(verdict(MetricId::DeliveryMax, 1.2), None, "the metric is not gated");
    }

    #[test]
    fn ratios_are_head_divided_by_base() {
        for metric in [COST, RATE] {
            let row = judged(metric_blocks(metric, 0.02, 1.2, 1.0));
            let (low, high) = row.interval.unwrap();
            assert!(low < row.ratio && row.ratio < high && (row.ratio - 1.2).abs() < 0.04, "{row:?}");
            assert!((row.head / row.base - row.ratio).abs() < 0.03, "{row:?}");
            let worse = row.smallest_effect.unwrap();
            assert_eq!(worse > 1.0, metric == COST, "{row:?}");
        }
    }

    #[test]
    fn a_base_that_differs_from_itself_is_inconclusive() {
        let row = judged(metric_blocks(COST, 0.02, 1.3, 1.2));
        assert_eq!(row.verdict, Some(GateVerdict::Inconclusive(InconclusiveReason::Machine)));
        assert!(row.p_again < 0.01 && row.again.len() == 16);
    }

    #[test]
    fn noisy_values_are_inconclusive_with_the_smallest_effect_and_the_needed_blocks() {
        let row = judged(metric_blocks(COST, 0.25, 1.0, 1.0));
        assert_eq!(row.verdict, Some(GateVerdict::Inconclusive(InconclusiveReason::Noise)));
        assert!(row.smallest_effect.unwrap() > 1.2, "{row:?}");
        assert!(row.blocks_to_decide.is_none_or(|blocks| blocks > 50), "{row:?}");
        let few = MetricBlocks {
            blocks: metric_blocks(COST, 0.01, 1.0, 1.0).blocks[..3].to_vec(),
            ..metric_blocks(COST, 0.01, 1.0, 1.0)
        };
        assert_eq!(judged(few).verdict, Some(GateVerdict::Inconclusive(InconclusiveReason::Missing)));
    }

    #[test]
    fn constant_values_are_the_same_and_exact_changes_are_found() {
        let of = |head| {
            let blocks = vec![Block { base: 64.0, head, again: 64.0 }; 16];
            judged(MetricBlocks { transport: "tcp".to_owned(), metric: COST, blocks })
        };
        assert_eq!((of(64.0).verdict, of(64.0).ratio, of(64.0).p), (Some(GateVerdict::Same), 1.0, 1.0));
        assert_eq!(of(80.0).verdict, Some(GateVerdict::Regression));
    }

    #[test]
    fn normal_quantiles_equal_published_tables() {
        for (tail, known) in [(0.025, 1.960), (0.005, 2.576), (0.0005, 3.291), (0.000_05, 3.891)] {
            assert!((normal_point(tail) - known).abs() < 1e-3, "{tail}");
        }
    }
}
