//! What a scenario claims: sentences with the figures that would confirm or refute them, and figures others have published.
//!
//! The metrics themselves are defined in `results`.

use results::MetricId;
use serde::{Deserialize, Serialize};
use wire::Transport;

/// `[[claim]]`: holds when all its conditions do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct Claim {
    pub say: String,
    pub condition: Vec<Condition>,
}

/// `[[claim.condition]]`: `left` is at least, or at most, `times` × `right`, or `value`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct Condition {
    pub left: Term,
    pub is: Bound,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<Term>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// `[[published]]`: a figure somebody published, and ours: `times` × `left`, or × `left / right`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct Published {
    pub who: String,
    pub what: String,
    pub value: f64,
    pub unit: String,
    pub left: Term,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<Term>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<f64>,
}

/// A figure of a transport at a point of the sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the list of fields documents every key once")]
pub struct Term {
    pub figure: MetricId,
    pub transport: Transport,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl Term {
    /// Whether the term speaks of the point with this label; without `at` it speaks of every one.
    pub fn is_at(&self, label: &str) -> bool {
        let parts: Vec<_> = label.split(", ").collect();
        self.at.as_deref().is_none_or(|at| at.split(", ").all(|part| parts.contains(&part)))
    }
}

/// Which side of the comparison counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// `left ≥ right`
    #[serde(rename = "at least")]
    AtLeast,
    /// `left ≤ right`
    #[serde(rename = "at most")]
    AtMost,
}

impl Bound {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AtLeast, Self::AtMost];

    /// The words used in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AtLeast => "at least",
            Self::AtMost => "at most",
        }
    }
}
