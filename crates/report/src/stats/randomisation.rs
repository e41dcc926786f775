//! Randomisation test within blocks on aligned ranks: does the first value of every block differ
//! from the others?
//!
//! The mean of each block is subtracted from its values, the residuals are ranked together, and the
//! ranks of the first values are summed. Under the null hypothesis each value of a block is equally
//! likely to be the first, because the order was random. The distribution of the sum is computed by
//! convolution over the blocks; the p-values are exact. This is cheaper than drawing 10,000 random
//! assignments. For many blocks the time of the convolution grows with the cube of their number, and
//! the sum is nearly normal.

use super::normal_tail;

/// The largest number of blocks whose distribution is computed by convolution.
const EXACT_MAX: usize = 60;

/// Tail probabilities of the rank sum under the null hypothesis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tails {
    /// Of a sum as small or smaller.
    pub low: f64,
    /// Of a sum as large or larger.
    pub high: f64,
}

impl Tails {
    /// The two-sided p-value.
    pub fn p(self) -> f64 {
        (2.0 * self.low.min(self.high)).min(1.0)
    }
}

/// Tests the first value of every block against the others; `None` without blocks.
pub fn within_blocks<const ARMS: usize>(blocks: &[[f64; ARMS]]) -> Option<Tails> {
    if blocks.is_empty() || ARMS < 2 {
        return None;
    }
    let ranks = aligned_ranks(blocks);
    Some(if blocks.len() <= EXACT_MAX { by_convolution(&ranks) } else { by_normal(&ranks) })
}

fn by_convolution<const ARMS: usize>(ranks: &[[usize; ARMS]]) -> Tails {
    let mut chances = vec![1.0];
    let (mut least, mut found) = (0, 0);
    for block in ranks {
        let low = block.iter().copied().min().unwrap_or(0);
        let high = block.iter().copied().max().unwrap_or(0);
        let mut sums = vec![0.0; chances.len() + high - low];
        for rank in block {
            for (sum, chance) in sums[rank - low..].iter_mut().zip(&chances) {
                *sum += chance / ARMS as f64;
            }
        }
        chances = sums;
        least += low;
        found += block[0];
    }
    let at = found - least;
    let total = |part: &[f64]| part.iter().sum::<f64>().min(1.0);
    Tails { low: total(&chances[..=at]), high: total(&chances[at..]) }
}

/// The sum of the first ranks as a normal number with the mean and variance that it has over all
/// assignments, corrected for its skewness (the first term of Edgeworth's series).
fn by_normal<const ARMS: usize>(ranks: &[[usize; ARMS]]) -> Tails {
    let (mut above, mut variance, mut third) = (0.0, 0.0, 0.0);
    for block in ranks {
        let block = block.map(|rank| rank as f64);
        let mean = block.iter().sum::<f64>() / ARMS as f64;
        above += block[0] - mean;
        variance += block.iter().map(|rank| (rank - mean).powi(2)).sum::<f64>() / ARMS as f64;
        third += block.iter().map(|rank| (rank - mean).powi(3)).sum::<f64>() / ARMS as f64;
    }
    if variance == 0.0 {
        return Tails { low: 1.0, high: 1.0 };
    }
    let tail = |distance: f64, skewness: f64| {
        // Doubled ranks differ by 2 without ties: half of that is added for continuity.
        let z = (distance - 1.0) / variance.sqrt();
        let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
        (normal_tail(z) + density * skewness / 6.0 * (z * z - 1.0)).clamp(0.0, 1.0)
    };
    let skewness = third / variance.powf(1.5);
    Tails { low: tail(-above, -skewness), high: tail(above, skewness) }
}

/// Twice the ranks of the residuals; equal residuals get their mean rank.
fn aligned_ranks<const ARMS: usize>(blocks: &[[f64; ARMS]]) -> Vec<[usize; ARMS]> {
    let mut all = Vec::with_capacity(blocks.len() * ARMS);
    for (at, block) in blocks.iter().enumerate() {
        let mean = block.iter().sum::<f64>() / ARMS as f64;
        all.extend(block.iter().enumerate().map(|(arm, value)| (value - mean, at, arm)));
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![[0; ARMS]; blocks.len()];
    let mut first = 0;
    for equal in all.chunk_by(|a, b| a.0 == b.0) {
        let doubled = 2 * first + equal.len() + 1;
        equal.iter().for_each(|(_, at, arm)| ranks[*at][*arm] = doubled);
        first += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Chance;
    use proptest::prelude::*;

    /// Enumerates all assignments. The rank of a value is counted from the smaller and equal values.
    fn by_enumeration(blocks: &[[f64; 3]]) -> Tails {
        let residuals: Vec<[f64; 3]> =
            blocks.iter().map(|block| block.map(|value| value - block.iter().sum::<f64>() / 3.0)).collect();
        let all: Vec<f64> = residuals.iter().flatten().copied().collect();
        let rank = |value: f64| {
            let smaller = all.iter().filter(|other| **other < value).count() as f64;
            smaller + (all.iter().filter(|other| **other == value).count() as f64 + 1.0) / 2.0
        };
        let ranks: Vec<[f64; 3]> = residuals.iter().map(|block| block.map(rank)).collect();
        let found: f64 = ranks.iter().map(|block| block[0]).sum();
        let (mut low, mut high, assignments) = (0_u32, 0_u32, 3_usize.pow(blocks.len() as u32));
        for assignment in 0..assignments {
            let places = (0..blocks.len()).map(|block| assignment / 3_usize.pow(block as u32) % 3);
            let sum: f64 = ranks.iter().zip(places).map(|(block, place)| block[place]).sum();
            low += u32::from(sum <= found + 1e-9);
            high += u32::from(sum >= found - 1e-9);
        }
        Tails { low: f64::from(low) / assignments as f64, high: f64::from(high) / assignments as f64 }
    }

    #[test]
    fn the_most_extreme_of_all_assignments_is_one_of_them() {
        let blocks: Vec<_> = (0..5).map(|at| [10.0 + f64::from(at), 1.0, 1.1]).collect();
        let tails = within_blocks(&blocks).unwrap();
        assert!((tails.high - 1.0 / 243.0).abs() < 1e-12 && (tails.low - 1.0).abs() < 1e-12, "{tails:?}");
        assert_eq!(within_blocks::<3>(&[]), None);
        assert_eq!(within_blocks(&[[2.0, 2.0, 2.0]; 9]).map(Tails::p), Some(1.0));
    }

    #[test]
    fn random_assignments_give_the_same_probability() {
        let mut chance = Chance::new(5, 0);
        let blocks: Vec<[f64; 3]> =
            (0..16).map(|_| [chance.normal() + 0.6, chance.normal(), chance.normal()]).collect();
        let ranks = aligned_ranks(&blocks);
        let found: usize = ranks.iter().map(|block| block[0]).sum();
        let rounds = 10_000;
        let as_large = (0..rounds)
            .filter(|_| ranks.iter().map(|block| block[chance.below(3)]).sum::<usize>() >= found)
            .count() as f64;
        let exact = within_blocks(&blocks).unwrap().high;
        let error = (exact * (1.0 - exact) / f64::from(rounds)).sqrt();
        assert!((as_large / f64::from(rounds) - exact).abs() < 4.0 * error, "{as_large} {exact}");
    }

    #[test]
    fn the_normal_distribution_continues_the_exact_one() {
        for (seed, shift) in [(1, 0.0), (2, 0.15), (3, 0.3), (4, 0.45), (5, -0.6)] {
            let mut chance = Chance::new(seed, 0);
            let mut skewed = || chance.normal().exp();
            let blocks: Vec<[f64; 3]> = (0..EXACT_MAX).map(|_| [skewed() + shift, skewed(), skewed()]).collect();
            let ranks = aligned_ranks(&blocks);
            let (exact, normal) = (by_convolution(&ranks).p(), by_normal(&ranks).p());
            assert!((0.98..1.3).contains(&(normal / exact)), "{exact} {normal}");
        }
    }

    proptest! {
        #[test]
        fn convolution_is_enumeration(
            blocks in proptest::collection::vec(proptest::array::uniform3(0_u8..6), 1..7),
        ) {
            // Multiples of 0.75 are exact, so that both methods have the same ties.
            let blocks: Vec<[f64; 3]> = blocks.iter().map(|block| block.map(|value| f64::from(value) * 0.75)).collect();
            let (fast, plain) = (within_blocks(&blocks).unwrap(), by_enumeration(&blocks));
            prop_assert!((fast.low - plain.low).abs() < 1e-9 && (fast.high - plain.high).abs() < 1e-9, "{:?} {:?}", fast, plain);
        }

        #[test]
        fn a_block_that_is_slow_as_a_whole_changes_nothing(
            blocks in proptest::collection::vec(proptest::array::uniform3(0_i32..1000), 1..20),
            slow in proptest::collection::vec(-500_i32..500, 20),
        ) {
            let of = |shifted: bool| {
                let shift = |at: usize| if shifted { slow[at] } else { 0 };
                let values = blocks.iter().enumerate();
                // Multiples of three have whole means.
                let blocks: Vec<_> = values.map(|(at, block)| block.map(|value| f64::from(3 * (value + shift(at))))).collect();
                within_blocks(&blocks)
            };
            prop_assert_eq!(of(true), of(false));
        }
    }
}
