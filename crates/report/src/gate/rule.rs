//! When the gate looks, and how sure it must be each time.
//!
//! **Early stopping keeps the error rate** by sharing it: a job of N blocks is looked at after N/2, 3N/4 and N of them, and the looks
//! spend 10, 20 and 70 % of α. Whatever the looks have to do with each other, the chance of any false alarm is at most the sum
//! of what they spend, which is α. A job ends early only when every gated cell is decided; a look that leaves anything open is forgotten.
//! `same` is claimed from a 98 % interval at an early look and from a 90 % interval at the last.

/// Error rate of a job: the chance that anything is called changed that is not.
const ALPHA: f64 = 0.01;
/// Shares of the blocks after which there is a look, and of α that it may spend.
const LOOKS: [(f64, f64); 3] = [(0.5, 0.1), (0.75, 0.2), (1.0, 0.7)];
const SAME_LEVEL_EARLY: f64 = 0.98;
const SAME_LEVEL_LAST: f64 = 0.90;
/// Fewer blocks than this carry no interval, so that nothing could be decided early.
const EARLY_BLOCKS_MIN: usize = 7;

/// How a job is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    looks: Vec<Look>,
}

/// One look at the job so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Blocks it takes.
    pub blocks: usize,
    /// What it may spend of the error rate, over all cells.
    pub alpha: f64,
    /// Level of the interval that must lie within what matters.
    pub same_level: f64,
}

impl Rule {
    /// The rule for a job of so many blocks.
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

    /// The look that is due after so many blocks, if one is.
    pub fn look_after(&self, blocks: usize) -> Option<Look> {
        self.looks.iter().copied().find(|look| look.blocks == blocks)
    }

    /// The last look, made with fewer blocks than planned: what was not spent before is left.
    pub fn cut_short(&self, blocks: usize) -> Look {
        let spent: f64 = self.looks.iter().filter(|look| look.blocks <= blocks).map(|look| look.alpha).sum();
        Look { blocks, alpha: ALPHA - spent, same_level: SAME_LEVEL_LAST }
    }

    /// Fewest blocks with which a change in one of so many cells could be found at the last look: even the most telling of all
    /// orders has its chance.
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
    fn the_looks_spend_the_error_rate_and_no_more() {
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
    fn a_job_too_short_to_find_anything_is_known_before_it_begins() {
        assert_eq!((Rule::blocks_min(1), Rule::blocks_min(4), Rule::blocks_min(10)), (5, 7, 7));
    }
}
