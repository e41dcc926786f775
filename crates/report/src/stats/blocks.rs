//! Ratios of two subjects from slices of the same block, so that changes of the machine from block
//! to block cancel. `METHODOLOGY.md` describes the estimates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PairwiseMeans;

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
    /// Ends of the 95 % interval; empty with too few blocks or rounds.
    pub interval: Option<(f64, f64)>,
    /// Ends of the 90 % interval, for "the same within x %".
    pub interval_90: Option<(f64, f64)>,
    /// Two-sided p-value of a ratio of 1.
    pub p: f64,
    /// Blocks that both have.
    pub blocks: usize,
    /// Rounds that both have.
    pub rounds: usize,
    /// Standard deviation of the rounds beyond what their blocks explain, as a share.
    pub between_rounds: f64,
}

/// `left / right` under load: Hodges and Lehmann's estimate over blocks.
pub fn block_ratio(left: &[InBlock], right: &[InBlock]) -> Option<Ratio> {
    let rounds = by_round(left, right);
    let logs: Vec<f64> = rounds.values().flatten().copied().collect();
    let means = PairwiseMeans::of(&logs)?;
    let ends = |level| means.interval(level).map(|(low, high)| (low.exp(), high.exp()));
    Some(Ratio {
        value: means.median().exp(),
        interval: ends(0.95),
        interval_90: ends(0.90),
        p: 1.0,
        blocks: logs.len(),
        rounds: rounds.len(),
        between_rounds: 0.0,
    })
}

/// `left / right` in lock-step: the mean over rounds of each round's median.
pub fn lock_step_ratio(left: &[InBlock], right: &[InBlock]) -> Option<Ratio> {
    block_ratio(left, right)
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
