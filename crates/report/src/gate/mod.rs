//! Did the head get dearer than the base? The rule of the regression gate: blocks of three arms in, a verdict a row out.
//!
//! Knows neither servers nor scenarios: a cell is a metric and numbers.

mod comparison;
pub mod formats;
mod judge;
mod rule;
mod unpaired;

pub use comparison::{Comparison, Outcome};
pub use judge::judge;
pub use rule::{Look, Rule};
pub use unpaired::unpaired;

use results::{Better, MetricId, RunRecord};
use serde::{Serialize, Serializer};

/// One metric of one transport in all blocks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricBlocks {
    /// What was measured over.
    pub transport: String,
    /// What was measured.
    pub metric: MetricId,
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
pub enum GateVerdict {
    /// Worse, for certain, and by more than what matters.
    Regression,
    /// Nothing can be said; why.
    Inconclusive(InconclusiveReason),
    /// Better, for certain, and by more than what matters.
    Improved,
    /// If there is a difference, it is smaller than what matters.
    Same,
}

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InconclusiveReason {
    /// The base differs from itself: the machine is not fit to judge.
    Machine,
    /// The noise is larger than what was looked for.
    Noise,
    /// There are not enough values.
    Missing,
    /// The job was interrupted.
    Interrupted,
}

impl GateVerdict {
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
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Regression => "worse, beyond doubt and by more than what matters",
            Self::Improved => "better, beyond doubt and by more than what matters",
            Self::Same => "if there is a difference, it is smaller than what matters",
            Self::Inconclusive(InconclusiveReason::Noise) => "the noise is larger than what was looked for",
            Self::Inconclusive(InconclusiveReason::Machine) => {
                "the base differs from itself: this machine cannot judge it now"
            }
            Self::Inconclusive(InconclusiveReason::Missing) => "too few valid blocks or repetitions",
            Self::Inconclusive(InconclusiveReason::Interrupted) => "the job was interrupted before it was decided",
        }
    }

    /// Whether more blocks could say nothing else.
    pub const fn is_decided(self) -> bool {
        !matches!(self, Self::Inconclusive(_))
    }
}

/// A cell and what is said of it. Ratios are head to base, as measured: 1.1 of a latency is worse, of a throughput better.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// What was measured over.
    pub transport: String,
    /// What was measured.
    pub metric: MetricId,
    /// `None` for a metric that is not gated.
    pub verdict: Option<GateVerdict>,
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

/// A metric of a run as it is compared; `None` when the run does not have it. Ratios are compared: zero has none.
pub fn value(metric: MetricId, run: &RunRecord) -> Option<f64> {
    metric.value(run).filter(|value| value.is_finite() && *value > 0.0)
}

/// The sign of a change in logarithms that makes a change for the worse positive.
fn worse(metric: MetricId) -> f64 {
    match metric.info().better {
        Better::Less => 1.0,
        Better::More => -1.0,
    }
}

impl Serialize for GateVerdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
