//! Plots 10 and 11: delivered and offered messages, over time and over a sweep.

use results::{MetricId, RunRecord};

use super::csv::{Csv, cell};
use super::curves::{Curve, PlotPoint, fitting, name_ends, names_width};
use super::data::{PlotData, PointData, SeriesData, Sweep, behind, offered_per_s, subject_name};
use super::draw::{Area, Chart, Figure, SOFT, Scale, Stroke, WIDTH, tick};
use super::over_time::{
    foot, has_several_runs, head, over_runs as by_second, seconds, seconds_scale, small_charts, warm_up_key, warm_up_s,
};
use super::{AROUND, Plot};
use crate::stats::{median, over_runs};

pub(super) fn over_time(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let has_seconds = |row: &&SeriesData<'_>| row.records().any(|record| seconds(point, record).nth(1).is_some());
    let rows: Vec<&SeriesData<'_>> = point.rows.iter().filter(has_seconds).collect();
    if rows.is_empty() {
        return None;
    }
    let title = "Delivered and offered messages over time";
    let (mut figure, top) = Figure::titled(title, &job.about(point));
    let runs = if has_several_runs(&rows) { " · pale: each run" } else { "" };
    let key =
        format!("coloured: delivered · grey, dashed: offered (posts sent × receivers){runs}{}", warm_up_key(point));
    figure.note((12.0, top), &key);
    let values = rows.iter().flat_map(|row| row.records()).flat_map(|record| {
        let fanout = receivers(record);
        seconds(point, record).flat_map(move |second| [second.delivered as f64, second.posted as f64 * fanout])
    });
    let y = Scale::from_zero(values);
    let x = seconds_scale(point, &rows);
    let (mut charts, bottom) = small_charts(&figure, rows.len(), top + 6.0, (&x, &y), warm_up_s(point));
    let mut csv =
        Csv::new(&["point", "transport", "verdict", "run", "second", "delivered_per_s", "offered_deliveries_per_s"]);
    for (row, chart) in rows.iter().zip(&mut charts) {
        figure.group(&row.name(), || {
            head(&figure, chart, row);
            lines(chart, (point, row));
        });
        for record in row.records() {
            for second in seconds(point, record) {
                let place = [point.name.to_owned(), row.subject.to_string(), row.verdict(), record.run.to_string()];
                let offered = second.posted as f64 * receivers(record);
                let values = [second.second.to_string(), second.delivered.to_string(), cell(offered)];
                csv.row(place.into_iter().chain(values));
            }
        }
    }
    foot(&mut figure, bottom, "messages per second");
    Some(Plot {
        name: job.stem("10-delivered-and-offered", point.name),
        title: title.to_owned(),
        caption: format!(
            "Messages delivered in each second, and deliveries required by the posts sent in it; lines are medians over runs, pale lines the \
             runs. Whole seconds up to the end of the window. {}.",
            behind(point)
        ),
        figure,
        csv,
    })
}

fn receivers(record: &RunRecord) -> f64 {
    record.planned.deliveries_in_window as f64 / record.planned.posts_in_window.max(1) as f64
}

fn lines(chart: &mut Chart, (point, row): (&PointData<'_>, &SeriesData<'_>)) {
    let colour = row.style().colour;
    if row.runs.len() > 1 {
        for record in row.records() {
            let points = seconds(point, record).map(|second| (f64::from(second.second), second.delivered as f64));
            chart.line(points, Stroke::new(colour, 0.8).pale(0.35));
        }
    }
    chart.line(by_second((point, row), |second| Some(second.delivered as f64)), Stroke::new(colour, 2.2));
    let fanout = row.records().next().map_or(0.0, receivers);
    let offered = by_second((point, row), |second| Some(second.posted as f64 * fanout));
    chart.line(offered, Stroke::new(SOFT, 1.3).dashed(true));
}

/// The curves of a sweep: what every subject delivered, and what the plan offered at each point.
fn sweep_curves(job: &PlotData<'_>, sweep: &Sweep<'_>, csv: &mut Csv) -> (Vec<Curve>, Vec<(f64, f64)>) {
    let mut curves = Vec::new();
    let mut offered: Vec<(f64, f64)> = Vec::new();
    for (subject, style) in &job.styles {
        let mut spots = Vec::new();
        for (at, row) in sweep.rows(subject) {
            let Some(delivered) = over_runs(&row.each(|record| MetricId::DeliveredPerS.value(record))) else {
                continue;
            };
            let wanted = median(&row.each(|record| Some(offered_per_s(record)))).unwrap_or(0.0);
            let x = sweep.value(at);
            if offered.iter().all(|(known, _)| *known != x) {
                offered.push((x, wanted));
            }
            spots.push(PlotPoint { x, y: delivered.value, interval: delivered.range(), hollow: row.is_overloaded() });
            let ends = delivered.range().unzip();
            csv.row([
                super::data::written(&sweep.points[at].1),
                subject.to_string(),
                row.verdict(),
                delivered.runs.to_string(),
                cell(delivered.value),
                cell(ends.0),
                cell(ends.1),
                cell(wanted),
            ]);
        }
        let curve = Curve { look: *style, name: subject_name(subject), spots, runs: Vec::new(), twin: Vec::new() };
        curves.extend((!curve.spots.is_empty()).then_some(curve));
    }
    offered.sort_by(|a, b| a.0.total_cmp(&b.0));
    (curves, offered)
}

pub(super) fn over_sweep(job: &PlotData<'_>, sweep: &Sweep<'_>) -> Option<Plot> {
    let mut csv = Csv::new(&[
        sweep.key,
        "transport",
        "verdict",
        "runs",
        "delivered_per_s",
        "low_per_s",
        "high_per_s",
        "offered_per_s",
    ]);
    let (curves, offered) = sweep_curves(job, sweep, &mut csv);
    let title = format!("Delivered messages over {}", sweep.key);
    let (mut figure, top) = Figure::titled(&title, &sweep.about(job));
    let y = fitting(curves.iter().flat_map(Curve::heights).chain(offered.iter().map(|(_, y)| *y)).collect());
    let area = Area { left: 72.0, top: top + 26.0, right: WIDTH - names_width(&curves), bottom: top + 380.0 };
    let mut chart = Chart::new(&figure, area, sweep.scale(), y);
    chart.axes(&figure, sweep.key, "messages per second");
    chart.line(offered, Stroke::new(SOFT, 1.6).dashed(true));
    let value = |spot: &PlotPoint| format!("{} per second at {} {}", tick(spot.y), sweep.key, sweep.text(spot.x));
    curves.iter().enumerate().for_each(|(place, curve)| curve.draw(&figure, &mut chart, place, &value));
    name_ends(&figure, &chart, &curves);
    figure.note((12.0, area.bottom + 64.0), "grey, dashed: offered · hollow: overloaded");
    figure.height = area.bottom + 74.0;
    (!curves.is_empty()).then(|| Plot {
        name: job.stem("11-delivered-over-sweep", &sweep.stem()),
        title,
        caption: format!(
            "Messages delivered per second of the window; medians over runs with {AROUND}. Dashed grey: the scheduled load. Hollow and \
             dashed: overloaded."
        ),
        figure,
        csv,
    })
}
