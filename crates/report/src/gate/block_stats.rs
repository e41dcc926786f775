//! What the blocks of one metric say: the change, its errors, and the tests.

use std::collections::BTreeMap;

use results::{Mode, median};

use super::{Block, MetricBlocks, worse};
use crate::stats::{InBlock, LogRatio, PairwiseMeans, Tails, TrimmedMean, t_quantile, within_blocks};

/// Tail of the t distribution for what base against base again wanders.
const WANDER_TAIL: f64 = 0.025;

/// Statistics of one metric, in logarithms; positive is worse.
pub(super) struct BlockStats {
    /// Head against the mean of base and base again.
    pub(super) effect: Option<LogRatio>,
    /// Base again against base.
    pub(super) again: Option<LogRatio>,
    /// Two-sided p-value of the effect.
    pub(super) p: f64,
    /// Two-sided p-value of base again against base.
    pub(super) p_again: f64,
    /// What the effects of rounds differ by.
    pub(super) spread: Option<Spread>,
    /// Base again against base in each round.
    pub(super) again_rounds: Vec<f64>,
}

/// What the effects of rounds differ by when nothing has changed.
///
/// Without a change, head, base and base again are three processes of one kind. Two contrasts of
/// them are independent: head against the mean of the others, whose variance is 3/2 of that of a
/// process, and base again against base, whose variance is twice that of a process and whose mean is
/// known to be 0. Their squares together have 2R − 1 degrees of freedom in R rounds; the R − 1 of the
/// effects alone are too few for a decision after six rounds.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    /// Mean of the effects.
    mean: f64,
    /// Standard error of the mean.
    error: f64,
    /// Degrees of freedom of the error.
    freedom: f64,
    /// The effect that base against base again, by chance, shows in 5 % of the jobs.
    pub(super) wander: f64,
}

impl BlockStats {
    pub(super) fn of(cell: &MetricBlocks) -> Self {
        let mode = cell.metric.mode();
        let sign = worse(cell.metric);
        let arms = |block: &Block| [block.head, block.base, block.again].map(|value| sign * value.ln());
        let blocks: Vec<[f64; 3]> = cell.blocks.iter().map(arms).collect();
        let same: Vec<[f64; 2]> = blocks.iter().map(|[_, base, again]| [*again, *base]).collect();
        let rounds = rounds(&cell.blocks, &blocks, mode);
        let again_rounds: Vec<f64> = rounds.iter().map(|[_, base, again]| again - base).collect();
        let spread = Spread::of(&rounds);
        let (p, p_again) = match mode {
            Mode::LockStep => {
                let same: Vec<[f64; 2]> = rounds.iter().map(|[_, base, again]| [*again, *base]).collect();
                (p_value(within_blocks(&rounds)), p_value(within_blocks(&same)))
            }
            Mode::Load => {
                // With one block a round, the rounds are all there is.
                let of_blocks = |p: f64| if blocks.len() > rounds.len() { p } else { 0.0 };
                let over_rounds = TrimmedMean::of(&again_rounds).map_or(1.0, |mean| mean.p(mean.value));
                (
                    of_blocks(p_value(within_blocks(&blocks))).max(spread.map_or(1.0, Spread::p)),
                    of_blocks(p_value(within_blocks(&same))).max(over_rounds),
                )
            }
        };
        let compared = |left: &dyn Fn(&[f64; 3]) -> f64, right: &dyn Fn(&[f64; 3]) -> f64| {
            let (left, right) = (side_values(&cell.blocks, &blocks, left), side_values(&cell.blocks, &blocks, right));
            match mode {
                Mode::Load => LogRatio::of_blocks(&left, &right),
                Mode::LockStep => LogRatio::of_rounds(&left, &right),
            }
        };
        Self {
            effect: compared(&|[head, _, _]| *head, &|[_, base, again]| f64::midpoint(*base, *again)),
            again: compared(&|[_, _, again]| *again, &|[_, base, _]| *base),
            p,
            p_again,
            spread,
            again_rounds: again_rounds.iter().map(|log| sign * log).collect(),
        }
    }

    pub(super) fn estimate(&self) -> f64 {
        self.effect.map_or(0.0, |effect| effect.value)
    }

    pub(super) fn interval(&self, level: f64) -> Option<(f64, f64)> {
        self.effect?.interval(level)
    }

    pub(super) fn rounds(&self) -> usize {
        self.again_rounds.len()
    }
}

impl Spread {
    fn of(rounds: &[[f64; 3]]) -> Option<Self> {
        if rounds.len() < 2 {
            return None;
        }
        let n = rounds.len() as f64;
        let effects: Vec<f64> = rounds.iter().map(|[head, base, again]| head - f64::midpoint(*base, *again)).collect();
        let mean = effects.iter().sum::<f64>() / n;
        let of_effects: f64 = effects.iter().map(|effect| (effect - mean).powi(2)).sum();
        let of_again: f64 = rounds.iter().map(|[_, base, again]| (again - base).powi(2)).sum();
        let freedom = 2.0 * n - 1.0;
        let process = (of_effects / 1.5 + of_again / 2.0) / freedom;
        let wander = t_quantile(WANDER_TAIL, n) * (1.5 * of_again / 2.0 / n / n).sqrt();
        Some(Self { mean, error: (1.5 * process / n).sqrt(), freedom, wander })
    }

    /// Two-sided p-value of the mean.
    fn p(self) -> f64 {
        TrimmedMean { value: self.mean, error: self.error, freedom: self.freedom }.p(self.mean)
    }

    /// The distance from 0 at which a mean has this two-sided p-value.
    pub(super) fn distance(self, p: f64) -> f64 {
        t_quantile(p / 2.0, self.freedom) * self.error
    }

    /// How far an estimate falls below the truth in one job of five.
    pub(super) fn shortfall(self) -> f64 {
        t_quantile(0.2, self.freedom) * self.error
    }

    /// Standard deviation of the effect of a round.
    pub(super) fn of_round(self, rounds: usize) -> f64 {
        self.error * (rounds as f64).sqrt()
    }
}

fn p_value(tails: Option<Tails>) -> f64 {
    tails.map_or(1.0, Tails::p)
}

/// The three sides of every round, less the mean of their block: the middle over the blocks of the
/// round. Without a change the three are exchangeable in each round, so that a randomisation test
/// over rounds is exact, whatever distinguishes two processes of one program.
fn rounds(blocks: &[Block], logs: &[[f64; 3]], mode: Mode) -> Vec<[f64; 3]> {
    let mut by_round = BTreeMap::<u32, [Vec<f64>; 3]>::new();
    for (block, arms) in blocks.iter().zip(logs) {
        let mean = arms.iter().sum::<f64>() / 3.0;
        let round = by_round.entry(block.round).or_default();
        arms.iter().zip(round).for_each(|(arm, values)| values.push(arm - mean));
    }
    let middle = |values: Vec<f64>| match mode {
        Mode::Load => PairwiseMeans::of(&values).map_or(0.0, |means| means.median()),
        Mode::LockStep => median(&values).unwrap_or(0.0),
    };
    by_round.into_values().map(|arms| arms.map(middle)).collect()
}

/// One side of every block, from its logarithms.
fn side_values(blocks: &[Block], logs: &[[f64; 3]], side: &dyn Fn(&[f64; 3]) -> f64) -> Vec<InBlock> {
    let numbered = blocks.iter().zip(logs).zip(1..);
    numbered.map(|((at, arms), block)| InBlock { round: at.round, block, value: side(arms).exp() }).collect()
}
