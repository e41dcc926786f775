//! The table at the end of a job: who delivered how fast, at what cost, and whether the figures may be used.

use std::fmt::Write;

use results::{Figures, RunRecord, Series, VerdictKind, quantile};
use wire::Transport;

use crate::stats::{Estimate, over_runs};

const DASH: &str = "–";

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

/// A transport's runs: all of them for the verdicts, those of one kind for the figures.
struct Row<'a> {
    transport: Transport,
    verdicts: String,
    shown: Vec<&'a RunRecord>,
}

fn block(records: &[&RunRecord]) -> String {
    let rows: Vec<_> = Transport::ALL.into_iter().filter_map(|transport| row(transport, records)).collect();
    let floor = rows.iter().find(|row| row.transport == Transport::Tcp).and_then(|row| row.cpu());
    let latency = rows.iter().map(Row::latency).collect::<Vec<_>>();
    let cost = rows.iter().map(|row| row.cost(floor)).collect::<Vec<_>>();
    let mut out = String::new();
    out.push_str(&table(
        &["delivery, ms", "verdict", "msg/s", "p50", "p90", "p99", "p99.9", "max", "p50 unc.", "p99 unc.", "late p99"],
        &latency,
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
        &cost,
    ));
    let reasons: Vec<_> = records.iter().filter(|record| record.verdict.kind != VerdictKind::Sound).collect();
    for record in reasons {
        writeln!(
            out,
            "run {} {}: {}: {}",
            record.run,
            record.transport,
            record.verdict.kind,
            record.verdict.reasons.join("; ")
        )
        .expect("a String takes everything");
    }
    out
}

/// Sound runs are shown; where there is none, overloaded ones are, under their own name; others have no figures.
fn row<'a>(transport: Transport, records: &[&'a RunRecord]) -> Option<Row<'a>> {
    let of = |kind| -> Vec<&'a RunRecord> {
        let own = records.iter().filter(|record| record.transport == transport);
        own.filter(|record| record.verdict.kind == kind).copied().collect()
    };
    let kinds = [VerdictKind::Sound, VerdictKind::Overloaded, VerdictKind::Wrong, VerdictKind::Invalid];
    let counted: Vec<_> = kinds.iter().map(|kind| (kind, of(*kind).len())).filter(|(_, count)| *count > 0).collect();
    let verdicts = match counted.as_slice() {
        [] => return None,
        [(kind, 1)] => kind.to_string(),
        several => several.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", "),
    };
    let sound = of(VerdictKind::Sound);
    let shown = if sound.is_empty() { of(VerdictKind::Overloaded) } else { sound };
    Some(Row { transport, verdicts, shown })
}

impl Row<'_> {
    fn figure(&self, of: impl Fn(&Figures) -> Option<f64>) -> Option<Estimate> {
        let values: Vec<_> = self.shown.iter().filter_map(|record| of(&Figures::of(record))).collect();
        over_runs(&values)
    }

    fn cpu(&self) -> Option<f64> {
        self.figure(|figures| figures.server_cpu_us_per_message).map(|estimate| estimate.value)
    }

    /// Median over the runs; with one run its own interval stands in for that of the runs.
    fn quantile_ms(&self, series: Series, name: &str) -> Option<Estimate> {
        let all: Vec<_> = self.shown.iter().filter_map(|record| quantile(record, series, name)).collect();
        let mut estimate = over_runs(&all.iter().map(|quantile| quantile.us as f64 / 1e3).collect::<Vec<_>>())?;
        if let [only] = all.as_slice() {
            estimate.interval = Some((only.low_us as f64 / 1e3, only.high_us as f64 / 1e3));
        }
        Some(estimate)
    }

    fn max_ms(&self) -> Option<Estimate> {
        let maxima = self.shown.iter().filter_map(|record| record.latency.get(&Series::Delivery));
        over_runs(&maxima.map(|latency| latency.max_us as f64 / 1e3).collect::<Vec<_>>())
    }

    fn latency(&self) -> Vec<String> {
        let quantile = |series, name| cell(self.quantile_ms(series, name));
        vec![
            self.transport.to_string(),
            self.verdicts.clone(),
            cell(self.figure(|figures| Some(figures.delivered_per_s))),
            spread_cell(self.quantile_ms(Series::Delivery, "p50")),
            quantile(Series::Delivery, "p90"),
            spread_cell(self.quantile_ms(Series::Delivery, "p99")),
            quantile(Series::Delivery, "p99_9"),
            cell(self.max_ms()),
            quantile(Series::DeliveryUncorrected, "p50"),
            quantile(Series::DeliveryUncorrected, "p99"),
            quantile(Series::Lateness, "p99"),
        ]
    }

    fn cost(&self, floor: Option<f64>) -> Vec<String> {
        let ratio = self.cpu().zip(floor).map(|(own, floor)| format!("{:.2}", own / floor));
        vec![
            self.transport.to_string(),
            spread_cell(self.figure(|figures| figures.server_cpu_us_per_message)),
            ratio.unwrap_or_else(|| DASH.to_owned()),
            cell(self.figure(|figures| figures.generator_cpu_us_per_message)),
            cell(self.figure(|figures| figures.down_bytes_per_message)),
            cell(self.figure(|figures| figures.up_bytes_per_message)),
            cell(self.figure(|figures| figures.requests_per_message)),
            cell(self.figure(|figures| figures.writes_per_message)),
            cell(self.figure(|figures| figures.messages_per_batch)),
            self.figure(|figures| figures.empty_share)
                .map_or_else(|| DASH.to_owned(), |share| format!("{:.0} %", share.value * 100.0)),
            cell(self.figure(|figures| figures.server_bytes_per_connection.map(|bytes| bytes / 1024.0))),
        ]
    }
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

/// Three figures, as people write them.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 99.5 => format!("{value:.0}"),
        size if size >= 9.95 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
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
    fn three_figures() {
        assert_eq!([0.123, 1.239, 12.39, 123.9, 12390.4].map(number), ["0.12", "1.24", "12.4", "124", "12390"]);
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["sse".to_owned(), "1".to_owned()], vec!["http-streaming".to_owned(), "100".to_owned()]];
        assert_eq!(table(&["x", "µs"], &rows), "x                µs\nsse               1\nhttp-streaming  100\n");
    }
}
