//! Exhibit 9: what freshness is bought with: staleness across, cost up, a transport's curve over its sweep.

use results::{Direction, Series};
use wire::Transport;

use super::Sheet;
use super::csv::{Csv, cell};
use super::curves::{Curve, Spot, name_ends, names_width};
use super::draw::{Anchor, Area, Panel, SMALL, SOFT, Scale, Scene, WIDTH, look, text_width};
use super::job::{Job, Row, Sweep, written};
use crate::stats::{Estimate, over_runs};

/// The costs: their names, and how a row has them.
const COSTS: [(&str, fn(&Row<'_>) -> Option<Estimate>); 2] = [
    ("µs of server CPU per message", |row| row.figure(|figures| figures.server_cpu_us_per_message)),
    ("bytes both ways per message", |row| {
        let both = [Direction::Down, Direction::Up];
        over_runs(&row.each(|record| {
            let bytes: f64 = both.iter().flat_map(|way| super::bytes::parts(record, *way)).sum();
            (bytes > 0.0).then_some(bytes)
        }))
    }),
];
/// Height of a panel.
const HEIGHT: f64 = 290.0;

/// A curve with the value of the sweep at each of its spots.
struct Bought {
    curve: Curve,
    values: Vec<String>,
}

pub(super) fn exhibit(job: &Job<'_>, sweep: &Sweep<'_>) -> Option<Sheet> {
    let mut csv =
        Csv::new(&[sweep.key, "transport", "verdict", "runs", "staleness_ms", "cost", "value", "low", "high"]);
    let panels: Vec<(&str, Vec<Bought>)> = COSTS
        .iter()
        .map(|(name, of)| {
            let all = Transport::ALL.into_iter().filter_map(|transport| bought(sweep, transport, name, *of, &mut csv));
            (*name, all.collect::<Vec<_>>())
        })
        .filter(|(_, all)| !all.is_empty())
        .collect();
    if panels.is_empty() {
        return None;
    }
    let title = "What freshness costs";
    let (mut scene, mut top) = Scene::titled(title, &sweep.about(job));
    let curves = || panels.iter().flat_map(|(_, all)| all).map(|bought| &bought.curve);
    let margin = curves().map(|curve| names_width(std::slice::from_ref(curve))).fold(0.0, f64::max);
    let x = Scale::log(curves().flat_map(|curve| curve.spots.iter().map(|spot| spot.x)));
    for (name, all) in &panels {
        let panel = Panel {
            area: Area { left: 66.0, top: top + 26.0, right: WIDTH - margin, bottom: top + 26.0 + HEIGHT },
            x: x.clone(),
            y: Scale::log(all.iter().flat_map(|bought| bought.curve.heights())),
        };
        panel.axes(&mut scene, "median staleness, ms from due to seen", name);
        all.iter().enumerate().for_each(|(place, bought)| bought.curve.draw(&mut scene, &panel, place));
        let curves: Vec<_> = all.iter().map(|bought| bought.curve.clone()).collect();
        values(&mut scene, &panel, all);
        name_ends(&mut scene, &panel, &curves);
        top = panel.area.bottom + 60.0;
    }
    let note = format!("small figures: {}", sweep.key);
    scene.text((12.0, top), &note, SMALL, Anchor::Start, SOFT);
    scene.height = top + 14.0;
    Some(Sheet {
        name: job.stem("09-cost-of-freshness", &sweep.stem()),
        title: title.to_owned(),
        caption: format!(
            "Each curve is a transport over {}, joined in its order; to the left is fresher, down is cheaper. Staleness is the median of \
             delivery latency. Medians over runs; upright lines are 95 % intervals from the runs.",
            sweep.key
        ),
        scene,
        csv,
    })
}

fn bought(
    sweep: &Sweep<'_>,
    transport: Transport,
    name: &str,
    of: fn(&Row<'_>) -> Option<Estimate>,
    csv: &mut Csv,
) -> Option<Bought> {
    let (mut spots, mut values) = (Vec::new(), Vec::new());
    for (at, row) in sweep.rows(transport) {
        let Some((stale, cost)) = row.quantile_ms(Series::Delivery, "p50").zip(of(row)) else { continue };
        if cost.value <= 0.0 {
            continue;
        }
        let value = written(&sweep.points[at].1);
        spots.push(Spot { x: stale.value, y: cost.value, interval: cost.interval, hollow: row.overloaded });
        let ends = cost.interval.unzip();
        csv.row([
            value.clone(),
            transport.to_string(),
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
    let curve = Curve { look: look(transport), name: transport.to_string(), spots, runs: Vec::new(), twin: Vec::new() };
    (!curve.spots.is_empty()).then_some(Bought { curve, values })
}

/// The swept values beside their spots, wherever there is room for them.
fn values(scene: &mut Scene, panel: &Panel, all: &[Bought]) {
    let spots = all.iter().flat_map(|bought| bought.curve.spots.iter().map(|spot| panel.at(spot.x, spot.y)));
    let size = SMALL * 0.92;
    let mut taken: Vec<Area> =
        spots.map(|(x, y)| Area { left: x - 6.0, top: y - 6.0, right: x + 6.0, bottom: y + 6.0 }).collect();
    for bought in all {
        let moves = bought.curve.spots.windows(2).any(|pair| (pair[0].x / pair[1].x).ln().abs() > 0.1);
        let named = bought.curve.spots.iter().zip(&bought.values).filter(|_| moves);
        for (spot, value) in named {
            let ((x, y), width) = (panel.at(spot.x, spot.y), text_width(value, size));
            let places = [
                (x - width / 2.0, y - 10.0),
                (x - width / 2.0, y + 20.0),
                (x + 9.0, y + 5.0),
                (x - 9.0 - width, y + 5.0),
            ];
            let area = |(left, base): (f64, f64)| Area {
                left: left - 2.0,
                top: base - 12.0,
                right: left + width + 2.0,
                bottom: base + 3.0,
            };
            let within = |area: &Area| {
                area.left > panel.area.left
                    && area.right < panel.area.right
                    && area.top > panel.area.top
                    && area.bottom < panel.area.bottom
            };
            let free = |place: &&(f64, f64)| {
                let area = area(**place);
                within(&area) && taken.iter().all(|other| !area.overlaps(other))
            };
            if let Some(place) = places.iter().find(free) {
                taken.push(area(*place));
                scene.text(*place, value, size, Anchor::Start, SOFT);
            }
        }
    }
}
