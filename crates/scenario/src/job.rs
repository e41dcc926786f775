//! All plans of a scenario, and the order their runs come in.

use std::time::Duration;

use results::Subject;

use crate::plan::{Plan, Rng, RngStream};

/// Everything that will be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Name of the scenario.
    pub name: String,
    /// What it asks.
    pub question: String,
    /// Where all chance comes from.
    pub seed: u64,
    /// Rounds; each runs every plan on every transport once.
    pub repetitions: u32,
    /// The file's name as it was given.
    pub file: String,
    /// The file as written.
    pub text: String,
    /// What was set on the command line over the file, as written.
    pub overrides: Vec<String>,
    /// One, or one a point of the sweep.
    pub plans: Vec<Plan>,
}

impl Job {
    /// The runs of a round, in an order drawn afresh for each: the place of a plan in `plans`, and what is run.
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

    /// Runs of all rounds, repeats of invalid ones not counted.
    pub fn runs(&self) -> u64 {
        let round: usize = self.plans.iter().map(|plan| plan.subjects().len()).sum();
        round as u64 * u64::from(self.repetitions)
    }

    /// Most sockets the generator holds at once in any run.
    pub fn sockets_max(&self) -> u64 {
        let of = |plan: &Plan| plan.subjects().iter().map(|subject| plan.sockets(subject.transport)).max();
        self.plans.iter().filter_map(of).max().unwrap_or(0)
    }

    /// About how long all runs take.
    pub fn duration_estimate(&self) -> Duration {
        let of =
            |plan: &Plan| plan.subjects().iter().map(|subject| plan.run_estimate(subject.transport)).sum::<Duration>();
        self.plans.iter().map(of).sum::<Duration>() * self.repetitions
    }
}
