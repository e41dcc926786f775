//! Claims that a scenario tests, and published results for comparison. The metrics are defined in
//! `results`.

use garde::Validate;
use results::MetricId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::Transport;

use crate::check::one_line;

/// `[[claim]]`: confirmed if the intervals of all conditions satisfy it, refuted if that of one
/// contradicts it, else not decidable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The claim as a sentence
    #[garde(length(chars, min = 1, max = 300), custom(one_line))]
    pub statement: String,
    /// Conditions, all of which must hold
    #[garde(length(min = 1, max = 100), dive)]
    pub condition: Vec<Condition>,
}

/// `[[claim.condition]]`: `left`, the operator, and `factor` × `right` or `value`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Condition {
    /// The metric on the left
    #[garde(dive)]
    pub left: Operand,
    /// The comparison
    pub op: Operator,
    /// Factor applied to `right` before the comparison (default 1)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1e-9, max = 1e9))]
    pub factor: Option<f64>,
    /// The metric on the right; runs of the same round are compared
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub right: Option<Operand>,
    /// A number in place of `right`, in the unit of the metric
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = -1e12, max = 1e12))]
    pub value: Option<f64>,
}

/// `[[published]]`: a published result and the measured one: `factor` × `left`, or `factor` ×
/// `left` / `right`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Authors and year of the publication
    #[garde(length(chars, min = 1, max = 100), custom(one_line))]
    pub who: String,
    /// What was measured or computed
    #[garde(length(chars, min = 1, max = 200), custom(one_line))]
    pub what: String,
    /// The published result
    #[garde(range(min = -1e12, max = 1e12))]
    pub value: f64,
    /// Unit of the published result
    #[garde(length(chars, min = 1, max = 20), custom(one_line))]
    pub unit: String,
    /// The measured metric
    #[garde(dive)]
    pub left: Operand,
    /// The metric that `left` is divided by
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub right: Option<Operand>,
    /// Factor from the unit of the metric to `unit` (default 1)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1e-9, max = 1e9))]
    pub factor: Option<f64>,
}

/// A metric of a transport at a point of the sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Operand {
    /// A metric of a run
    pub metric: MetricId,
    /// The transport
    pub transport: Transport,
    /// Name of a target; without it, the built-in server
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Point of the sweep, as in `clients=100`; required in a scenario that sweeps
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, min = 1, max = 200))]
    pub at: Option<String>,
}

impl Operand {
    /// Whether the operand is about the point with this label; without `at` it is about every point.
    pub fn is_at(&self, label: &str) -> bool {
        let parts: Vec<_> = label.split(", ").collect();
        self.at.as_deref().is_none_or(|at| at.split(", ").all(|part| parts.contains(&part)))
    }
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Operator {
    /// `left >= right`
    #[serde(rename = ">=")]
    AtLeast,
    /// `left <= right`
    #[serde(rename = "<=")]
    AtMost,
}

impl Operator {
    /// The comparison in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AtLeast => "at least",
            Self::AtMost => "at most",
        }
    }
}
