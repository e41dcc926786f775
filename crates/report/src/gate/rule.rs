//! The looks of a gate and their error rates.
//!
//! A job of N blocks is evaluated after N/2, 3N/4 and N blocks; the three looks spend 10, 20 and 70
//! % of α. The probability of any false alarm is at most the sum, α, whatever the dependence
//! between the looks. A job ends early only if every gated metric is decided; otherwise the look
//! has no effect. `same` needs a 98 % interval at an early look and a 90 % interval at the last.

/// Error rate of a job: the probability that any unchanged metric is called changed.
const ALPHA: f64 = 0.01;
/// The looks: the share of the blocks, and the share of α.
const LOOKS: [(f64, f64); 3] = [(0.5, 0.1), (0.75, 0.2), (1.0, 0.7)];
const SAME_LEVEL_EARLY: f64 = 0.98;
const SAME_LEVEL_LAST: f64 = 0.90;
/// Fewer blocks have no 98 % interval, so that an early look could decide nothing.
const EARLY_BLOCKS_MIN: usize = 7;

/// The looks of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    looks: Vec<Look>,
}

/// One evaluation of the job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Number of blocks.
    pub blocks: usize,
    /// Error rate of the look, over all metrics.
    pub alpha: f64,
    /// Level of the interval for `same`.
    pub same_level: f64,
}

impl Rule {
    /// The looks of a job with this number of blocks.
    pub fn of(blocks: usize) -> Self {
        let mut looks: Vec<Look> = Vec::new();
        let mut unspent = 0.0;
        for (part, share) in LOOKS {
            let at = (blocks as f64 * part).floor() as usize;
            unspent += ALPHA * share;
            let last = at == blocks;
            if last || at >= EARLY_BLOCKS_MIN {
                let same_level = if last { SAME_LEVEL_LAST } else { SAME_LEVEL_EARLY };
                looks.push(Look { blocks: at, alpha: std::mem::take(&mut unspent), same_level });
            }
        }
        Self { looks }
    }

    /// The looks, first to last.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// The look after this number of blocks, if there is one.
    pub fn look_after(&self, blocks: usize) -> Option<Look> {
        self.looks.iter().copied().find(|look| look.blocks == blocks)
    }

    /// The last look of a job with fewer blocks than planned; it gets the error rate that was not
    /// spent.
    pub fn cut_short(&self, blocks: usize) -> Look {
        let spent: f64 = self.looks.iter().filter(|look| look.blocks <= blocks).map(|look| look.alpha).sum();
        Look { blocks, alpha: ALPHA - spent, same_level: SAME_LEVEL_LAST }
    }

    /// Minimum number of blocks that can give a significant result for one of this number of
    /// metrics: even the most extreme order of ranks has a probability.
    pub fn blocks_min(cells: usize) -> usize {
        let finds = |blocks: &usize| {
            let last = Self::of(*blocks).looks.last().map_or(0.0, |look| look.alpha);
            2.0 * 3.0_f64.powi(-i32::try_from(*blocks).unwrap_or(i32::MAX)) * cells.max(1) as f64 <= last
        };
        (1..=64).find(finds).unwrap_or(64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_looks_spend_exactly_the_error_rate() {
        for blocks in 1..100 {
            let rule = Rule::of(blocks);
            let spent: f64 = rule.looks().iter().map(|look| look.alpha).sum();
            assert!((spent - ALPHA).abs() < 1e-12, "{blocks}: {spent}");
            assert_eq!(rule.looks().last().map(|look| look.blocks), Some(blocks));
            assert!(rule.looks().is_sorted_by(|a, b| a.blocks < b.blocks), "{rule:?}");
            for cut in 1..blocks {
                let spent: f64 = rule.looks().iter().filter(|look| look.blocks <= cut).map(|look| look.alpha).sum();
                assert!(spent + rule.cut_short(cut).alpha <= ALPHA + 1e-12);
            }
        }
        assert_eq!(Rule::of(16).looks().iter().map(|look| look.blocks).collect::<Vec<_>>(), [8, 12, 16]);
    }

    #[test]
    fn the_minimum_of_blocks_depends_on_the_number_of_metrics() {
        assert_eq!((Rule::blocks_min(1), Rule::blocks_min(4), Rule::blocks_min(10)), (5, 7, 7));
    }
}
