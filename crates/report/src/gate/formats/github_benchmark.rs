//! The two files of github-action-benchmark: smaller is better, and bigger is better.

use results::Better;
use serde_json::{Value, json};

use super::{interval, percent, rounded, verdict};
use crate::gate::Comparison;

/// `customSmallerIsBetter`.
pub fn smaller_is_better(comparison: &Comparison) -> String {
    file(comparison, false)
}

/// `customBiggerIsBetter`.
pub fn bigger_is_better(comparison: &Comparison) -> String {
    file(comparison, true)
}

fn file(comparison: &Comparison, more_is_better: bool) -> String {
    let rows = comparison.rows.iter().filter(|row| (row.metric.info().better == Better::More) == more_is_better);
    let entries = rows.map(|row| {
        json!({
            "name": format!("{}/{}/{}", comparison.scenario, row.transport, row.metric.info().label),
            "unit": row.metric.info().unit.symbol,
            "value": rounded(row.head),
            "extra": format!("{}: {} {}", verdict(row), percent(row.ratio), interval(row)).trim_end(),
        })
    });
    format!("{:#}\n", Value::Array(entries.collect()))
}
