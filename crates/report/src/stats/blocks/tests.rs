//! Examples with known answers, and how often the intervals of simulated jobs contain the truth.

use super::*;
use crate::stats::Chance;

/// A simulated machine and two subjects whose ratio is known.
#[derive(Clone, Copy)]
struct Simulated {
    rounds: u32,
    blocks: u32,
    /// Standard deviation of a block's logarithm.
    sigma: f64,
    /// Correlation of neighbouring blocks.
    correlation: f64,
    /// Standard deviation of the rounds.
    tau: f64,
}

const TRUE_RATIO: f64 = 1.3;

impl Simulated {
    fn job(self, chance: &mut Chance) -> (Vec<InBlock>, Vec<InBlock>) {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for round in 1..=self.rounds {
            let shift = self.tau * chance.normal();
            let mut state = chance.normal();
            for block in 1..=self.blocks {
                let fresh = (1.0 - self.correlation.powi(2)).sqrt();
                state = self.correlation * state + fresh * chance.normal();
                let machine = 1.0 + chance.unit();
                right.push(InBlock { round, block, value: machine });
                let value = machine * TRUE_RATIO * (shift + self.sigma * state).exp();
                left.push(InBlock { round, block, value });
            }
        }
        (left, right)
    }

    /// Shares of jobs whose 95 % and 90 % intervals contain the truth.
    fn coverage(self, jobs: u64, of: fn(&[InBlock], &[InBlock]) -> Option<Ratio>) -> (f64, f64) {
        let mut hits = (0.0, 0.0);
        for job in 0..jobs {
            let (left, right) =
                self.job(&mut Chance::new(u64::from(self.rounds * 1_000 + self.blocks) ^ self.tau.to_bits(), job));
            let ratio = of(&left, &right).unwrap();
            let within = |interval: Option<(f64, f64)>| {
                let (low, high) = interval.unwrap();
                f64::from(u8::from(low <= TRUE_RATIO && TRUE_RATIO <= high))
            };
            hits.0 += within(ratio.interval);
            hits.1 += within(ratio.interval_90);
            assert_eq!(ratio.p < 0.05, ratio.interval.is_some_and(|(low, high)| low > 1.0 || high < 1.0), "{ratio:?}");
        }
        (hits.0 / jobs as f64, hits.1 / jobs as f64)
    }
}

/// `JOBS=4000 cargo test -p pushbench-report --lib coverage -- --nocapture` prints the shares.
#[test]
#[expect(clippy::print_stdout, reason = "the table is printed with --nocapture")]
fn coverage_of_the_intervals_is_at_least_nominal() {
    let jobs: u64 = std::env::var("JOBS").map_or(300, |jobs| jobs.parse().unwrap());
    // Three standard errors of the share of simulated jobs.
    let slack = |share: f64| share - 3.0 * (share * (1.0 - share) / jobs as f64).sqrt();
    for (rounds, blocks) in [(4, 20), (4, 60), (6, 20), (7, 25), (10, 25)] {
        for correlation in [0.0, 0.3] {
            for tau in [0.0, 0.01, 0.03] {
                let simulated = Simulated { rounds, blocks, sigma: 0.1, correlation, tau };
                let (at_95, at_90) = simulated.coverage(jobs, block_ratio);
                println!("load: {rounds} x {blocks}, correlation {correlation}, rounds {tau}: {at_95:.3} {at_90:.3}");
                assert!(at_95 >= slack(0.94) && at_90 >= slack(0.89), "{rounds} {blocks} {correlation} {tau}: {at_95}");
            }
        }
    }
    for (rounds, blocks) in [(4, 40), (10, 40), (12, 20)] {
        for tau in [0.0, 0.0012, 0.01] {
            let simulated = Simulated { rounds, blocks, sigma: 0.015, correlation: 0.2, tau };
            let (at_95, at_90) = simulated.coverage(jobs, lock_step_ratio);
            println!("lock-step: {rounds} x {blocks}, rounds {tau}: {at_95:.3} {at_90:.3}");
            assert!(at_95 >= slack(0.94) && at_90 >= slack(0.89), "{rounds} {blocks} {tau}: {at_95}");
        }
    }
}

#[test]
fn a_slow_machine_cancels_out() {
    let of = |value: f64| {
        let blocks = (1..=5).flat_map(|round| (1..=20).map(move |block| (round, block)));
        let slow = |block: u32| if block > 10 { 2.0 } else { 1.0 };
        blocks.map(|(round, block)| InBlock { round, block, value: value * slow(block) }).collect::<Vec<_>>()
    };
    for ratio in [block_ratio(&of(3.0), &of(2.0)).unwrap(), lock_step_ratio(&of(3.0), &of(2.0)).unwrap()] {
        let (low, high) = ratio.interval.unwrap();
        assert!((ratio.value - 1.5).abs() < 1e-12 && high - low < 1e-9 && ratio.p < 1e-9, "{ratio:?}");
        assert_eq!((ratio.blocks, ratio.rounds), (100, 5));
    }
    let same = block_ratio(&of(2.0), &of(2.0)).unwrap();
    assert_eq!((same.value, same.p, same.interval, same.between_rounds), (1.0, 1.0, Some((1.0, 1.0)), 0.0));
}

#[test]
fn only_positive_values_of_common_blocks_count() {
    let at = |round, block, value| InBlock { round, block, value };
    let left = [at(1, 1, 4.0), at(1, 2, 0.0), at(1, 3, 8.0), at(2, 1, 1.0)];
    let right = [at(1, 1, 2.0), at(1, 2, 2.0), at(1, 3, 0.0), at(3, 1, 1.0)];
    let ratio = block_ratio(&left, &right).unwrap();
    assert_eq!((ratio.value, ratio.interval, ratio.p, ratio.blocks), (2.0, None, 1.0, 1));
    assert_eq!((block_ratio(&left, &[]), lock_step_ratio(&[], &right)), (None, None));
}

#[test]
fn a_subject_in_few_blocks_is_compared_with_the_median_of_the_round() {
    let at = |round, block, value| InBlock { round, block, value };
    // The block that both have is far from the others of its round.
    let many = |round| (1..=9).map(move |block| at(round, block, if block == 1 { 40.0 } else { 10.0 }));
    let many: Vec<_> = (1..=4).flat_map(many).collect();
    let few: Vec<_> = (1..=4).map(|round| at(round, 1, 20.0)).collect();
    for (ratio, expected) in [(block_ratio(&few, &many), 2.0), (block_ratio(&many, &few), 0.5)] {
        let ratio = ratio.unwrap();
        assert!((ratio.value - expected).abs() < 1e-12 && (ratio.blocks, ratio.rounds) == (4, 4), "{ratio:?}");
    }
}

#[test]
fn three_rounds_have_no_interval_and_four_have_one_also_with_one_block_each() {
    let simulated = |rounds, blocks| Simulated { rounds, blocks, sigma: 0.1, correlation: 0.0, tau: 0.01 };
    for blocks in [1, 30] {
        for of in [block_ratio, lock_step_ratio] {
            let ratio = |rounds| {
                let (left, right) = simulated(rounds, blocks).job(&mut Chance::new(4, 0));
                of(&left, &right).unwrap()
            };
            assert!(ratio(3).interval.is_none() && ratio(3).p == 1.0 && ratio(4).interval.is_some());
        }
    }
    let (covered, _) = simulated(6, 1).coverage(500, block_ratio);
    assert!(covered > 0.92, "{covered}");
}

#[test]
fn the_spread_of_rounds_is_found_and_widens_the_interval() {
    let simulated = |tau| Simulated { rounds: 40, blocks: 60, sigma: 0.05, correlation: 0.0, tau };
    let ratio = |tau| {
        let (left, right) = simulated(tau).job(&mut Chance::new(2, 0));
        block_ratio(&left, &right).unwrap()
    };
    let width = |ratio: Ratio| ratio.interval.map(|(low, high)| high - low).unwrap();
    assert!(ratio(0.0).between_rounds < 0.004 && (ratio(0.05).between_rounds - 0.05).abs() < 0.015);
    assert!(width(ratio(0.05)) > 4.0 * width(ratio(0.0)));
}

#[test]
fn neighbouring_blocks_that_are_alike_widen_the_interval() {
    let series = |correlation: f64| {
        let (mut chance, mut state) = (Chance::new(8, 0), 0.0);
        let next = |_| {
            state = correlation * state + (1.0 - correlation * correlation).sqrt() * chance.normal();
            state
        };
        (0..2_000).map(next).collect::<Vec<f64>>()
    };
    let found = |correlation| widening([series(correlation)].iter());
    for correlation in [0.3, 0.6_f64] {
        let expected = ((1.0 + correlation) / (1.0 - correlation)).sqrt();
        assert!((found(correlation) / expected - 1.0).abs() < 0.06, "{correlation}: {}", found(correlation));
    }
    assert!(found(-0.3) == 1.0 && widening([vec![1.0, 2.0], vec![2.0, 1.0]].iter()) == 1.0);
}

#[test]
fn two_jobs_are_compared_with_the_errors_of_both() {
    let job = |seed| {
        let simulated = Simulated { rounds: 6, blocks: 30, sigma: 0.1, correlation: 0.0, tau: 0.0 };
        let (left, right) = simulated.job(&mut Chance::new(seed, 0));
        LogRatio::of_blocks(&left, &right).unwrap()
    };
    let (one, other) = (job(1), job(2));
    let difference = one.minus(other);
    let width = |ratio: LogRatio| ratio.interval(0.95).map(|(low, high)| high - low).unwrap();
    assert!((difference.value - (one.value - other.value)).abs() < 1e-12);
    assert!(width(difference) > width(one).min(width(other)) && width(difference) < width(one) + width(other));
    assert!(difference.p() > 0.01 && one.minus(one).p() == 1.0);
}
