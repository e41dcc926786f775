//! A complete comparison: what was compared, how, and all rows.

use serde::Serialize;

use super::{ComparisonRow, GateVerdict, MetricBlocks};

/// The result of a gate or of a comparison of two folders.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Name of the scenario.
    pub scenario: String,
    /// The base: a command line, an address or a folder.
    pub base: String,
    /// The head.
    pub head: String,
    /// Random seed of the order in blocks.
    pub seed: u64,
    /// Planned number of rounds, as the rule of the gate counts them; 0 for two finished folders.
    pub rounds_planned: u32,
    /// Number of rounds made.
    pub rounds: u32,
    /// Whether base and head ran in blocks of random order; false for two finished folders.
    pub paired: bool,
    /// Notes for the reader.
    pub notes: Vec<String>,
    /// The rows, by transport and metric.
    pub rows: Vec<ComparisonRow>,
    /// The values behind the rows.
    pub cells: Vec<MetricBlocks>,
}

/// Outcome of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Every gated metric is decided, and none is worse.
    Passed,
    /// No metric is worse, but some are inconclusive.
    Open,
    /// At least one metric is worse.
    Regressed,
}

impl Comparison {
    /// The worst outcome of the gated rows.
    pub fn outcome(&self) -> Outcome {
        let one = |verdict: GateVerdict| match verdict {
            GateVerdict::Regression => Outcome::Regressed,
            GateVerdict::Inconclusive(_) => Outcome::Open,
            GateVerdict::Improved | GateVerdict::Same => Outcome::Passed,
        };
        self.rows.iter().filter_map(|row| row.verdict).map(one).max().unwrap_or(Outcome::Open)
    }

    /// The numbers of verdicts, in one line.
    pub fn headline(&self) -> String {
        let count =
            |name| self.rows.iter().filter_map(|row| row.verdict).filter(|verdict| verdict.name() == name).count();
        let counted = ["regression", "inconclusive", "improved", "same"].map(|name| format!("{} {name}", count(name)));
        format!("{}: {}, {} rounds", self.scenario, counted.join(", "), self.rounds)
    }
}
