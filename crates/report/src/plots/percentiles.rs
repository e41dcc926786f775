//! Plot 1: latency by percentile, from the scheduled instant and from the send instant.

use results::{Distribution, Series};

use super::Plot;
use super::csv::{Csv, cell};
use super::curves::{Curve, PlotPoint, name_ends, names_width};
use super::data::{PlotData, PointData, SeriesData, behind};
use super::draw::{Area, Chart, Figure, Scale, WIDTH, nines, tick};
use crate::stats::{median, order_interval};

/// Points per nine.
const STEPS: u32 = 16;
/// Maximum number of nines.
const NINES_MAX: u32 = 6;

pub(super) fn plot(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let mut csv = Csv::new(&["point", "transport", "verdict", "run", "percentile", "delivery_ms", "uncorrected_ms"]);
    let rows = point.rows.iter().filter(|row| !row.runs.is_empty());
    let curves: Vec<Curve> = rows.filter_map(|row| curve(point, row, &mut csv)).collect();
    let ends = curves.iter().filter_map(|curve| curve.spots.last().map(|spot| nines(spot.x)));
    let most = ends.fold(1.0, f64::max);
    if curves.is_empty() {
        return None;
    }
    let title = "Delivery latency by percentile";
    let (mut figure, top) = Figure::titled(title, &job.about(point));
    let area = Area { left: 64.0, top: top + 26.0, right: WIDTH - names_width(&curves), bottom: top + 400.0 };
    let mut chart = Chart::new(&figure, area, Scale::Nines(most), Scale::log(curves.iter().flat_map(Curve::heights)));
    chart.axes(&figure, "share of deliveries with at most this latency", "delivery latency, ms");
    figure.note((12.0, area.bottom + 64.0), &key(&curves));
    figure.height = area.bottom + 74.0;
    for (place, curve) in curves.iter().enumerate() {
        let value = |spot: &PlotPoint| format!("{} % within {} ms", tick(spot.x * 100.0), tick(spot.y));
        curve.draw(&figure, &mut chart, place, &value);
    }
    name_ends(&figure, &chart, &curves);
    Some(Plot {
        name: job.stem("01-latency-by-percentile", point.name),
        title: title.to_owned(),
        caption: format!(
            "Delivery latency from the scheduled instant of a post, every receiver; each further nine of the percentile has the same width. \
             Solid: median over runs; dashed: the same from when the post was sent, without the sender's wait; thin: each run. A line \
             ends where the sample is too small for the percentile. {}.",
            behind(point)
        ),
        figure,
        csv,
    })
}

/// The lines that are there.
fn key(curves: &[Curve]) -> String {
    let mut key = "solid: from the scheduled instant".to_owned();
    if curves.iter().any(|curve| !curve.twin.is_empty()) {
        key += " · dashed: from when the post was sent";
    }
    if curves.iter().any(|curve| !curve.runs.is_empty()) {
        key += " · thin: each run";
    }
    key
}

/// Shares at equal steps of nines, as far as the number of independent messages supports.
fn shares(independent: u64) -> Vec<f64> {
    let all = (0..=NINES_MAX * STEPS).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / f64::from(STEPS)));
    all.take_while(|share| *share <= 0.0 || order_interval(independent, *share).is_some()).collect()
}

fn curve(point: &PointData<'_>, row: &SeriesData<'_>, csv: &mut Csv) -> Option<Curve> {
    let samples = row.runs.iter().filter_map(|run| {
        let whole = run.whole(Series::DeliveryLatency);
        let independent = run.record.latency.get(&Series::DeliveryLatency)?.independent;
        (!whole.is_empty()).then(|| (run.record.run, whole, run.whole(Series::DeliveryLatencyFromSend), independent))
    });
    let samples: Vec<_> = samples.collect();
    let carried = shares(samples.iter().map(|(.., independent)| *independent).min()?);
    let ms = |whole: &Distribution, share: f64| whole.quantile(share).map(|us| us as f64 / 1e3);
    let over = |of: &dyn Fn(usize) -> Option<f64>| median(&(0..samples.len()).filter_map(of).collect::<Vec<_>>());
    let (mut spots, mut twin) = (Vec::new(), Vec::new());
    for share in &carried {
        let corrected = over(&|at| ms(&samples[at].1, *share))?;
        spots.push(PlotPoint { x: *share, y: corrected, interval: None, hollow: row.is_overloaded() });
        let uncorrected = over(&|at| ms(&samples[at].2, *share));
        twin.extend(uncorrected.map(|y| (*share, y)));
        for (run, whole, blind, _) in &samples {
            csv.row([
                point.name.to_owned(),
                row.subject.to_string(),
                row.verdict(),
                run.to_string(),
                cell(share * 100.0),
                cell(ms(whole, *share)),
                cell(ms(blind, *share)),
            ]);
        }
    }
    let runs = samples.iter().map(|(_, whole, ..)| {
        carried.iter().filter_map(|share| Some((*share, ms(whole, *share)?))).collect::<Vec<_>>()
    });
    let runs = if samples.len() > 1 { runs.collect() } else { Vec::new() };
    Some(Curve { look: row.style(), name: row.name(), spots, runs, twin })
}
