//! The rule of the regression gate: from blocks of base, head and base again to one verdict per
//! metric. It knows neither servers nor scenarios. `METHODOLOGY.md` describes the test.

mod block_stats;
mod comparison;
pub mod formats;
pub(crate) mod in_blocks;
mod judge;
mod planning;
mod rule;
mod unpaired;

pub use comparison::{Comparison, Outcome};
pub use judge::judge;
pub use rule::{Look, Rule, rounds_min};
pub use unpaired::unpaired;

use results::{Better, MetricId, RunRecord};
use serde::{Serialize, Serializer};

/// The values of one metric of one transport in all blocks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricBlocks {
    /// Transport.
    pub transport: String,
    /// Metric.
    pub metric: MetricId,
    /// The smallest change that matters, as a share; `None` for a metric that is shown and not
    /// judged.
    pub threshold: Option<f64>,
    /// The blocks, in order.
    pub blocks: Vec<Block>,
}

/// The values of one block; all three are positive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Block {
    /// Round, from 1; each has new processes.
    pub round: u32,
    /// Base.
    pub base: f64,
    /// Head.
    pub head: f64,
    /// Base again.
    pub again: f64,
}

/// Verdict on one metric of one transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GateVerdict {
    /// Significantly worse, by at least the threshold of the metric.
    Regression,
    /// No decision, with the reason.
    Inconclusive(InconclusiveReason),
    /// Significantly better, by at least the threshold.
    Improved,
    /// The interval of the change lies within the threshold.
    Same,
}

/// Why there is no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InconclusiveReason {
    /// The two measurements of the base differ significantly, by at least the threshold.
    Machine,
    /// The noise is too high for the number of rounds.
    Noise,
    /// There are too few values.
    Missing,
    /// The job was interrupted.
    Interrupted,
}

impl GateVerdict {
    /// Name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Inconclusive(_) => "inconclusive",
            Self::Improved => "improved",
            Self::Same => "same",
        }
    }

    /// Explanation for people.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Regression => "significantly worse, by at least the threshold",
            Self::Improved => "significantly better, by at least the threshold",
            Self::Same => "no change larger than the threshold",
            Self::Inconclusive(InconclusiveReason::Noise) => "noise too high",
            Self::Inconclusive(InconclusiveReason::Machine) => {
                "the two measurements of the base differ significantly, by at least the threshold: this machine is too unstable for a result"
            }
            Self::Inconclusive(InconclusiveReason::Missing) => "too few valid rounds",
            Self::Inconclusive(InconclusiveReason::Interrupted) => "the job was interrupted before a decision",
        }
    }

    /// Whether the verdict is a decision.
    pub const fn is_decided(self) -> bool {
        !matches!(self, Self::Inconclusive(_))
    }
}

/// A row of a comparison. Ratios are head / base: 1.1 is worse for a latency and better for a
/// throughput.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// Transport.
    pub transport: String,
    /// Metric.
    pub metric: MetricId,
    /// The smallest change that matters, as a share; `None` for a metric that is not judged.
    pub threshold: Option<f64>,
    /// `None` for a metric that is not judged.
    pub verdict: Option<GateVerdict>,
    /// Number of rounds.
    pub rounds: usize,
    /// Number of blocks; one a round for a metric that a slice does not have.
    pub blocks: usize,
    /// Median of the base.
    pub base: f64,
    /// Median of the head.
    pub head: f64,
    /// Estimated head / base, from ratios within blocks; 1 without blocks, never `NaN`. In a
    /// comparison of two jobs, costs and latencies are first divided by those of raw TCP in the same
    /// blocks.
    pub ratio: f64,
    /// 95 % interval of the ratio; `None` with too few rounds.
    pub interval: Option<(f64, f64)>,
    /// Two-sided p-value, adjusted for all gated metrics of the job.
    pub p: f64,
    /// Two-sided p-value of base against base again, not adjusted.
    pub p_again: f64,
    /// The smallest regression, as a ratio, that would be detected with a probability of 80 %.
    pub smallest_effect: Option<f64>,
    /// Estimated number of rounds for a decision, if any number suffices.
    pub rounds_to_decide: Option<u32>,
    /// Base again / base, for each round.
    pub again: Vec<f64>,
}

/// The value of a metric for a comparison; `None` if the run has none or it is not positive,
/// because ratios are compared.
pub fn value(metric: MetricId, run: &RunRecord) -> Option<f64> {
    metric.value(run).filter(|value| value.is_finite() && *value > 0.0)
}

/// The factor of a logarithmic change that makes a change for the worse positive.
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
