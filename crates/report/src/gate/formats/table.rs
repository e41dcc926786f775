//! The comparison as a table for a terminal.

use super::{explained, interval, meaning_of_change, number, p_value, percent, verdict};
use crate::columns::{Column, table as aligned, wrapped};
use crate::gate::{Comparison, ComparisonRow, GateVerdict};

/// A row for each transport and metric, the reasons, a headline and the notes; `wide` shows every
/// column.
pub fn table(comparison: &Comparison, wide: bool) -> String {
    let mut out = format!("base: {}\nhead: {}\n\n", comparison.base, comparison.head);
    out += &aligned(columns(&comparison.rows), wide);
    out += &format!("\n{}\n", wrapped(meaning_of_change(comparison), 2));
    let reasons = comparison.rows.iter().filter(|row| !wide && needs_reason(row));
    let reasons = reasons
        .map(|row| format!("{} {}: {}: {}", row.transport, row.metric.info().label, verdict(row), explained(row)));
    let reasons: Vec<_> = reasons.collect();
    for line in reasons.iter().take(1).map(|_| "").chain(reasons.iter().map(String::as_str)) {
        out += &format!("{}\n", wrapped(line, 2));
    }
    out += &format!("\n{}\n", wrapped(&comparison.headline(), 2));
    comparison.notes.iter().for_each(|note| out += &format!("{}\n", wrapped(&format!("note: {note}"), 2)));
    out
}

/// `same` and what is not gated explain themselves.
fn needs_reason(row: &ComparisonRow) -> bool {
    row.verdict.is_some_and(|verdict| verdict != GateVerdict::Same)
}

fn columns(rows: &[ComparisonRow]) -> Vec<Column> {
    let numbers = |head: &str, narrow, field| Column::numbers(&[head], narrow).with(fields(rows, false, field));
    let words = |head: &str, field| Column::words(&[head]).with(fields(rows, false, field));
    let names = fields(rows, true, |row| format!("  {}", metric(row)));
    vec![
        Column::words(&["metric"]).with(names),
        numbers("base", true, |row| number(row.base)),
        numbers("head", true, |row| number(row.head)),
        numbers("change", true, |row| percent(row.ratio)),
        words("verdict", |row| verdict(row).to_owned()),
        words("95 % interval", interval),
        numbers("p", false, |row| p_value(row.p)),
        words("why", explained).only_wide(),
    ]
}

/// A column's fields: the metrics of a transport stand below a line with its name, which only the
/// first column (`named`) fills.
fn fields(rows: &[ComparisonRow], named: bool, field: fn(&ComparisonRow) -> String) -> Vec<String> {
    let mut out = Vec::new();
    for group in rows.chunk_by(|one, next| one.transport == next.transport) {
        out.push(if named { group[0].transport.clone() } else { String::new() });
        out.extend(group.iter().map(field));
    }
    out
}

fn metric(row: &ComparisonRow) -> String {
    let (label, unit) = (row.metric.info().label, row.metric.info().unit.symbol);
    format!(
        "{} {}",
        label.replace("server memory", "memory"),
        unit.replace("message", "msg").replace("connection", "conn")
    )
}
