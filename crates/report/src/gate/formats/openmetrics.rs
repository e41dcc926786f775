//! OpenMetrics text, for time series databases.

use results::MetricId;

use super::rounded;
use crate::gate::{Comparison, ComparisonRow, GateVerdict};

/// Gauges of base and head for each metric, the ratio, and the verdict as a number.
pub fn openmetrics(comparison: &Comparison) -> String {
    let mut out = String::new();
    let scenario = escaped(&comparison.scenario);
    for metric in MetricId::gated() {
        let rows: Vec<&ComparisonRow> = comparison.rows.iter().filter(|row| row.metric == metric).collect();
        if rows.is_empty() {
            continue;
        }
        let name = format!("pushbench_gate_{}", metric.name());
        out += &format!(
            "# TYPE {name} gauge\n# HELP {name} {} in {}, median over blocks.\n",
            metric.info().help,
            metric.info().unit.symbol
        );
        for row in &rows {
            for (arm, value) in [("base", row.base), ("head", row.head)] {
                let labels = format!("scenario=\"{scenario}\",transport=\"{}\",arm=\"{arm}\"", escaped(&row.transport));
                out += &format!("{name}{{{labels}}} {}\n", rounded(value));
            }
        }
    }
    let by_row = |out: &mut String, name: &str, help: &str, value: fn(&ComparisonRow) -> Option<f64>| {
        *out += &format!("# TYPE {name} gauge\n# HELP {name} {help}\n");
        for row in &comparison.rows {
            if let Some(value) = value(row) {
                let transport = escaped(&row.transport);
                let labels =
                    format!("scenario=\"{scenario}\",transport=\"{transport}\",metric=\"{}\"", row.metric.name());
                *out += &format!("{name}{{{labels}}} {}\n", rounded(value));
            }
        }
    };
    by_row(&mut out, "pushbench_gate_ratio", "Head to base.", |row| Some(row.ratio));
    by_row(
        &mut out,
        "pushbench_gate_regression",
        "1 if the verdict is regression, 0 otherwise; absent if inconclusive.",
        |row| match row.verdict? {
            GateVerdict::Regression => Some(1.0),
            GateVerdict::Improved | GateVerdict::Same => Some(0.0),
            GateVerdict::Inconclusive(_) => None,
        },
    );
    out + "# EOF\n"
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
