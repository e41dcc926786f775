//! Markdown, for the summary of a workflow step.

use super::{explained, interval, meaning_of_change, number, percent, verdict};
use crate::gate::{Comparison, GateVerdict};

/// Table, headline and notes.
pub fn markdown(comparison: &Comparison) -> String {
    let mut out = format!("### pushbench gate: {}\n\n", escaped(&comparison.headline()));
    out += &format!("base `{}`, head `{}`\n\n", comparison.base.replace('`', "'"), comparison.head.replace('`', "'"));
    out += "| | transport | metric | base | head | change | 95 % interval | verdict |\n|---|---|---|--:|--:|--:|---|---|\n";
    for row in &comparison.rows {
        let mark = match row.verdict {
            Some(GateVerdict::Regression) => "❌",
            Some(GateVerdict::Improved) => "🚀",
            Some(GateVerdict::Same) => "✅",
            Some(GateVerdict::Inconclusive(_)) => "❔",
            None => "",
        };
        out += &format!(
            "| {mark} | {} | {} ({}) | {} | {} | {} | {} | {}: {} |\n",
            escaped(&row.transport),
            row.metric.info().label,
            row.metric.info().unit.symbol,
            number(row.base),
            number(row.head),
            percent(row.ratio),
            interval(row),
            verdict(row),
            explained(row)
        );
    }
    out += &format!("\n{}\n", meaning_of_change(comparison));
    comparison.notes.iter().for_each(|note| out += &format!("\n> {}\n", escaped(note)));
    out
}

/// Escapes names from scenarios and command lines for a table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('<', "&lt;")
}
