//! Plot 12: cost over median latency, one curve per transport over a sweep.

use results::{Direction, MetricId, Subject};

use super::csv::{Csv, cell};
use super::curves::{Curve, PlotPoint, fitting, legend, names_width};
use super::data::{PlotData, SeriesData, Sweep, subject_name, written};
use super::draw::{Area, Chart, Figure, SMALL, Scale, SubjectStyle, WIDTH, text_width, tick};
use super::{AROUND, Plot};
use crate::stats::{Estimate, over_runs};

/// Computes a cost of a subject.
type Of = fn(&SeriesData<'_>) -> Option<Estimate>;
/// Costs with their names.
const COSTS: [(&str, Of); 2] = [
    ("µs of server CPU per message", |row| row.estimate(MetricId::ServerCpuPerMessage)),
    ("bytes in both directions per message", |row| {
        let both = [Direction::Down, Direction::Up];
        over_runs(&row.each(|record| {
            let ways = both.map(|way| Some(super::bytes::parts(record, way)?.iter().sum::<f64>()));
            Some(ways[0]? + ways[1]?)
        }))
    }),
];
/// Height of a panel.
const HEIGHT: f64 = 290.0;

/// A curve with the swept value of each point.
struct LatencyForCost {
    curve: Curve,
    values: Vec<String>,
}

pub(super) fn plot(job: &PlotData<'_>, sweep: &Sweep<'_>) -> Option<Plot> {
    let mut csv =
        Csv::new(&[sweep.key, "transport", "verdict", "runs", "staleness_ms", "cost", "value", "low", "high"]);
    let panels: Vec<(&str, Vec<LatencyForCost>)> = COSTS
        .iter()
        .map(|(name, of)| {
            let all = job.styles.iter().filter_map(|who| latency_for_cost(sweep, who, name, *of, &mut csv));
            (*name, all.collect::<Vec<_>>())
        })
        .filter(|(_, all)| !all.is_empty())
        .collect();
    if panels.is_empty() {
        return None;
    }
    let title = "Cost and latency";
    let (mut figure, mut top) = Figure::titled(title, &sweep.about(job));
    let curves = || panels.iter().flat_map(|(_, all)| all).map(|bought| &bought.curve);
    let margin = curves().map(|curve| names_width(std::slice::from_ref(curve))).fold(0.0, f64::max);
    let x = Scale::log(curves().flat_map(|curve| curve.spots.iter().map(|spot| spot.x)));
    for (name, all) in &panels {
        let area = Area { left: 66.0, top: top + 26.0, right: WIDTH - margin, bottom: top + 26.0 + HEIGHT };
        let y = fitting(all.iter().flat_map(|bought| bought.curve.heights()).collect());
        let mut chart = Chart::new(&figure, area, x.clone(), y);
        chart.axes(&figure, "median delivery latency, ms", name);
        let value = |spot: &PlotPoint| format!("{} ms, {}", tick(spot.x), tick(spot.y));
        all.iter().enumerate().for_each(|(place, bought)| bought.curve.draw(&figure, &mut chart, place, &value));
        let curves: Vec<_> = all.iter().map(|bought| bought.curve.clone()).collect();
        values(&figure, &chart, all);
        legend(&figure, &chart, &curves);
        top = area.bottom + 60.0;
    }
    figure.note((12.0, top), &format!("small numbers: {}", sweep.key));
    figure.height = top + 14.0;
    Some(Plot {
        name: job.stem("12-cost-and-latency", &sweep.stem()),
        title: title.to_owned(),
        caption: format!(
            "Each curve is a transport over {}, its points joined in the order of the sweep; lower latency is to the left, lower cost below. \
             Medians over runs; vertical lines are {AROUND}.",
            sweep.key
        ),
        figure,
        csv,
    })
}

fn latency_for_cost(
    sweep: &Sweep<'_>,
    (subject, look): &(Subject, SubjectStyle),
    name: &str,
    of: Of,
    csv: &mut Csv,
) -> Option<LatencyForCost> {
    let (mut spots, mut values) = (Vec::new(), Vec::new());
    for (at, row) in sweep.rows(subject) {
        let Some((stale, cost)) = row.estimate(MetricId::DeliveryP50).zip(of(row)) else { continue };
        if cost.value <= 0.0 {
            continue;
        }
        let value = written(&sweep.points[at].1);
        spots.push(PlotPoint { x: stale.value, y: cost.value, interval: cost.range(), hollow: row.is_overloaded() });
        let ends = cost.range().unzip();
        csv.row([
            value.clone(),
            subject.to_string(),
            row.verdict(),
            cost.runs.to_string(),
            cell(stale.value),
            name.to_owned(),
            cell(cost.value),
            cell(ends.0),
            cell(ends.1),
        ]);
        values.push(value);
    }
    let curve = Curve { look: *look, name: subject_name(subject), spots, runs: Vec::new(), twin: Vec::new() };
    (!curve.spots.is_empty()).then_some(LatencyForCost { curve, values })
}

/// Labels points with the swept values where there is space; ends of curves first.
fn values(figure: &Figure, chart: &Chart, all: &[LatencyForCost]) {
    let mut taken: Vec<Area> = all.iter().flat_map(|bought| occupied(chart, &bought.curve)).collect();
    let inside = |area: &Area| {
        let room = chart.area;
        area.left > room.left && area.right < room.right && area.top > room.top - 8.0 && area.bottom < room.bottom
    };
    for bought in all {
        let spots = &bought.curve.spots;
        let span = |of: &dyn Fn(&PlotPoint) -> f64| {
            let (least, most) = spots.iter().map(of).fold((f64::MAX, f64::MIN), |(l, m), at| (l.min(at), m.max(at)));
            most - least
        };
        let moved = span(&|spot| chart.at(spot.x, spot.y).0).hypot(span(&|spot| chart.at(spot.x, spot.y).1));
        let mut order: Vec<usize> = (0..spots.len()).collect();
        order.sort_by_key(|at| (*at != 0 && at + 1 != spots.len(), *at));
        // A transport that does not depend on the swept key has no labels.
        for at in order.into_iter().filter(|_| moved > 12.0) {
            let ((x, y), width) = (chart.at(spots[at].x, spots[at].y), text_width(&bought.values[at], SMALL));
            let (middle, beside) = (x - width / 2.0, (x + 10.0, x - 10.0 - width));
            let places = [
                (middle, y - 11.0),
                (middle, y + 21.0),
                (beside.0, y + 5.0),
                (beside.1, y + 5.0),
                (beside.0 - 4.0, y - 9.0),
                (beside.1 + 4.0, y - 9.0),
                (beside.0 - 4.0, y + 18.0),
                (beside.1 + 4.0, y + 18.0),
            ];
            let area = |(left, base): (f64, f64)| Area {
                left: left - 1.0,
                top: base - 12.0,
                right: left + width + 1.0,
                bottom: base + 2.0,
            };
            let free = places.iter().find(|place| {
                let area = area(**place);
                inside(&area) && taken.iter().all(|other| !area.overlaps(other))
            });
            if let Some(place) = free {
                taken.push(area(*place));
                figure.note(*place, &bought.values[at]);
            }
        }
    }
}

/// Squares that cover the markers and lines of a curve.
fn occupied(chart: &Chart, curve: &Curve) -> Vec<Area> {
    let square =
        |(x, y): (f64, f64), half: f64| Area { left: x - half, top: y - half, right: x + half, bottom: y + half };
    let points: Vec<_> = curve.spots.iter().map(|spot| chart.at(spot.x, spot.y)).collect();
    let around = curve.spots.iter().filter_map(|spot| {
        let (low, high) = spot.interval?;
        Some((chart.at(spot.x, low), chart.at(spot.x, high)))
    });
    let along = points.windows(2).map(|pair| (pair[0], pair[1])).chain(around).flat_map(|((x, y), (to_x, to_y))| {
        let steps = ((to_x - x).hypot(to_y - y) / 6.0).ceil().max(1.0);
        (0..=steps as u32).map(move |step| {
            let share = f64::from(step) / steps;
            (x + (to_x - x) * share, y + (to_y - y) * share)
        })
    });
    points.iter().map(|point| square(*point, 6.0)).chain(along.map(|point| square(point, 1.5))).collect()
}
