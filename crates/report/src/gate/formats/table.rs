//! Table for terminals.

use super::{explained, interval, number, p_value, percent, verdict};
use crate::gate::Comparison;

/// One row per transport and metric, headline, notes.
pub fn table(comparison: &Comparison) -> String {
    let mut out = format!("base: {}\nhead: {}\n\n", comparison.base, comparison.head);
    out += &format!(
        "{:<15} {:<22} {:>10} {:>10} {:>9}  {:<20} {:>7}  {:<13} why\n",
        "transport", "metric", "base", "head", "change", "95 % interval", "p", "verdict"
    );
    let mut last = "";
    for row in &comparison.rows {
        let transport = if row.transport == last { "" } else { &row.transport };
        last = &row.transport;
        out += &format!(
            "{transport:<15} {:<22} {:>10} {:>10} {:>9}  {:<20} {:>7}  {:<13} {}\n",
            format!("{} {}", row.metric.info().label, row.metric.info().unit.symbol),
            number(row.base),
            number(row.head),
            percent(row.ratio),
            interval(row),
            p_value(row.p),
            verdict(row),
            explained(row)
        );
    }
    out += &format!("\n{}\n", comparison.headline());
    comparison.notes.iter().for_each(|note| out += &format!("note: {note}\n"));
    out
}
