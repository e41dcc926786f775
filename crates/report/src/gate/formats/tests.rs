//! A comparison with all kinds of rows in every format, compared with golden files.

use results::MetricId;

use super::*;
use crate::gate::{Block, Comparison, MetricBlocks, Outcome, Rule, judge};
use crate::stats::Chance;

fn comparison() -> Comparison {
    let mut chance = Chance::new(7, 0);
    let mut metric_blocks = |transport: &str, metric: MetricId, typical: f64, sigma: f64, head: f64, again: f64| {
        let mut value = |factor: f64| typical * factor * (sigma * chance.normal()).exp();
        let rounds = (1..=12).flat_map(|round| std::iter::repeat_n(round, 10));
        let blocks = rounds.map(|round| Block { round, base: value(1.0), head: value(head), again: value(again) });
        let threshold = metric.info().gate;
        MetricBlocks { transport: transport.to_owned(), metric, threshold, blocks: blocks.collect() }
    };
    let cells = vec![
        metric_blocks("websocket", MetricId::DeliveredPerS, 2_000.0, 0.01, 1.0, 1.0),
        metric_blocks("websocket", MetricId::ServerCpuPerMessage, 4.2, 0.03, 1.21, 1.0),
        metric_blocks("websocket", MetricId::BackToBackCpuPerMessage, 3.1, 0.01, 1.001, 1.0),
        metric_blocks("websocket", MetricId::DeliveryP50, 0.310, 0.03, 0.8, 1.0),
        metric_blocks("websocket", MetricId::DeliveryP999, 0.900, 0.3, 1.0, 1.0),
        metric_blocks("long-polling", MetricId::ServerCpuPerMessage, 12.0, 0.30, 1.0, 1.0),
        metric_blocks("long-polling", MetricId::DeliveryP50, 0.410, 0.02, 1.0, 1.2),
    ];
    Comparison {
        scenario: "quick".to_owned(),
        base: "target/base/pushbench serve".to_owned(),
        head: "target/head/pushbench serve".to_owned(),
        seed: 1,
        rounds_planned: 12,
        rounds: 12,
        paired: true,
        notes: vec!["p99 is not measured: a | window too short".to_owned()],
        rows: judge(&cells, Rule::of(12, results::Mode::Load).looks().last().unwrap()),
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
fn every_format_equals_its_golden_file() {
    let comparison = comparison();
    assert_eq!(comparison.outcome(), Outcome::Regressed);
    golden("table.txt", &table(&comparison, false));
    golden("table-wide.txt", &table(&comparison, true));
    golden("summary.md", &markdown(&comparison));
    golden("annotations.txt", &annotations(&comparison));
    golden("junit.xml", &junit(&comparison));
    golden("bencher.json", &bencher(&comparison));
    golden("smaller-is-better.json", &smaller_is_better(&comparison));
    golden("bigger-is-better.json", &bigger_is_better(&comparison));
    golden("openmetrics.txt", &openmetrics(&comparison));
}

#[test]
fn a_table_fits_a_terminal() {
    let narrow = table(&comparison(), false);
    assert!(narrow.lines().all(|line| line.chars().count() <= crate::COLUMNS), "{narrow}");
}

#[test]
fn a_forest_plot_has_a_line_per_row() {
    let comparison = comparison();
    let picture = crate::plots::forest(&comparison).unwrap();
    assert!(comparison.rows.iter().all(|row| picture.svg.contains(row.metric.info().label)), "{}", picture.svg);
    assert_eq!(picture.csv.lines().count(), comparison.rows.len() + 1);
    assert!(crate::plots::forest(&Comparison { rows: Vec::new(), ..comparison }).is_none());
}

#[test]
fn a_comparison_without_rows_is_open() {
    let none = Comparison { rows: Vec::new(), ..comparison() };
    assert_eq!(none.outcome(), Outcome::Open);
    let report = junit(&none);
    assert!(report.contains("name=\"gate\"") && report.contains("<skipped message=\"p99 is not measured"), "{report}");
}
