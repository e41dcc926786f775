//! Exhibit 10: how latency and cost go with what was swept.

use results::Series;
use wire::Transport;

use super::Sheet;
use super::csv::{Csv, cell};
use super::curves::{Curve, Spot, fitting, name_ends, names_width};
use super::draw::{Anchor, Area, Panel, SIZE, SMALL, SOFT, Scene, WIDTH, look};
use super::job::{Job, Row, Sweep, written};
use crate::stats::Estimate;

/// How a row has a figure.
type Of = fn(&Row<'_>) -> Option<Estimate>;
/// What goes up in each panel.
const FIGURES: [(&str, &str, Of); 3] = [
    ("delivery_p50_ms", "median delivery latency, ms", |row| row.quantile_ms(Series::Delivery, "p50")),
    ("delivery_p99_ms", "99th percentile of delivery latency, ms", |row| row.quantile_ms(Series::Delivery, "p99")),
    ("server_cpu_us_per_message", "µs of server CPU per delivered message", |row| {
        row.figure(|figures| figures.server_cpu_us_per_message)
    }),
];
/// Least height of a panel.
const HEIGHT: f64 = 190.0;

pub(super) fn exhibit(job: &Job<'_>, sweep: &Sweep<'_>) -> Option<Sheet> {
    let mut csv = Csv::new(&[sweep.key, "transport", "verdict", "runs", "figure", "value", "low", "high"]);
    let panels = FIGURES.iter().map(|(figure, name, of)| {
        let curves = Transport::ALL.into_iter().filter_map(|transport| curve(sweep, transport, figure, *of, &mut csv));
        (*name, curves.collect::<Vec<_>>())
    });
    let panels: Vec<(&str, Vec<Curve>)> = panels.filter(|(_, curves)| !curves.is_empty()).collect();
    if panels.is_empty() {
        return None;
    }
    let title = format!("Latency and cost over {}", sweep.key);
    let (mut scene, mut top) = Scene::titled(&title, &sweep.about(job));
    let margin = panels.iter().map(|(_, curves)| names_width(curves)).fold(0.0, f64::max);
    for (name, curves) in &panels {
        let height = HEIGHT.max(curves.len() as f64 * SIZE * 1.25);
        let y = fitting(curves.iter().flat_map(Curve::heights).collect());
        let panel = Panel {
            area: Area { left: 66.0, top: top + 26.0, right: WIDTH - margin, bottom: top + 26.0 + height },
            x: sweep.scale(),
            y,
        };
        panel.axes(&mut scene, sweep.key, name);
        curves.iter().enumerate().for_each(|(place, curve)| curve.draw(&mut scene, &panel, place));
        name_ends(&mut scene, &panel, curves);
        top = panel.area.bottom + 58.0;
    }
    let note = "upright lines: 95 % intervals from the runs · hollow, dashed: overloaded";
    scene.text((12.0, top), note, SMALL, Anchor::Start, SOFT);
    scene.height = top + 14.0;
    Some(Sheet {
        name: job.stem("10-over-sweep", &sweep.stem()),
        title,
        caption: format!(
            "One line a transport over {}; medians over runs with 95 % intervals from the runs (with one run, of its own sample). Where a \
             server could not keep up its marker is hollow; where no run was sound or overloaded there is none.",
            sweep.key
        ),
        scene,
        csv,
    })
}

fn curve(sweep: &Sweep<'_>, transport: Transport, figure: &str, of: Of, csv: &mut Csv) -> Option<Curve> {
    let mut spots = Vec::new();
    for (at, row) in sweep.rows(transport) {
        let Some(estimate) = of(row) else { continue };
        let x = sweep.value(at);
        spots.push(Spot { x, y: estimate.value, interval: estimate.interval, hollow: row.overloaded });
        let ends = estimate.interval.unzip();
        csv.row([
            written(&sweep.points[at].1),
            transport.to_string(),
            row.verdict(),
            estimate.runs.to_string(),
            figure.to_owned(),
            cell(estimate.value),
            cell(ends.0),
            cell(ends.1),
        ]);
    }
    let curve = Curve { look: look(transport), name: transport.to_string(), spots, runs: Vec::new(), twin: Vec::new() };
    (!curve.spots.is_empty()).then_some(curve)
}
