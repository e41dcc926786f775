//! Plot 8: latency per second, one panel per transport. Seconds are those of the schedule, which
//! stands still between slices.

use results::{RunRecord, Second};

use super::Plot;
use super::csv::{Csv, cell};
use super::data::{PlotData, PointData, SeriesData, behind};
use super::draw::{Chart, Figure, Grid, SOFT, Scale, Stroke, WIDTH, panels};
use crate::stats::{median, order_interval};

/// Charts in a row.
const COLUMNS: usize = 3;

type Of = fn(&Second) -> Option<u64>;
/// Lines with width and dash.
const LINES: [(&str, Of, f64, bool); 3] = [
    ("p50", |second| second.delivery_p50_us, 2.4, false),
    ("p99", p99, 1.4, false),
    ("max", |second| second.delivery_max_us, 1.2, true),
];

/// The 99th percentile of seconds with enough messages.
fn p99(second: &Second) -> Option<u64> {
    order_interval(second.posted, 0.99).and(second.delivery_p99_us)
}

pub(super) fn plot(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let has_seconds = |row: &&SeriesData<'_>| readings(point, row).any(|(_, second)| second.second > 0);
    let rows: Vec<&SeriesData<'_>> = point.rows.iter().filter(has_seconds).collect();
    if rows.is_empty() {
        return None;
    }
    let mut csv = Csv::new(&["point", "transport", "verdict", "run", "second", "p50_ms", "p99_ms", "max_ms"]);
    let title = "Delivery latency over time";
    let (mut figure, top) = Figure::titled(title, &job.about(point));
    let has = |of: Of| rows.iter().flat_map(|row| readings(point, row)).any(|(_, second)| of(second).is_some());
    let key = [
        "thick: p50",
        if has(p99) { " · thin: p99" } else { "" },
        " · dashed: maximum of the second",
        if has_several_runs(&rows) { " · pale: each run" } else { "" },
        warm_up_key(point),
    ];
    figure.note((12.0, top), &key.concat());
    let values = rows.iter().flat_map(|row| readings(point, row)).flat_map(|(_, second)| {
        LINES.iter().filter_map(|(_, of, ..)| of(second)).map(|us| us as f64 / 1e3).collect::<Vec<_>>()
    });
    let y = Scale::log(values);
    let x = seconds_scale(point, &rows);
    let (mut charts, bottom) = small_charts(&figure, rows.len(), top + 6.0, (&x, &y), warm_up_s(point));
    for (row, chart) in rows.iter().zip(&mut charts) {
        figure.group(&row.name(), || {
            head(&figure, chart, row);
            lines(chart, (point, row));
        });
        write(&mut csv, point, row);
    }
    foot(&mut figure, bottom, "delivery latency, ms");
    Some(Plot {
        name: job.stem("08-latency-over-time", point.name),
        title: title.to_owned(),
        caption: format!(
            "Median, 99th percentile (for seconds with at least 368 messages) and maximum delivery latency of the messages received in each \
             second up to the end of the window; thick and dashed lines are medians over runs, pale lines the runs. All panels have the \
             same axes. {}.",
            behind(point)
        ),
        figure,
        csv,
    })
}

/// Whether there are lines of single runs.
pub(super) fn has_several_runs(rows: &[&SeriesData<'_>]) -> bool {
    rows.iter().any(|row| row.runs.len() > 1)
}

pub(super) fn warm_up_s(point: &PointData<'_>) -> f64 {
    point.set.and_then(|set| set.number("phases.warm_up_s")).unwrap_or(0.0)
}

/// Charts of equal axes in rows of three, with the first seconds shaded, and the total height.
pub(super) fn small_charts(
    figure: &Figure,
    count: usize,
    top: f64,
    (x, y): (&Scale, &Scale),
    shaded_s: f64,
) -> (Vec<Chart>, f64) {
    let (areas, bottom) = panels(count, (top, 128.0), (62.0, WIDTH - 14.0), COLUMNS);
    let charts = areas.iter().enumerate().map(|(at, area)| {
        let mut chart = Chart::new(figure, *area, x.clone(), y.clone());
        if shaded_s > 0.0 {
            chart.band(0.0..shaded_s, SOFT, 0.16);
        }
        let is_last = areas.get(at + COLUMNS).is_none();
        chart.grid(Grid::labelled(is_last), Grid::labelled(at % COLUMNS == 0));
        chart
    });
    (charts.collect(), bottom)
}

/// What the shade means.
pub(super) fn warm_up_key(point: &PointData<'_>) -> &'static str {
    if warm_up_s(point) > 0.0 { " · shaded: warm-up" } else { "" }
}

/// Heading of a small panel: marker and name of the transport.
pub(super) fn head(figure: &Figure, chart: &Chart, row: &SeriesData<'_>) {
    let left = chart.area.left + 6.0;
    let look = (row.style(), row.is_overloaded());
    figure.name_within((left, chart.area.top - 11.0), &row.name(), look, chart.area.right - left);
}

/// Common axis titles below the panels.
pub(super) fn foot(figure: &mut Figure, bottom: f64, what: &str) {
    let axes = format!("x: seconds from the start of the warm-up · y: {what}");
    figure.centred_note((f64::midpoint(58.0, WIDTH), bottom + 42.0), &axes);
    figure.height = bottom + 54.0;
}

/// Number of whole seconds before the end of a long window; 0 for short slices, between which time
/// passes.
pub(super) fn whole_seconds(point: &PointData<'_>, record: &RunRecord) -> u32 {
    let whole = (warm_up_s(point) + record.planned.window_us as f64 / 1e6 + 1e-9) as u32;
    if record.planned.slices == 1 { whole } else { 0 }
}

/// These seconds.
pub(super) fn seconds<'a>(point: &PointData<'_>, record: &'a RunRecord) -> impl Iterator<Item = &'a Second> + use<'a> {
    let whole = whole_seconds(point, record);
    record.seconds.iter().filter(move |second| second.second < whole)
}

/// Axis of seconds for all runs.
pub(super) fn seconds_scale(point: &PointData<'_>, rows: &[&SeriesData<'_>]) -> Scale {
    let records = rows.iter().flat_map(|row| row.records());
    let last = records.filter_map(|record| seconds(point, record).map(|second| second.second).max()).max();
    Scale::Linear { low: 0.0, high: f64::from(last.unwrap_or(0)).max(1.0) }
}

fn readings<'a>(point: &'a PointData<'_>, row: &'a SeriesData<'a>) -> impl Iterator<Item = (u32, &'a Second)> {
    let all = row.records().flat_map(|record| seconds(point, record).map(move |second| (record.run, second)));
    all.filter(|(_, second)| second.delivery_p50_us.is_some())
}

fn lines(chart: &mut Chart, (point, row): (&PointData<'_>, &SeriesData<'_>)) {
    let colour = row.style().colour;
    for (_, of, width, dashed) in LINES {
        let ms = |second: &Second| of(second).map(|us| us as f64 / 1e3);
        if row.runs.len() > 1 {
            for record in row.records() {
                let points = seconds(point, record).filter_map(|second| Some((f64::from(second.second), ms(second)?)));
                chart.line(points, Stroke::new(colour, 0.8).pale(0.35));
            }
        }
        chart.line(over_runs((point, row), ms), Stroke::new(colour, width).dashed(dashed));
    }
}

/// Median over runs, for each second.
pub(super) fn over_runs(
    (point, row): (&PointData<'_>, &SeriesData<'_>),
    of: impl Fn(&Second) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let mut by_second: std::collections::BTreeMap<u32, Vec<f64>> = std::collections::BTreeMap::new();
    for second in row.records().flat_map(|record| seconds(point, record)) {
        if let Some(value) = of(second) {
            by_second.entry(second.second).or_default().push(value);
        }
    }
    by_second.into_iter().filter_map(|(second, values)| Some((f64::from(second), median(&values)?))).collect()
}

fn write(csv: &mut Csv, point: &PointData<'_>, row: &SeriesData<'_>) {
    for (run, second) in readings(point, row) {
        let cells = LINES.iter().map(|(_, of, ..)| cell(of(second).map(|us| us as f64 / 1e3)));
        let place = [point.name.to_owned(), row.subject.to_string(), row.verdict(), run.to_string()];
        csv.row(place.into_iter().chain([second.second.to_string()]).chain(cells));
    }
}
