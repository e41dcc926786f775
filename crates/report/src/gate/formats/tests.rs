//! Goldens: a comparison with a row of every kind, in every format.

use super::*;
use crate::gate::{Block, Cell, Comparison, METRICS, Outcome, Rule, judge};
use crate::stats::Chance;

fn comparison() -> Comparison {
    let mut chance = Chance::new(7, 0);
    let mut cell = |transport: &str, metric: usize, typical: f64, sigma: f64, head: f64, again: f64| {
        let mut value = |factor: f64| typical * factor * (sigma * chance.normal()).exp();
        let blocks = (0..16).map(|_| Block { base: value(1.0), head: value(head), again: value(again) }).collect();
        Cell { transport: transport.to_owned(), metric: METRICS[metric], blocks }
    };
    let cells = vec![
        cell("websocket", 0, 2_000.0, 0.01, 1.0, 1.0),
        cell("websocket", 1, 4.2, 0.03, 1.21, 1.0),
        cell("websocket", 3, 310.0, 0.03, 0.8, 1.0),
        cell("websocket", 5, 900.0, 0.3, 1.0, 1.0),
        cell("long-polling", 1, 12.0, 0.15, 1.0, 1.0),
        cell("long-polling", 3, 410.0, 0.02, 1.0, 1.2),
    ];
    Comparison {
        scenario: "quick".to_owned(),
        base: "target/base/pushbench serve".to_owned(),
        head: "target/head/pushbench serve".to_owned(),
        seed: 1,
        blocks_planned: 16,
        blocks: 16,
        paired: true,
        notes: vec!["p99 is not measured: a | window too short".to_owned()],
        rows: judge(&cells, Rule::of(16).looks().last().unwrap()),
        cells,
    }
}

fn golden(name: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gate/formats/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, known, "{} differs; BLESS=1 accepts it", path.display());
}

#[test]
fn every_format_is_as_it_was() {
    let comparison = comparison();
    assert_eq!(comparison.outcome(), Outcome::Regressed);
    golden("table.txt", &table(&comparison));
    golden("summary.md", &markdown(&comparison));
    golden("annotations.txt", &annotations(&comparison));
    golden("junit.xml", &junit(&comparison));
    golden("bencher.json", &bencher(&comparison));
    golden("smaller-is-better.json", &smaller_is_better(&comparison));
    golden("bigger-is-better.json", &bigger_is_better(&comparison));
    golden("openmetrics.txt", &openmetrics(&comparison));
}

#[test]
fn a_forest_has_a_tree_a_row() {
    let comparison = comparison();
    let picture = crate::exhibits::forest(&comparison).unwrap();
    assert!(comparison.rows.iter().all(|row| picture.svg.contains(row.metric.title)), "{}", picture.svg);
    assert_eq!(picture.csv.lines().count(), comparison.rows.len() + 1);
    assert!(crate::exhibits::forest(&Comparison { rows: Vec::new(), ..comparison }).is_none());
}

#[test]
fn what_nobody_gated_is_open() {
    let none = Comparison { rows: Vec::new(), ..comparison() };
    assert_eq!(none.outcome(), Outcome::Open);
    let report = junit(&none);
    assert!(report.contains("name=\"gate\"") && report.contains("<skipped message=\"p99 is not measured"), "{report}");
}
