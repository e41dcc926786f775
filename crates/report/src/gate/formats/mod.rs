//! Output formats of a comparison: terminal, Markdown, JUnit, annotations, benchmark trackers. One
//! pure function per format.

mod annotations;
mod bencher;
mod github_benchmark;
mod junit;
mod markdown;
mod openmetrics;
mod table;

pub use annotations::annotations;
pub use bencher::bencher;
pub use github_benchmark::{bigger_is_better, smaller_is_better};
pub use junit::junit;
pub use markdown::markdown;
pub use openmetrics::openmetrics;
pub use table::table;

use super::{Comparison, ComparisonRow, GateVerdict, InconclusiveReason};

/// A change as `+3.2 %`.
fn percent(ratio: f64) -> String {
    let text = format!("{:+.1} %", (ratio - 1.0) * 100.0);
    if text == "-0.0 %" { "+0.0 %".to_owned() } else { text }
}

/// An interval as `[+1.0 %, +5.4 %]`; empty without one.
fn interval(row: &ComparisonRow) -> String {
    row.interval.map_or_else(String::new, |(low, high)| format!("[{}, {}]", percent(low), percent(high)))
}

fn verdict(row: &ComparisonRow) -> &'static str {
    row.verdict.map_or("no verdict", GateVerdict::name)
}

/// What the column `change` is.
fn meaning_of_change(comparison: &Comparison) -> &'static str {
    if comparison.paired {
        "change: estimated from head / base within blocks; it need not equal the ratio of the two columns, which are \
         medians over all blocks"
    } else {
        "change: of CPU and latency, as multiples of raw TCP in the same blocks; of other metrics and of the latency of \
         polling, from the values of the rounds. The columns base and head are medians: their ratio also contains \
         the change of the machine, which the row of raw TCP shows"
    }
}

/// A value with a readable number of digits.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// Rounds to six digits; further digits may depend on the platform's logarithm.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// A p-value with four digits.
fn p_value(p: f64) -> String {
    if p < 0.0001 { "<0.0001".to_owned() } else { format!("{p:.4}") }
}

/// Explanation of a verdict, with the detectable change and the number of rounds for a decision.
fn explained(row: &ComparisonRow) -> String {
    let Some(verdict) = row.verdict else {
        let why = if row.threshold.is_some() { "raw TCP, to which the others are compared" } else { "no threshold" };
        return why.to_owned();
    };
    let mut out = verdict.explanation().to_owned();
    if let (GateVerdict::Inconclusive(InconclusiveReason::Noise), Some(effect)) = (verdict, row.smallest_effect) {
        out += &format!(". This run could detect changes of {} or more", percent(effect));
        out += &match row.rounds_to_decide {
            Some(rounds) => format!("; about {rounds} rounds would give a result"),
            None => "; no practical number of rounds would give a result".to_owned(),
        };
    }
    out
}

#[cfg(test)]
mod tests;
