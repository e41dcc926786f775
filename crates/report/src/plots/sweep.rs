//! Plot 13: latency and cost over a sweep.

use results::{MetricId, Subject};

use super::csv::{Csv, cell};
use super::curves::{Curve, PlotPoint, fitting, name_ends, names_width};
use super::data::{PlotData, Sweep, subject_name, written};
use super::draw::{Area, Chart, Figure, SIZE, SubjectStyle, WIDTH, tick};
use super::{AROUND, Plot};

/// Metrics of the panels.
const METRICS: [(MetricId, &str); 3] = [
    (MetricId::DeliveryP50, "median delivery latency, ms"),
    (MetricId::DeliveryP99, "99th percentile of delivery latency, ms"),
    (MetricId::ServerCpuPerMessage, "µs of server CPU per delivered message"),
];
/// Minimum height of a panel.
const HEIGHT: f64 = 190.0;

pub(super) fn plot(job: &PlotData<'_>, sweep: &Sweep<'_>) -> Option<Plot> {
    let mut csv = Csv::new(&[sweep.key, "transport", "verdict", "runs", "figure", "value", "low", "high"]);
    let panels = METRICS.iter().map(|(metric, name)| {
        let curves = job.styles.iter().filter_map(|who| curve(sweep, who, *metric, &mut csv));
        (*name, curves.collect::<Vec<_>>())
    });
    let panels: Vec<(&str, Vec<Curve>)> = panels.filter(|(_, curves)| !curves.is_empty()).collect();
    if panels.is_empty() {
        return None;
    }
    let title = format!("Latency and cost over {}", sweep.key);
    let (mut figure, mut top) = Figure::titled(&title, &sweep.about(job));
    let margin = panels.iter().map(|(_, curves)| names_width(curves)).fold(0.0, f64::max);
    for (name, curves) in &panels {
        let height = HEIGHT.max(curves.len() as f64 * SIZE * 1.25);
        let y = fitting(curves.iter().flat_map(Curve::heights).collect());
        let area = Area { left: 66.0, top: top + 26.0, right: WIDTH - margin, bottom: top + 26.0 + height };
        let mut chart = Chart::new(&figure, area, sweep.scale(), y);
        chart.axes(&figure, sweep.key, name);
        let value = |spot: &PlotPoint| format!("{} at {} {}", tick(spot.y), sweep.key, sweep.text(spot.x));
        curves.iter().enumerate().for_each(|(place, curve)| curve.draw(&figure, &mut chart, place, &value));
        name_ends(&figure, &chart, curves);
        top = area.bottom + 58.0;
    }
    figure.note((12.0, top), &format!("vertical lines: {AROUND} · hollow, dashed: overloaded"));
    figure.height = top + 14.0;
    Some(Plot {
        name: job.stem("13-over-sweep", &sweep.stem()),
        title,
        caption: format!(
            "One line per transport over {}; medians over runs with {AROUND} (for a single run, the 95 % interval over its messages). Hollow markers are \
             overloaded; there is no marker without a valid or overloaded run.",
            sweep.key
        ),
        figure,
        csv,
    })
}

fn curve(
    sweep: &Sweep<'_>,
    (subject, look): &(Subject, SubjectStyle),
    metric: MetricId,
    csv: &mut Csv,
) -> Option<Curve> {
    let mut spots = Vec::new();
    for (at, row) in sweep.rows(subject) {
        let Some(estimate) = row.shown(metric) else { continue };
        let x = sweep.value(at);
        spots.push(PlotPoint { x, y: estimate.value, interval: estimate.ends(), hollow: row.is_overloaded() });
        let ends = estimate.ends().unzip();
        csv.row([
            written(&sweep.points[at].1),
            subject.to_string(),
            row.verdict(),
            estimate.runs.to_string(),
            metric.name().to_owned(),
            cell(estimate.value),
            cell(ends.0),
            cell(ends.1),
        ]);
    }
    let curve = Curve { look: *look, name: subject_name(subject), spots, runs: Vec::new(), twin: Vec::new() };
    (!curve.spots.is_empty()).then_some(curve)
}
