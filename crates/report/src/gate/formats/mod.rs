//! A comparison as others read it: people, test reports, code hosts, trackers of benchmarks. One pure function a format.

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

use super::{ComparisonRow, GateVerdict, InconclusiveReason};

/// A change as people read it: `+3.2 %`.
fn percent(ratio: f64) -> String {
    format!("{:+.1} %", (ratio - 1.0) * 100.0)
}

/// `[+1.0 %, +5.4 %]`, or nothing where there is no interval.
fn interval(row: &ComparisonRow) -> String {
    row.interval.map_or_else(String::new, |(low, high)| format!("[{}, {}]", percent(low), percent(high)))
}

fn verdict(row: &ComparisonRow) -> &'static str {
    row.verdict.map_or("not gated", GateVerdict::name)
}

/// A value with as many digits as it can be read with.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// Six digits: more would be noise, and another machine's logarithm may differ in the last.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// As people read it.
fn p_value(p: f64) -> String {
    if p < 0.0001 { "<0.0001".to_owned() } else { format!("{p:.4}") }
}

/// Why, what could have been seen, and what would help, in a sentence.
fn explained(row: &ComparisonRow) -> String {
    let Some(verdict) = row.verdict else { return "not gated".to_owned() };
    let mut out = verdict.explanation().to_owned();
    if let (GateVerdict::Inconclusive(InconclusiveReason::Noise), Some(effect)) = (verdict, row.smallest_effect) {
        out += &format!(". This run could detect changes of {} or more", percent(effect));
        out += &match row.blocks_to_decide {
            Some(blocks) => format!("; about {blocks} blocks would give a result"),
            None => "; no practical number of blocks would give a result".to_owned(),
        };
    }
    out
}

#[cfg(test)]
mod tests;
