//! Bencher's metric format: benchmark → measure → value with bounds.

use serde_json::{Map, Value, json};

use super::rounded;
use crate::gate::Comparison;

/// The values of the head, one benchmark per transport.
pub fn bencher(comparison: &Comparison) -> String {
    let mut all = Map::new();
    for row in &comparison.rows {
        let benchmark = format!("{}/{}", comparison.scenario, row.transport);
        let mut measure = json!({ "value": rounded(row.head) });
        if let Some((low, high)) = row.interval {
            measure["lower_value"] = json!(rounded(row.base * low));
            measure["upper_value"] = json!(rounded(row.base * high));
        }
        let measures = all.entry(benchmark).or_insert_with(|| json!({}));
        measures[row.metric.name()] = measure;
    }
    format!("{:#}\n", Value::Object(all))
}
