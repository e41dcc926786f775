//! Ratios of two subjects from slices of the same block, so that changes of the machine from block
//! to block cancel. `METHODOLOGY.md` describes the estimates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::trimmed_mean::{TrimmedMean, normal_half_width};
use super::{PairwiseMeans, median, normal_quantile};

/// Level from whose interval the standard error over blocks follows.
const LEVEL: f64 = 0.95;
/// Largest autocorrelation that widens an interval; with more, blocks say nothing of their own.
const AUTOCORRELATION_MAX: f64 = 0.9;
/// A subject with so many times fewer blocks than the other has few.
const FEW: usize = 4;
/// Fewer pairs of neighbouring blocks say nothing about their correlation.
const NEIGHBOURS_MIN: usize = 10;

/// From this number of rounds less one on, all of the variance within is subtracted. With all of it
/// subtracted, the intervals of four rounds that differ by as much as their blocks make them
/// uncertain contained the truth in 92 % of simulated jobs.
const FULL_FREEDOM: f64 = 7.0;
/// Smallest p-value that is computed, as a logarithm.
const LOG_P_MIN: f64 = -30.0;
const LOG_P_HALVINGS: usize = 40;

/// The value of one slice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InBlock {
    /// Round, from 1.
    pub round: u32,
    /// Block of the round, from 1.
    pub block: u32,
    /// The value; only positive values have a ratio.
    pub value: f64,
}

/// A ratio with its intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The estimate.
    pub value: f64,
    /// Ends of the 95 % interval; empty with fewer than four rounds.
    pub interval: Option<(f64, f64)>,
    /// Ends of the 90 % interval, for "the same within x %".
    pub interval_90: Option<(f64, f64)>,
    /// Two-sided p-value of a ratio of 1, consistent with the intervals; 1 without an interval.
    pub p: f64,
    /// Blocks that both have.
    pub blocks: usize,
    /// Rounds that both have.
    pub rounds: usize,
    /// Standard deviation of the rounds beyond what their blocks explain, as a share.
    pub between_rounds: f64,
}

/// The logarithm of a ratio, with the errors that its intervals follow from.
///
/// The half width of an interval is √(h² + t² τ²/R): h from the blocks (signed-rank test, widened by
/// the autocorrelation of neighbouring blocks), τ² from what R rounds differ by: the variance of the
/// round estimates less their variance within, and not below 0. Of the variance within, few rounds
/// subtract a part only, see [`FULL_FREEDOM`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogRatio {
    /// The estimate.
    pub value: f64,
    /// Standard error from the differences of blocks; empty where the rounds are the unit.
    within: Option<f64>,
    /// Mean of the round estimates; empty with too few rounds.
    over_rounds: Option<TrimmedMean>,
    /// Blocks that both have.
    pub blocks: usize,
    /// Rounds that both have.
    pub rounds: usize,
    /// Standard deviation of the rounds beyond what their blocks explain.
    between_rounds: f64,
}

/// `left / right` under load: Hodges and Lehmann's estimate over blocks.
pub fn block_ratio(left: &[InBlock], right: &[InBlock]) -> Option<Ratio> {
    LogRatio::of_blocks(left, right).map(|log| log.ratio())
}

/// `left / right` in lock-step: the mean over rounds of each round's median, without the extreme
/// rounds.
pub fn lock_step_ratio(left: &[InBlock], right: &[InBlock]) -> Option<Ratio> {
    LogRatio::of_rounds(left, right).map(|log| log.ratio())
}

impl LogRatio {
    /// Under load: Hodges and Lehmann's estimate over blocks; `None` without a common block.
    pub fn of_blocks(left: &[InBlock], right: &[InBlock]) -> Option<Self> {
        let rounds = by_round_of_load(left, right);
        let logs: Vec<f64> = rounds.values().flatten().copied().collect();
        let means = PairwiseMeans::of(&logs)?;
        let estimates = round_estimates(&rounds, |round| PairwiseMeans::of(round).map(|means| means.median()));
        // Rounds of one block each have no differences within.
        let interval = means.interval(LEVEL).filter(|_| logs.len() > rounds.len());
        let widening = widening(rounds.values());
        let within = interval.map(|(low, high)| widening * (high - low) / 2.0 / normal_quantile((1.0 - LEVEL) / 2.0));
        let explained = within.map_or(0.0, |error| error.powi(2) * rounds.len() as f64);
        Some(Self {
            value: means.median(),
            within,
            over_rounds: TrimmedMean::of(&estimates),
            blocks: logs.len(),
            rounds: rounds.len(),
            between_rounds: (variance(&estimates) - explained).max(0.0).sqrt(),
        })
    }

    /// In lock-step: the mean over rounds of each round's median, without the extreme rounds; the
    /// round is the unit. `None` without a common block.
    pub fn of_rounds(left: &[InBlock], right: &[InBlock]) -> Option<Self> {
        let rounds = by_round(left, right);
        let estimates = round_estimates(&rounds, median);
        let over_rounds = TrimmedMean::of(&estimates);
        Some(Self {
            value: over_rounds.map(|mean| mean.value).or_else(|| median(&estimates))?,
            within: None,
            over_rounds,
            blocks: rounds.values().map(Vec::len).sum(),
            rounds: rounds.len(),
            between_rounds: variance(&estimates).sqrt(),
        })
    }

    /// This ratio divided by that of another job.
    pub fn minus(self, other: Self) -> Self {
        let error = |one: f64, two: f64| (one.powi(2) + two.powi(2)).sqrt();
        Self {
            value: self.value - other.value,
            within: self.within.zip(other.within).map(|(one, two)| error(one, two)),
            over_rounds: self.over_rounds.zip(other.over_rounds).map(|(one, two)| one.minus(two)),
            blocks: self.blocks.min(other.blocks),
            rounds: self.rounds.min(other.rounds),
            between_rounds: error(self.between_rounds, other.between_rounds),
        }
    }

    /// Ends of the interval of this level; `None` with fewer than four rounds.
    pub fn interval(&self, level: f64) -> Option<(f64, f64)> {
        let half = self.half_width(self.over_rounds?, level);
        Some((self.value - half, self.value + half))
    }

    fn half_width(&self, over_rounds: TrimmedMean, level: f64) -> f64 {
        let Some(within) = self.within else { return over_rounds.half_width(level) };
        let explained = within * ((self.rounds - 1) as f64 / FULL_FREEDOM).min(1.0).sqrt();
        normal_half_width(level, within).hypot(over_rounds.less(explained).half_width(level))
    }

    /// Two-sided p-value of a ratio of 1, consistent with the intervals; 1 without an interval.
    pub fn p(&self) -> f64 {
        let Some(over_rounds) = self.over_rounds else { return 1.0 };
        if self.within.is_none() || self.value == 0.0 {
            return over_rounds.p(self.value);
        }
        // The level whose interval ends at a ratio of 1, by halving the logarithm of p.
        let (mut low, mut high) = (LOG_P_MIN, 0.0_f64);
        for _ in 0..LOG_P_HALVINGS {
            let middle = (low + high) / 2.0;
            let half = self.half_width(over_rounds, 1.0 - middle.exp());
            (low, high) = if half > self.value.abs() { (middle, high) } else { (low, middle) };
        }
        high.exp()
    }

    /// The ratio itself.
    pub fn ratio(&self) -> Ratio {
        let ends = |level| self.interval(level).map(|(low, high)| (low.exp(), high.exp()));
        Ratio {
            value: self.value.exp(),
            interval: ends(0.95),
            interval_90: ends(0.90),
            p: self.p(),
            blocks: self.blocks,
            rounds: self.rounds,
            between_rounds: self.between_rounds.exp_m1(),
        }
    }
}

/// The logarithms of the ratios, by round, in the order of the blocks.
fn by_round(left: &[InBlock], right: &[InBlock]) -> BTreeMap<u32, Vec<f64>> {
    let at = |one: &InBlock| (one.round, one.block);
    let right: BTreeMap<_, _> = right.iter().map(|one| (at(one), one.value)).collect();
    let mut rounds = BTreeMap::<u32, Vec<f64>>::new();
    let left: BTreeMap<_, _> = left.iter().map(|one| (at(one), one.value)).collect();
    for ((round, block), value) in left {
        if let Some(other) = right.get(&(round, block)).filter(|other| **other > 0.0 && value > 0.0) {
            rounds.entry(round).or_default().push((value / other).ln());
        }
    }
    rounds
}

/// The same under load, where a subject with long windows (polling) takes part in few blocks: it is
/// compared with the median of the other one in the round. A single short window of that one would
/// be the largest part of the error.
fn by_round_of_load(left: &[InBlock], right: &[InBlock]) -> BTreeMap<u32, Vec<f64>> {
    if left.len() * FEW > right.len() && right.len() * FEW > left.len() {
        return by_round(left, right);
    }
    let logs = |all: &[InBlock]| {
        let mut rounds = BTreeMap::<u32, Vec<f64>>::new();
        for one in all.iter().filter(|one| one.value > 0.0) {
            rounds.entry(one.round).or_default().push(one.value.ln());
        }
        rounds
    };
    let (left, right) = (logs(left), logs(right));
    let ratios = |(round, left): (u32, Vec<f64>)| {
        let right = right.get(&round)?;
        let ratios = if left.len() < right.len() {
            let middle = median(right)?;
            left.iter().map(|log| log - middle).collect()
        } else {
            let middle = median(&left)?;
            right.iter().map(|log| middle - log).collect()
        };
        Some((round, ratios))
    };
    left.into_iter().filter_map(ratios).collect()
}

fn round_estimates(rounds: &BTreeMap<u32, Vec<f64>>, of: impl Fn(&[f64]) -> Option<f64>) -> Vec<f64> {
    rounds.values().filter_map(|round| of(round)).collect()
}

/// The factor of a standard error for the correlation of neighbouring blocks of a round. The
/// estimate of the correlation is corrected for its bias of minus one by the length of the round.
fn widening<'a>(rounds: impl Iterator<Item = &'a Vec<f64>>) -> f64 {
    let (mut products, mut squares, mut neighbours, mut blocks, mut bias) = (0.0, 0.0, 0, 0, 0.0);
    for round in rounds.filter(|round| round.len() > 1) {
        let mean = round.iter().sum::<f64>() / round.len() as f64;
        squares += round.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        products += round.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>();
        neighbours += round.len() - 1;
        blocks += round.len();
        bias += 1.0;
    }
    if neighbours < NEIGHBOURS_MIN || squares == 0.0 {
        return 1.0;
    }
    let correlation = products / squares * blocks as f64 / neighbours as f64 + bias / blocks as f64;
    let correlation = correlation.clamp(0.0, AUTOCORRELATION_MAX);
    ((1.0 + correlation) / (1.0 - correlation)).sqrt()
}

/// The variance of a sample; 0 for fewer than two values.
fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len().saturating_sub(1).max(1) as f64
}

#[cfg(test)]
mod tests;
