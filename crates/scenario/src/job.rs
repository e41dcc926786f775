//! All plans of a scenario, and the order in which its subjects take turns.

use std::time::Duration;

use results::Subject;
use wire::Transport;

use crate::claim::Claim;
use crate::plan::{Plan, Rng, RngStream};

/// All points of the sweep, and the time for all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Name of the scenario.
    pub name: String,
    /// The question of the scenario.
    pub question: String,
    /// Random seed.
    pub seed: u64,
    /// Time for the whole job.
    pub budget: Duration,
    /// Load generators that share the clients of a subject.
    pub generators: u32,
    /// Slices of a round; `None` leaves their number and length to the budget.
    pub slices: Option<u32>,
    /// What the scenario claims.
    pub claims: Vec<Claim>,
    /// The file's name as it was given.
    pub file: String,
    /// The text of the file.
    pub text: String,
    /// The `--set` arguments, as written.
    pub overrides: Vec<String>,
    /// One plan, or one for each point of the sweep.
    pub plans: Vec<Plan>,
}

/// A subject at a point of the sweep.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedSubject {
    /// Index of the point's plan in [`Job::plans`].
    pub plan: usize,
    /// The subject.
    pub subject: Subject,
}

impl Job {
    /// All subjects, point by point.
    pub fn subjects(&self) -> Vec<PlannedSubject> {
        let plans = self.plans.iter().enumerate();
        let of =
            |(plan, at): (usize, &Plan)| at.subjects().into_iter().map(move |subject| PlannedSubject { plan, subject });
        plans.flat_map(of).collect()
    }

    /// Whether a round has one long window for each subject.
    pub const fn has_one_slice(&self) -> bool {
        self.slices.is_some()
    }

    /// Whether a claim is about this transport.
    pub fn has_claim_about(&self, transport: Transport) -> bool {
        let conditions = self.claims.iter().flat_map(|claim| &claim.condition);
        let mut operands = conditions.flat_map(|condition| [Some(&condition.left), condition.right.as_ref()]);
        operands.any(|operand| operand.is_some_and(|operand| operand.transport == transport))
    }

    /// A random order of `count` subjects, drawn for every block of every round.
    pub fn order(&self, round: u32, block: u32, count: usize) -> Vec<usize> {
        let mut order: Vec<_> = (0..count).collect();
        let mut chance = Rng::new(self.seed, RngStream::Order, u64::from(round) << 32 | u64::from(block));
        for left in (2..=order.len()).rev() {
            order.swap(left - 1, chance.below(left as u64) as usize);
        }
        order
    }

    /// Rounds of a job with one slice a round: as many as fit the budget, at least one.
    pub fn rounds_of_one_slice(&self) -> u32 {
        let rounds = self.budget.as_secs_f64() / self.round_estimate().as_secs_f64();
        (rounds as u32).max(1)
    }

    /// Maximum number of open sockets of the clients.
    pub fn sockets_max(&self) -> u64 {
        self.plans.iter().map(sockets).max().unwrap_or(0)
    }

    /// Maximum number of these sockets in one load generator.
    pub fn sockets_per_generator_max(&self) -> u64 {
        let of = |plan: &Plan| sockets(plan) * u64::from(plan.rooms.div_ceil(self.generators)) / u64::from(plan.rooms);
        self.plans.iter().map(of).max().unwrap_or(0)
    }

    /// Maximum number of these sockets in one server of a job that starts its servers.
    pub fn sockets_per_server_max(&self) -> u64 {
        let of = |plan: &Plan| {
            // The clients of each room are dealt over them.
            let clients = plan.clients.div_ceil(plan.rooms);
            sockets(plan) * u64::from(clients.div_ceil(plan.nodes)) / u64::from(clients)
        };
        self.plans.iter().map(of).max().unwrap_or(0)
    }

    /// Estimated duration of the job.
    pub fn duration_estimate(&self) -> Duration {
        if self.has_one_slice() { self.round_estimate() * self.rounds_of_one_slice() } else { self.budget }
    }

    /// Estimated duration of a round with one slice.
    fn round_estimate(&self) -> Duration {
        let of =
            |plan: &Plan| plan.subjects().iter().map(|subject| plan.run_estimate(subject.transport)).sum::<Duration>();
        self.plans.iter().map(of).sum()
    }
}

/// Maximum number of open sockets of the clients at a point.
fn sockets(plan: &Plan) -> u64 {
    plan.subjects().iter().map(|subject| plan.sockets(subject.transport)).max().unwrap_or(0)
}
