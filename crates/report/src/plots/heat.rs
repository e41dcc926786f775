//! Plot 9: distribution of latency over time as a heat map, one panel per transport.

use results::{Interval, Run, Series};

use super::Plot;
use super::csv::{Csv, cell};
use super::data::{PlotData, PointData, SeriesData, behind};
use super::draw::{Area, Chart, Figure, HEAT, SMALL, Scale, text_width};
use super::over_time::{foot, head, small_charts, whole_seconds};

/// Maximum number of columns; longer runs have several seconds per column.
const COLUMNS_MAX: usize = 60;
/// Number of latency bands.
const BANDS: usize = 36;
/// Lower bounds of the shares for each opacity.
const LEVELS: [(f64, &str, f64); 6] = [
    (0.0, "less", 0.10),
    (0.003, "0.3", 0.22),
    (0.01, "1", 0.38),
    (0.03, "3", 0.56),
    (0.10, "10", 0.78),
    (0.30, "30 % or more", 1.0),
];

pub(super) fn plot(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let rows = point.rows.iter().filter_map(|row| Some((row, middle_run(point, row)?)));
    let rows: Vec<(&SeriesData<'_>, &Run)> = rows.collect();
    let values = rows.iter().flat_map(|(_, run)| {
        intervals(point, run).flat_map(|interval| {
            let counts = interval.distribution.counts();
            [counts.first(), counts.last()].into_iter().flatten().map(|(us, _)| *us as f64 / 1e3)
        })
    });
    let y = Scale::log(values);
    let last = rows.iter().flat_map(|(_, run)| intervals(point, run)).map(|interval| interval.second).max()?;
    if last == 0 {
        return None;
    }
    let every = (last as usize + 1).div_ceil(COLUMNS_MAX);
    let title = "Distribution of delivery latency over time";
    let (mut figure, top) = Figure::titled(title, &job.about(point));
    key(&figure, top);
    let mut csv =
        Csv::new(&["point", "transport", "verdict", "run", "from_second", "low_ms", "high_ms", "share_percent"]);
    let x = Scale::Linear { low: 0.0, high: (last + 1) as f64 };
    let (mut charts, bottom) = small_charts(&figure, rows.len(), top + 10.0, (&x, &y), 0.0);
    for ((row, run), chart) in rows.iter().zip(&mut charts) {
        let place = [point.name.to_owned(), row.subject.to_string(), row.verdict(), run.record.run.to_string()];
        figure.group(&row.name(), || {
            head(&figure, chart, row);
            cells(chart, (intervals(point, run), every), |cells| csv.row(place.iter().cloned().chain(cells)));
        });
    }
    foot(&mut figure, bottom, "delivery latency, ms");
    Some(Plot {
        name: job.stem("09-latency-heat-map", point.name),
        title: title.to_owned(),
        caption: format!(
            "Each column is {every} s, each cell a band of delivery latency (ms, log axis, the same in all panels); stronger colours are \
             larger shares of the deliveries of a column. One run per transport: the one with the middle median. {}.",
            behind(point)
        ),
        figure,
        csv,
    })
}

fn key(figure: &Figure, top: f64) {
    const NAME: &str = "share of the deliveries of a column:";
    figure.note((12.0, top), NAME);
    let mut left = 24.0 + text_width(NAME, SMALL);
    for (_, name, strength) in LEVELS {
        let area = Area { left, top: top - 11.0, right: left + 14.0, bottom: top + 1.0 };
        figure.fill(area, HEAT, strength);
        figure.note((left + 19.0, top), name);
        left += 34.0 + text_width(name, SMALL);
    }
}

fn intervals<'a>(point: &PointData<'_>, run: &'a Run) -> impl Iterator<Item = &'a Interval> + use<'a> {
    let whole = i64::from(whole_seconds(point, &run.record));
    let all = run.intervals.get(&Series::DeliveryLatency).into_iter().flatten();
    all.filter(move |interval| (0..whole).contains(&interval.second) && !interval.distribution.is_empty())
}

/// The run with the middle median latency.
fn middle_run<'a>(point: &PointData<'_>, row: &SeriesData<'a>) -> Option<&'a Run> {
    let median = |run: &&Run| {
        let latency = run.record.latency.get(&Series::DeliveryLatency);
        (latency.and_then(|latency| latency.quantiles.get("p50")).map(|quantile| quantile.us), run.record.run)
    };
    let mut runs: Vec<&Run> = row.runs.iter().copied().filter(|run| intervals(point, run).next().is_some()).collect();
    runs.sort_by_key(median);
    runs.get(runs.len().checked_sub(1)? / 2).copied()
}

fn cells<'a>(
    chart: &mut Chart,
    (intervals, every): (impl Iterator<Item = &'a Interval>, usize),
    mut row: impl FnMut([String; 4]),
) {
    let Scale::Log { low, high } = chart.y else { return };
    let mut columns: std::collections::BTreeMap<usize, [u64; BANDS]> = std::collections::BTreeMap::new();
    for interval in intervals {
        let Ok(second) = usize::try_from(interval.second) else { continue };
        let column = columns.entry(second / every).or_insert([0; BANDS]);
        for (us, count) in interval.distribution.counts() {
            let place = chart.y.place(*us as f64 / 1e3).clamp(0.0, 1.0);
            column[((place * BANDS as f64) as usize).min(BANDS - 1)] += count;
        }
    }
    let edge = |band: usize| low * (high / low).powf(band as f64 / BANDS as f64);
    let mut drawn: Vec<(usize, [(f64, f64); 2])> = Vec::new();
    for (column, bands) in &columns {
        let all: u64 = bands.iter().sum();
        for (band, count) in bands.iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = *count as f64 / all as f64;
            let (from, to) = ((column * every) as f64, ((column + 1) * every) as f64);
            let level = LEVELS.iter().rposition(|(least, ..)| share >= *least).unwrap_or(0);
            drawn.push((level, [(from, edge(band)), (to, edge(band + 1))]));
            row([cell(from), cell(edge(band)), cell(edge(band + 1)), cell(share * 100.0)]);
        }
    }
    // Sorted by opacity, so that adjacent cells share an SVG element.
    drawn.sort_by_key(|(level, _)| *level);
    drawn.into_iter().for_each(|(level, corners)| chart.fill(corners, HEAT, LEVELS[level].2));
}
