//! The looks of a gate and their error rates.
//!
//! A job of N rounds is evaluated at the end of round N/2, 3N/4 and N; the three looks spend 10, 20
//! and 70 % of α. The probability of any false alarm is at most the sum, α, whatever the dependence
//! between the looks. A job ends early only if every gated metric is decided; otherwise the look
//! has no effect. `same` needs a 98 % interval at an early look and a 90 % interval at the last.

use results::Mode;

/// Error rate of a job: the probability that any unchanged metric is called changed.
const ALPHA: f64 = 0.01;
/// The looks: the share of the rounds, and the share of α.
const LOOKS: [(f64, f64); 3] = [(0.5, 0.1), (0.75, 0.2), (1.0, 0.7)];
const SAME_LEVEL_EARLY: f64 = 0.98;
const SAME_LEVEL_LAST: f64 = 0.90;

/// The looks of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    looks: Vec<Look>,
}

/// One evaluation of the job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Rounds made.
    pub rounds: u32,
    /// Error rate of the look, over all metrics.
    pub alpha: f64,
    /// Level of the interval for `same`.
    pub same_level: f64,
}

/// Rounds of fresh processes without which a metric gets no verdict.
pub const fn rounds_min(mode: Mode) -> u32 {
    match mode {
        Mode::Load => 6,
        Mode::LockStep => 10,
    }
}

impl Rule {
    /// The looks of a job with this number of rounds of a mode. In a job with both modes, the rounds
    /// of one are made in proportion to those of the other, and the rule counts those under load. A
    /// look that comes too early for a verdict is left out, and the next one gets its error rate.
    pub fn of(rounds: u32, mode: Mode) -> Self {
        let mut looks: Vec<Look> = Vec::new();
        let mut unspent = 0.0;
        for (part, share) in LOOKS {
            let at = (f64::from(rounds) * part).floor() as u32;
            unspent += ALPHA * share;
            let last = at == rounds;
            if last || at >= rounds_min(mode) {
                let same_level = if last { SAME_LEVEL_LAST } else { SAME_LEVEL_EARLY };
                looks.push(Look { rounds: at, alpha: std::mem::take(&mut unspent), same_level });
            }
        }
        Self { looks }
    }

    /// The looks, first to last.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// The look after this number of rounds, if there is one.
    pub fn look_after(&self, rounds: u32) -> Option<Look> {
        self.looks.iter().copied().find(|look| look.rounds == rounds)
    }

    /// The last look of a job with fewer rounds than planned; it gets the error rate that was not
    /// spent.
    pub fn cut_short(&self, rounds: u32) -> Look {
        let spent: f64 = self.looks.iter().filter(|look| look.rounds <= rounds).map(|look| look.alpha).sum();
        Look { rounds, alpha: ALPHA - spent, same_level: SAME_LEVEL_LAST }
    }

    /// Minimum number of rounds that can give a significant result for one of this number of
    /// metrics. In lock-step even the most extreme order of ranks has a probability.
    pub fn rounds_min(mode: Mode, metrics: usize) -> u32 {
        let least = rounds_min(mode);
        let finds = |rounds: &u32| {
            let last = Self::of(*rounds, mode).looks.last().map_or(0.0, |look| look.alpha);
            2.0 * 3.0_f64.powf(-f64::from(*rounds)) * metrics.max(1) as f64 <= last
        };
        match mode {
            Mode::Load => least,
            Mode::LockStep => (least..=64).find(finds).unwrap_or(64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_looks_spend_exactly_the_error_rate() {
        for rounds in 1..100 {
            let rule = Rule::of(rounds, Mode::Load);
            let spent: f64 = rule.looks().iter().map(|look| look.alpha).sum();
            assert!((spent - ALPHA).abs() < 1e-12, "{rounds}: {spent}");
            assert_eq!(rule.looks().last().map(|look| look.rounds), Some(rounds));
            assert!(rule.looks().is_sorted_by(|a, b| a.rounds < b.rounds), "{rule:?}");
            for cut in 1..rounds {
                let spent: f64 = rule.looks().iter().filter(|look| look.rounds <= cut).map(|look| look.alpha).sum();
                assert!(spent + rule.cut_short(cut).alpha <= ALPHA + 1e-12);
            }
        }
    }

    #[test]
    fn looks_that_are_too_early_for_a_verdict_are_left_out() {
        let rounds = |rule: Rule| rule.looks().iter().map(|look| look.rounds).collect::<Vec<_>>();
        assert_eq!(rounds(Rule::of(6, Mode::Load)), [6]);
        assert_eq!(rounds(Rule::of(12, Mode::Load)), [6, 9, 12]);
        assert_eq!(rounds(Rule::of(14, Mode::LockStep)), [10, 14]);
        assert_eq!(rounds(Rule::of(20, Mode::LockStep)), [10, 15, 20]);
    }

    #[test]
    fn the_minimum_of_rounds_depends_on_the_number_of_metrics() {
        let lock_step = |metrics| Rule::rounds_min(Mode::LockStep, metrics);
        assert_eq!((lock_step(1), lock_step(200), lock_step(1_000)), (10, 10, 12));
        assert_eq!(Rule::rounds_min(Mode::Load, 50), 6);
    }
}
