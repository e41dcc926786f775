//! Did the head get dearer than the base? The rule of the regression gate: blocks of three arms in, a verdict a row out.
//!
//! Knows neither servers nor scenarios: a cell is a name and numbers.

mod comparison;
pub mod formats;
mod judge;
mod metrics;
pub mod promise;
mod rule;
mod simulation;
mod unpaired;

pub use comparison::{Comparison, Outcome};
pub use judge::judge;
pub use metrics::{METRICS, value};
pub use rule::{Look, Rule};
pub use simulation::{Counts, EFFECT, Noise, SIGMA, trials};
pub use unpaired::unpaired;

use serde::{Serialize, Serializer};

/// A figure that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Metric {
    /// As in machine files, its unit last.
    pub name: &'static str,
    /// As people read it.
    pub title: &'static str,
    /// Its unit, as people read it.
    pub unit: &'static str,
    /// Whether more of it is better.
    pub more_is_better: bool,
    /// The change that matters, as a share; `None` is shown and never gated.
    pub delta: Option<f64>,
}

/// One metric of one transport in all blocks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// What was measured over.
    pub transport: String,
    /// What was measured.
    pub metric: Metric,
    /// A block each, in order.
    pub blocks: Vec<Block>,
}

/// One value from each arm; all three are above zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Block {
    /// The base.
    pub base: f64,
    /// The head.
    pub head: f64,
    /// The base again.
    pub again: f64,
}

/// What is said of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Worse, for certain, and by more than what matters.
    Regression,
    /// Nothing can be said; why.
    Inconclusive(Doubt),
    /// Better, for certain, and by more than what matters.
    Improved,
    /// If there is a difference, it is smaller than what matters.
    Same,
}

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// The base differs from itself: the machine is not fit to judge.
    Machine,
    /// The noise is larger than what was looked for.
    Noise,
    /// There are not enough values.
    Missing,
    /// The job was interrupted.
    Interrupted,
}

impl Verdict {
    /// As in machine files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Inconclusive(_) => "inconclusive",
            Self::Improved => "improved",
            Self::Same => "same",
        }
    }

    /// In a sentence.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Regression => "worse, beyond doubt and by more than what matters",
            Self::Improved => "better, beyond doubt and by more than what matters",
            Self::Same => "if there is a difference, it is smaller than what matters",
            Self::Inconclusive(Doubt::Noise) => "the noise is larger than what was looked for",
            Self::Inconclusive(Doubt::Machine) => "the base differs from itself: this machine cannot judge it now",
            Self::Inconclusive(Doubt::Missing) => "too few valid blocks or repetitions",
            Self::Inconclusive(Doubt::Interrupted) => "the job was interrupted before it was decided",
        }
    }

    /// Whether more blocks could say nothing else.
    pub const fn is_decided(self) -> bool {
        !matches!(self, Self::Inconclusive(_))
    }
}

/// A cell and what is said of it. Ratios are head to base, as measured: 1.1 of a latency is worse, of a throughput better.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was measured over.
    pub transport: String,
    /// What was measured.
    pub metric: Metric,
    /// `None` for a metric that is not gated.
    pub verdict: Option<Verdict>,
    /// Blocks behind it.
    pub blocks: usize,
    /// Median of the base's values.
    pub base: f64,
    /// Median of the head's.
    pub head: f64,
    /// Head to base, estimated; `NaN` is never here: without blocks it is 1.
    pub ratio: f64,
    /// Its 95 % interval, where there are blocks enough for one.
    pub interval: Option<(f64, f64)>,
    /// Two-sided, adjusted for all gated cells of the job.
    pub p: f64,
    /// The same of the base against itself, of this cell alone.
    pub p_again: f64,
    /// The smallest ratio for the worse that would have been found four times in five.
    pub smallest_effect: Option<f64>,
    /// Blocks that would probably decide, where a number of them would.
    pub blocks_to_decide: Option<u64>,
    /// The base against itself, block by block.
    pub again: Vec<f64>,
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
