//! All plans of a scenario, and the order their runs come in.

use std::time::Duration;

use results::Subject;

use crate::plan::{Plan, Rng, RngStream};

/// All runs of a command: the plans of all points of the sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Name of the scenario.
    pub name: String,
    /// The question of the scenario.
    pub question: String,
    /// Random seed.
    pub seed: u64,
    /// Number of rounds; each runs every plan on every transport once.
    pub repetitions: u32,
    /// The file's name as it was given.
    pub file: String,
    /// The text of the file.
    pub text: String,
    /// The `--set` arguments, as written.
    pub overrides: Vec<String>,
    /// One plan, or one for each point of the sweep.
    pub plans: Vec<Plan>,
}

impl Job {
    /// The runs of a round in random order, drawn for each round: the index of a plan in `plans`,
    /// and a subject.
    pub fn order(&self, round: u32) -> Vec<(usize, Subject)> {
        let plans = self.plans.iter().enumerate();
        let mut runs: Vec<_> =
            plans.flat_map(|(at, plan)| plan.subjects().into_iter().map(move |subject| (at, subject))).collect();
        let mut chance = Rng::new(self.seed, RngStream::Order, round.into());
        for left in (2..=runs.len()).rev() {
            runs.swap(left - 1, chance.below(left as u64) as usize);
        }
        runs
    }

    /// Number of runs in all rounds, without repeats of invalid runs.
    pub fn runs(&self) -> u64 {
        let round: usize = self.plans.iter().map(|plan| plan.subjects().len()).sum();
        round as u64 * u64::from(self.repetitions)
    }

    /// Maximum number of open sockets of the generator in any run.
    pub fn sockets_max(&self) -> u64 {
        let of = |plan: &Plan| plan.subjects().iter().map(|subject| plan.sockets(subject.transport)).max();
        self.plans.iter().filter_map(of).max().unwrap_or(0)
    }

    /// Estimated duration of all runs.
    pub fn duration_estimate(&self) -> Duration {
        let of =
            |plan: &Plan| plan.subjects().iter().map(|subject| plan.run_estimate(subject.transport)).sum::<Duration>();
        self.plans.iter().map(of).sum::<Duration>() * self.repetitions
    }
}
