//! The error rates of the gate's rule with simulated noise: how often it reports a change although
//! there is none, and how often it finds a change.
//!
//! The published table of error rates comes from
//! `JOBS=2000 cargo test --release -p pushbench-report --test gate_error_rates -- --nocapture`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use report::gate::{Block, GateVerdict, MetricBlocks, Rule, judge};
use report::stats::{Chance, clopper_pearson};
use results::MetricId;

/// Jobs with a false alarm, at most, as a share.
const ALARMS_MAX: f64 = 0.01;
/// Blocks for which the detection rates are promised.
const BLOCKS: usize = 16;
/// Standard deviation of the noise of one run, as a share.
const SIGMA: f64 = 0.05;
/// The change that has to be found, as a share.
const EFFECT: f64 = 0.10;
/// Metrics judged together.
const METRICS: usize = 4;

/// Noise of a machine. Every metric of a trial has noise of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noise {
    /// Normal, independent from run to run.
    Independent,
    /// Independent, with the tails of Student's t distribution with three degrees of freedom.
    HeavyTails,
    /// Normal, on a machine that becomes 20 % slower during the job.
    Drift,
    /// A run keeps 0.7 of the error of the run before it.
    Autocorrelated,
    /// Normal, on a machine that is 25 % slower in some phases; a phase is twelve runs long on
    /// average.
    Phases,
    /// Normal; the first run of every block is 10 % slower, the last one 5 %.
    Slots,
    /// Normal; one run in twelve is 30 to 70 % slower.
    Spikes,
}

impl Noise {
    /// All kinds of noise.
    const ALL: [Self; 7] = [
        Self::Independent,
        Self::HeavyTails,
        Self::Drift,
        Self::Autocorrelated,
        Self::Phases,
        Self::Slots,
        Self::Spikes,
    ];

    /// The name in the table.
    const fn name(self) -> &'static str {
        match self {
            Self::Independent => "independent",
            Self::HeavyTails => "heavy tails",
            Self::Drift => "drift",
            Self::Autocorrelated => "autocorrelated",
            Self::Phases => "slow and fast phases",
            Self::Slots => "slot effects",
            Self::Spikes => "rare spikes",
        }
    }

    /// The share of changes of [`EFFECT`] that must be found in 16 blocks; `None` where nothing is
    /// promised.
    const fn detection_min(self) -> Option<f64> {
        match self {
            Self::Independent | Self::HeavyTails | Self::Drift | Self::Autocorrelated => Some(0.90),
            Self::Phases | Self::Slots => Some(0.80),
            Self::Spikes => None,
        }
    }

    /// Errors of all runs of a job in the order of the runs, as logarithms.
    fn errors(self, blocks: usize, chance: &mut Chance) -> Vec<[f64; 3]> {
        let runs = blocks * 3;
        let mut before = chance.normal();
        let mut slow = chance.below(2) == 0;
        let mut error = |run: usize| -> f64 {
            let own = chance.normal();
            match self {
                Self::Independent => SIGMA * own,
                Self::HeavyTails => {
                    let squares: f64 = (0..3).map(|_| chance.normal().powi(2)).sum();
                    // Student's t of three degrees has variance three.
                    SIGMA * own / squares.sqrt()
                }
                Self::Drift => SIGMA * own + 1.20_f64.ln() * run as f64 / runs as f64,
                Self::Autocorrelated => {
                    let stays: f64 = 0.7;
                    before = stays * before + (1.0 - stays * stays).sqrt() * own;
                    SIGMA * before
                }
                Self::Phases => {
                    slow ^= chance.below(12) == 0;
                    SIGMA * own + if slow { 1.25_f64.ln() } else { 0.0 }
                }
                Self::Slots => SIGMA * own + [1.10_f64.ln(), 0.0, 1.05_f64.ln()][run % 3],
                Self::Spikes => {
                    let hit = if chance.below(12) == 0 { (1.3 + 0.4 * chance.unit()).ln() } else { 0.0 };
                    SIGMA * own + hit
                }
            }
        };
        (0..blocks).map(|block| [0, 1, 2].map(|slot| error(block * 3 + slot))).collect()
    }
}

/// Outcomes of trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    /// Jobs without a change, and as many with one.
    trials: u64,
    /// Jobs without a change in which any metric was reported as changed.
    alarms: u64,
    /// Jobs without a change in which all metrics were reported as the same.
    all_same: u64,
    /// Jobs with a change in which the changed metric was reported as a regression.
    found: u64,
    /// Blocks that the jobs without a change took.
    blocks: u64,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            trials: self.trials + other.trials,
            alarms: self.alarms + other.alarms,
            all_same: self.all_same + other.all_same,
            found: self.found + other.found,
            blocks: self.blocks + other.blocks,
        }
    }
}

/// Simulates the jobs with these numbers, each once without and once with a change.
fn trials(noise: Noise, blocks: usize, seed: u64, numbers: std::ops::Range<u64>) -> Counts {
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

/// A whole job with its interim looks; the first metric of the head is worse by `effect`.
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

/// Any metric whose relevance limit is 5 %.
const METRIC: MetricId = MetricId::ServerCpuPerMessage;

/// Whether the trials contradict the promised rates by more than their own 95 % interval allows.
fn contradicts_promise(noise: Noise, counts: Counts) -> bool {
    let promised = noise.detection_min();
    let (_, found_at_most) = clopper_pearson(counts.found, counts.trials);
    clopper_pearson(counts.alarms, counts.trials).0 > ALARMS_MAX || promised.is_some_and(|least| found_at_most < least)
}

/// One row per kind of noise, with 95 % intervals (Clopper and Pearson).
fn table(rows: &[(Noise, Counts)]) -> String {
    let trials = rows.first().map_or(0, |(_, counts)| counts.trials);
    let mut out = format!(
        "{trials} simulated jobs a row, {BLOCKS} blocks, 4 gated metrics, {:.0} % noise, 5 % matters\n\n{:<21} {:>23} {:>24} {:>9} {:>7}\n",
        SIGMA * 100.0,
        "noise",
        "false alarms a job",
        format!("+{:.0} % found", EFFECT * 100.0),
        "all same",
        "blocks"
    );
    for (noise, counts) in rows {
        let percent = |n: u64| 100.0 * n as f64 / counts.trials.max(1) as f64;
        let share = |n: u64| {
            let (low, high) = clopper_pearson(n, counts.trials);
            format!("{:.2} % [{:.2}–{:.2}]", percent(n), low * 100.0, high * 100.0)
        };
        let mark = if contradicts_promise(*noise, *counts) { "  not as promised" } else { "" };
        out += &format!(
            "{:<21} {:>23} {:>24} {:>7.1} % {:>7.1}{mark}\n",
            noise.name(),
            share(counts.alarms),
            share(counts.found),
            percent(counts.all_same),
            counts.blocks as f64 / counts.trials.max(1) as f64
        );
    }
    out
}

/// Trials of every kind of noise, one thread each.
fn all_trials(seed: u64, jobs: u64) -> Vec<(Noise, Counts)> {
    let run = |noise: Noise| std::thread::spawn(move || (noise, trials(noise, BLOCKS, seed, 0..jobs)));
    let threads: Vec<_> = Noise::ALL.into_iter().map(run).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// By default enough jobs to notice a rule that alarms four times too often or finds half of what it
/// should. `JOBS` sets another number.
#[test]
#[expect(clippy::print_stdout, reason = "the table is printed with --nocapture")]
fn the_rule_keeps_its_error_rates_with_every_noise() {
    let jobs = std::env::var("JOBS").map_or(60, |jobs| jobs.parse().unwrap());
    let rows = all_trials(1, jobs);
    println!("{}", table(&rows));
    for (noise, counts) in rows {
        assert!(!contradicts_promise(noise, counts), "{noise:?}: {counts:?}");
    }
}

#[test]
fn promised_rates_are_contradicted_only_beyond_the_interval_of_the_trials() {
    let of = |alarms, found| Counts { trials: 2_000, alarms, found, ..Counts::default() };
    for (alarms, found, wrong) in [(20, 1_900, false), (27, 1_900, false), (33, 1_900, true), (0, 1_700, true)] {
        assert_eq!(contradicts_promise(Noise::Drift, of(alarms, found)), wrong, "{alarms} {found}");
    }
    assert!(!contradicts_promise(Noise::Spikes, of(0, 100)));
    let table = table(&[(Noise::Drift, of(33, 1_900))]);
    assert!(table.contains("1.65 %") && table.contains("not as promised"), "{table}");
}
