//! The table at the end of a job: who delivered how fast, at what cost, and whether the figures may be used.

use std::fmt::Write;

use results::{Figures, RunRecord, Series, Subject, VerdictKind};

use super::shown::{Shown, shown};
use crate::numbers::{DASH, number};
use crate::stats::{Estimate, InRound, over_runs, ratio};

/// Renders all runs of a job, a block for each point of the sweep.
pub fn render(records: &[RunRecord]) -> String {
    let mut labels: Vec<&str> = Vec::new();
    for record in records {
        if !labels.contains(&record.label.as_str()) {
            labels.push(&record.label);
        }
    }
    let mut out = String::new();
    for label in labels {
        let of_label: Vec<_> = records.iter().filter(|record| record.label == label).collect();
        if !label.is_empty() {
            writeln!(out, "\n── {label}").expect("a String takes everything");
        }
        out.push_str(&block(&of_label));
    }
    out
}

type Row<'a> = Shown<'a, RunRecord>;

fn block(records: &[&RunRecord]) -> String {
    let rows: Vec<_> =
        Subject::all(records.iter().copied()).iter().filter_map(|subject| shown(subject, records)).collect();
    let floor = rows.iter().find(|row| row.subject == Subject::FLOOR).map(cpu).unwrap_or_default();
    let delivery = rows.iter().map(latency).collect::<Vec<_>>();
    let costs = rows.iter().map(|row| cost(row, &floor)).collect::<Vec<_>>();
    let mut out = String::new();
    out.push_str(&table(
        &["delivery, ms", "verdict", "msg/s", "p50", "p90", "p99", "p99.9", "max", "p50 unc.", "p99 unc.", "late p99"],
        &delivery,
    ));
    out.push('\n');
    out.push_str(&table(
        &[
            "per message",
            "server µs",
            "× floor",
            "gen. µs",
            "B down",
            "B up",
            "requests",
            "writes",
            "msg/batch",
            "empty",
            "KB/conn",
        ],
        &costs,
    ));
    let reasons: Vec<_> = records.iter().filter(|record| record.verdict.kind != VerdictKind::Sound).collect();
    for record in reasons {
        writeln!(
            out,
            "run {} {}: {}: {}",
            record.run,
            record.subject(),
            record.verdict.kind,
            record.verdict.reasons.join("; ")
        )
        .expect("a String takes everything");
    }
    out
}

fn cpu(row: &Row<'_>) -> Vec<InRound> {
    let of = |record: &RunRecord| Some((record.round, Figures::of(record).server_cpu_us_per_message?));
    row.records().filter_map(of).collect()
}

fn max_ms(row: &Row<'_>) -> Option<Estimate> {
    over_runs(&row.each(|record| Some(record.latency.get(&Series::Delivery)?.max_us as f64 / 1e3)))
}

fn latency(row: &Row<'_>) -> Vec<String> {
    let quantile = |series, name| cell(row.quantile_ms(series, name));
    vec![
        row.subject.to_string(),
        row.verdicts.clone(),
        cell(row.figure(|figures| Some(figures.delivered_per_s))),
        spread_cell(row.quantile_ms(Series::Delivery, "p50")),
        quantile(Series::Delivery, "p90"),
        spread_cell(row.quantile_ms(Series::Delivery, "p99")),
        quantile(Series::Delivery, "p99_9"),
        cell(max_ms(row)),
        quantile(Series::DeliveryUncorrected, "p50"),
        quantile(Series::DeliveryUncorrected, "p99"),
        quantile(Series::Lateness, "p99"),
    ]
}

fn cost(row: &Row<'_>, floor: &[InRound]) -> Vec<String> {
    vec![
        row.subject.to_string(),
        spread_cell(row.figure(|figures| figures.server_cpu_us_per_message)),
        spread_cell(ratio(&cpu(row), floor)),
        cell(row.figure(|figures| figures.generator_cpu_us_per_message)),
        cell(row.figure(|figures| figures.down_bytes_per_message)),
        cell(row.figure(|figures| figures.up_bytes_per_message)),
        cell(row.figure(|figures| figures.requests_per_message)),
        cell(row.figure(|figures| figures.writes_per_message)),
        cell(row.figure(|figures| figures.messages_per_batch)),
        row.figure(|figures| figures.empty_share)
            .map_or_else(|| DASH.to_owned(), |share| format!("{:.0} %", share.value * 100.0)),
        cell(row.figure(|figures| figures.server_bytes_per_connection.map(|bytes| bytes / 1024.0))),
    ]
}

fn cell(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(|| DASH.to_owned(), |estimate| number(estimate.value))
}

fn spread_cell(estimate: Option<Estimate>) -> String {
    match estimate {
        Some(Estimate { value, interval: Some((low, high)), .. }) => {
            format!("{} [{}–{}]", number(value), number(low), number(high))
        }
        other => cell(other),
    }
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).enumerate().map(|(at, (cell, width))| {
            if at < 2 && head[1] == "verdict" || at == 0 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut out = line(&mut head.iter().copied());
    for row in rows {
        out.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["sse".to_owned(), "1".to_owned()], vec!["http-streaming".to_owned(), "100".to_owned()]];
        assert_eq!(table(&["x", "µs"], &rows), "x                µs\nsse               1\nhttp-streaming  100\n");
    }
}
