//! Simulates the rule on known noise: false-alarm and detection rates.

use results::MetricId;

use super::{Block, GateVerdict, MetricBlocks, Rule, judge};
use crate::stats::Chance;

/// Noise between runs, as a share.
pub const SIGMA: f64 = 0.05;
/// The change to be detected, as a share.
pub const EFFECT: f64 = 0.10;
/// Number of metrics that are gated together.
const METRICS: usize = 4;

/// Kinds of noise. Each metric of a trial has its own errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// Independent normal errors.
    Independent,
    /// Independent errors with Student's t distribution, three degrees of freedom.
    HeavyTails,
    /// Normal errors on a machine that becomes 20 % slower during the job.
    Drift,
    /// Autocorrelated errors, coefficient 0.7.
    Autocorrelated,
    /// Normal errors on a machine that is 25 % slower in some phases, of twelve runs on average.
    Phases,
    /// Normal errors; the first run of every block is 10 % slower, the last 5 %.
    Slots,
    /// Normal errors; one run in twelve is 30 to 70 % slower.
    Spikes,
}

impl Noise {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Independent,
        Self::HeavyTails,
        Self::Drift,
        Self::Autocorrelated,
        Self::Phases,
        Self::Slots,
        Self::Spikes,
    ];

    /// Name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Independent => "independent",
            Self::HeavyTails => "heavy tails",
            Self::Drift => "drift",
            Self::Autocorrelated => "autocorrelated",
            Self::Phases => "slow phases",
            Self::Slots => "position effects",
            Self::Spikes => "rare outliers",
        }
    }

    /// Required detection rate of [`EFFECT`] in 16 blocks; `None` if there is no requirement.
    pub const fn detection_min(self) -> Option<f64> {
        match self {
            Self::Independent | Self::HeavyTails | Self::Drift | Self::Autocorrelated => Some(0.90),
            Self::Phases | Self::Slots => Some(0.80),
            Self::Spikes => None,
        }
    }

    /// Logarithmic errors of all runs of a job, in their order.
    fn errors(self, blocks: usize, chance: &mut Chance) -> Vec<[f64; 3]> {
        let arms = blocks * 3;
        let mut before = chance.normal();
        let mut slow = chance.below(2) == 0;
        let mut error = |arm: usize| -> f64 {
            let own = chance.normal();
            match self {
                Self::Independent => SIGMA * own,
                Self::HeavyTails => {
                    let squares: f64 = (0..3).map(|_| chance.normal().powi(2)).sum();
                    // Student's t distribution with three degrees of freedom has variance 3.
                    SIGMA * own / squares.sqrt()
                }
                Self::Drift => SIGMA * own + 1.20_f64.ln() * arm as f64 / arms as f64,
                Self::Autocorrelated => {
                    let stays: f64 = 0.7;
                    before = stays * before + (1.0 - stays * stays).sqrt() * own;
                    SIGMA * before
                }
                Self::Phases => {
                    slow ^= chance.below(12) == 0;
                    SIGMA * own + if slow { 1.25_f64.ln() } else { 0.0 }
                }
                Self::Slots => SIGMA * own + [1.10_f64.ln(), 0.0, 1.05_f64.ln()][arm % 3],
                Self::Spikes => {
                    let hit = if chance.below(12) == 0 { (1.3 + 0.4 * chance.unit()).ln() } else { 0.0 };
                    SIGMA * own + hit
                }
            }
        };
        (0..blocks).map(|block| [0, 1, 2].map(|slot| error(block * 3 + slot))).collect()
    }
}

/// Results of trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Number of jobs without a change, and of as many with a change.
    pub trials: u64,
    /// Jobs without a change in which any metric was called changed.
    pub alarms: u64,
    /// Jobs without a change in which all metrics were called `same`.
    pub all_same: u64,
    /// Jobs with a change in which the changed metric was called a regression.
    pub found: u64,
    /// Blocks of the jobs without a change until they ended.
    pub blocks: u64,
}

impl Counts {
    /// Sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            trials: self.trials + other.trials,
            alarms: self.alarms + other.alarms,
            all_same: self.all_same + other.all_same,
            found: self.found + other.found,
            blocks: self.blocks + other.blocks,
        }
    }
}

/// Simulates jobs; `numbers` selects the trials, so that several threads can divide them.
pub fn trials(noise: Noise, blocks: usize, seed: u64, numbers: std::ops::Range<u64>) -> Counts {
    numbers.fold(Counts::default(), |counts, number| {
        let mut chance = Chance::new(seed ^ (noise as u64) << 32, number);
        let (unchanged, blocks_used) = job(noise, blocks, 0.0, &mut chance);
        let (changed, _) = job(noise, blocks, EFFECT.ln_1p(), &mut chance);
        let alarm = unchanged.iter().any(|verdict| matches!(verdict, GateVerdict::Regression | GateVerdict::Improved));
        counts.plus(Counts {
            trials: 1,
            alarms: u64::from(alarm),
            all_same: u64::from(unchanged.iter().all(|verdict| *verdict == GateVerdict::Same)),
            found: u64::from(changed[0] == GateVerdict::Regression),
            blocks: blocks_used as u64,
        })
    })
}

/// Simulates one job with its looks; the first metric of the head is worse by `effect`.
fn job(noise: Noise, blocks: usize, effect: f64, chance: &mut Chance) -> (Vec<GateVerdict>, usize) {
    let orders: Vec<[usize; 3]> = (0..blocks)
        .map(|_| {
            let mut order = [0, 1, 2];
            chance.shuffle(&mut order);
            order
        })
        .collect();
    let cells: Vec<MetricBlocks> = (0..METRICS)
        .map(|metric| {
            let errors = noise.errors(blocks, chance);
            let change = if metric == 0 { effect } else { 0.0 };
            let block = |([base, head, again], errors): (&[usize; 3], &[f64; 3])| Block {
                base: errors[*base].exp(),
                head: (errors[*head] + change).exp(),
                again: errors[*again].exp(),
            };
            MetricBlocks {
                transport: String::new(),
                metric: METRIC,
                blocks: orders.iter().zip(&errors).map(block).collect(),
            }
        })
        .collect();
    let mut verdicts = Vec::new();
    for look in Rule::of(blocks).looks() {
        verdicts = judge(&cells, look).into_iter().filter_map(|row| row.verdict).collect();
        if verdicts.iter().all(|verdict| verdict.is_decided()) {
            return (verdicts, look.blocks);
        }
    }
    (verdicts, blocks)
}

/// A metric with a threshold of 5 %.
const METRIC: MetricId = MetricId::ServerCpuPerMessage;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::clopper_pearson;

    /// Few trials, for every build; enough to notice four times the false alarms or half the
    /// detections.
    #[test]
    fn the_rule_keeps_its_word_in_every_noise() {
        let run = |noise: Noise| std::thread::spawn(move || (noise, trials(noise, 16, 20_25, 0..60)));
        let all: Vec<_> = Noise::ALL.into_iter().map(run).collect();
        let mut together = Counts::default();
        for (noise, counts) in all.into_iter().map(|thread| thread.join().unwrap()) {
            let (_, found_at_best) = clopper_pearson(counts.found, counts.trials);
            assert!(noise.detection_min().is_none_or(|least| found_at_best >= least), "{noise:?}: {counts:?}");
            together = together.plus(counts);
        }
        let (alarms_at_least, _) = clopper_pearson(together.alarms, together.trials);
        assert!(alarms_at_least <= 0.01, "{together:?}");
    }

    #[test]
    fn trials_can_be_shared_out() {
        let parts = trials(Noise::Spikes, 8, 1, 0..3).plus(trials(Noise::Spikes, 8, 1, 3..7));
        assert_eq!(parts, trials(Noise::Spikes, 8, 1, 0..7));
    }
}
