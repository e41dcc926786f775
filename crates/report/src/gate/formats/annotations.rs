//! Annotations of GitHub workflows.

use super::{explained, interval, percent};
use crate::gate::{Comparison, GateVerdict};

/// One error per regression, one warning per inconclusive metric.
pub fn annotations(comparison: &Comparison) -> String {
    let mut out = String::new();
    for row in &comparison.rows {
        let level = match row.verdict {
            Some(GateVerdict::Regression) => "error",
            Some(GateVerdict::Inconclusive(_)) => "warning",
            Some(GateVerdict::Improved | GateVerdict::Same) | None => continue,
        };
        let title = format!("{} {}", row.transport, row.metric.info().label);
        let message = format!("{title} {} {}: {}", percent(row.ratio), interval(row), explained(row));
        out += &format!("::{level} title={}::{}\n", property(&title), data(&message));
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
