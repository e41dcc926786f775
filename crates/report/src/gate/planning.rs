//! How long a comparison without a verdict would have to be.

use crate::stats::normal_quantile;

/// 80 % point of the normal distribution, for a detection probability of 80 %.
const POWER_Z: f64 = 0.842;
/// 95 % point of the normal distribution, for the 90 % interval of the last look.
const SAME_Z: f64 = 1.645;
/// Largest number of rounds that is suggested.
const ROUNDS_SENSIBLE_MAX: f64 = 200.0;

/// If the estimate is right: number of rounds until the interval lies within what matters, or until
/// the change is significant, but not less than `least`; `None` for more rounds than are sensible.
/// `of_round` is the standard deviation of the estimate of one round.
pub(super) fn rounds_to_decide(estimate: f64, matters: f64, alpha: f64, of_round: f64, least: usize) -> Option<u32> {
    let (room, z) = if estimate.abs() < matters {
        (matters - estimate.abs(), SAME_Z + POWER_Z)
    } else {
        (estimate.abs(), normal_quantile(alpha / 2.0) + POWER_Z)
    };
    let rounds = (z * of_round / room).powi(2).ceil().max(least as f64);
    (rounds <= ROUNDS_SENSIBLE_MAX).then_some(rounds as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_noise_needs_four_times_the_rounds() {
        let rounds = |of_round| rounds_to_decide(0.01, 0.05, 0.01, of_round, 2);
        // (1.645 + 0.842)² · (0.05 / 0.04)² = 9.7.
        assert_eq!((rounds(0.05), rounds(0.1), rounds(0.3), rounds(0.001)), (Some(10), Some(39), None, Some(2)));
        // (2.576 + 0.842)² · (0.1 / 0.1)² = 11.7.
        assert_eq!(rounds_to_decide(-0.1, 0.05, 0.01, 0.1, 2), Some(12));
    }
}
