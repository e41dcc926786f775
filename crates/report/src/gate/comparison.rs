//! The whole of a comparison: what was compared, how, and every row.

use serde::Serialize;

use super::{ComparisonRow, GateVerdict, MetricBlocks};

/// What a gate or a comparison of two folders came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The scenario's name.
    pub scenario: String,
    /// What the base was: a command line, an address or a folder.
    pub base: String,
    /// What the head was.
    pub head: String,
    /// Where the order of the arms came from.
    pub seed: u64,
    /// Blocks that were to be made.
    pub blocks_planned: usize,
    /// Blocks that were made.
    pub blocks: usize,
    /// Whether base and head took turns in blocks of random order; two finished folders did not.
    pub paired: bool,
    /// What a reader must know.
    pub notes: Vec<String>,
    /// The rows, by transport and metric.
    pub rows: Vec<ComparisonRow>,
    /// What they were made from.
    pub cells: Vec<MetricBlocks>,
}

/// What it all comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing got worse, and nothing gated is open.
    Passed,
    /// Nothing is known to be worse, but something gated is open.
    Open,
    /// Something got worse.
    Regressed,
}

impl Comparison {
    /// The worst of the gated rows.
    pub fn outcome(&self) -> Outcome {
        let one = |verdict: GateVerdict| match verdict {
            GateVerdict::Regression => Outcome::Regressed,
            GateVerdict::Inconclusive(_) => Outcome::Open,
            GateVerdict::Improved | GateVerdict::Same => Outcome::Passed,
        };
        self.rows.iter().filter_map(|row| row.verdict).map(one).max().unwrap_or(Outcome::Open)
    }

    /// In one line.
    pub fn headline(&self) -> String {
        let count =
            |name| self.rows.iter().filter_map(|row| row.verdict).filter(|verdict| verdict.name() == name).count();
        let counted = ["regression", "inconclusive", "improved", "same"].map(|name| format!("{} {name}", count(name)));
        let of = if self.paired { "blocks" } else { "repetitions" };
        format!("{}: {}, {} {of}", self.scenario, counted.join(", "), self.blocks)
    }
}
