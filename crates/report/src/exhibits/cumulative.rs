//! Exhibit 2: how many deliveries took no longer than what.

use results::{Distribution, Series};

use super::Sheet;
use super::csv::{Csv, cell};
use super::curves::{Curve, Spot};
use super::draw::{Anchor, Area, Panel, SIZE, SMALL, SOFT, Scale, Scene, WIDTH, text_width};
use super::job::{Job, Point, Row, behind};
use crate::numbers::number;
use crate::stats::{median, order_interval};

/// Steps of the share.
const STEPS: u32 = 100;
/// What the list of names is ordered by and says.
const BY: &str = "by median, in ms";

pub(super) fn exhibit(job: &Job<'_>, point: &Point<'_>) -> Option<Sheet> {
    let mut csv = Csv::new(&["point", "transport", "verdict", "run", "delivery_ms", "share_percent"]);
    let rows = point.rows.iter().filter(|row| !row.runs.is_empty());
    let mut curves: Vec<(f64, Curve)> = rows.filter_map(|row| curve(point, row, &mut csv)).collect();
    if curves.is_empty() {
        return None;
    }
    curves.sort_by(|a, b| a.0.total_cmp(&b.0));
    let title = "How many deliveries took no longer than …";
    let (mut scene, top) = Scene::titled(title, &job.about(point));
    let names = curves.iter().map(|(middle, curve)| format!("{}  {}", curve.name, number(*middle)));
    let names: Vec<_> = names.collect();
    let margin = 50.0 + names.iter().map(|name| text_width(name, SIZE)).fold(text_width(BY, SMALL), f64::max);
    let places = curves.iter().flat_map(|(_, curve)| {
        curve.spots.iter().map(|spot| spot.x).chain(curve.runs.iter().flatten().map(|(x, _)| *x))
    });
    let panel = Panel {
        area: Area { left: 64.0, top: top + 26.0, right: WIDTH - margin, bottom: top + 400.0 },
        x: Scale::log(places),
        y: Scale::Linear { low: 0.0, high: 100.0 },
    };
    scene.height = panel.area.bottom + 56.0;
    panel.axes(&mut scene, "ms from due to seen", "% of deliveries");
    for (place, (_, curve)) in curves.iter().enumerate() {
        curve.draw(&mut scene, &panel, place);
    }
    let left = panel.area.right + 18.0;
    scene.text((left - 6.0, panel.area.top + 4.0), BY, SMALL, Anchor::Start, SOFT);
    for (at, ((_, curve), name)) in curves.iter().zip(&names).enumerate() {
        let height = panel.area.top + 26.0 + at as f64 * SIZE * 1.45;
        let hollow = curve.spots.iter().any(|spot| spot.hollow);
        scene.dot((left, height), curve.look.shape, curve.look.colour, 5.0, hollow);
        scene.label((left + 14.0, height), name, Anchor::Start);
    }
    Some(Sheet {
        name: job.stem("02-latency-cumulative", point.label),
        title: title.to_owned(),
        caption: format!(
            "Cumulative distribution of delivery latency, due to seen, as far as the sample carries it, at most to 99 %. Thick: median \
             over runs at each share; thin: each run. {}.",
            behind(point)
        ),
        scene,
        csv,
    })
}

fn curve(point: &Point<'_>, row: &Row<'_>, csv: &mut Csv) -> Option<(f64, Curve)> {
    let wholes: Vec<(u32, Distribution)> =
        row.runs.iter().map(|run| (run.record.run, run.whole(Series::Delivery))).collect();
    let independent =
        row.records().filter_map(|record| Some(record.latency.get(&Series::Delivery)?.independent)).min()?;
    let carried = |share: &f64| *share <= 0.0 || order_interval(independent, *share).is_some();
    let shares: Vec<f64> = (0..STEPS).map(|step| f64::from(step) / f64::from(STEPS)).take_while(carried).collect();
    let ms = |whole: &Distribution, share: f64| whole.quantile(share).map(|us| us as f64 / 1e3);
    let mut spots = Vec::new();
    for share in &shares {
        let each: Vec<_> = wholes.iter().filter_map(|(_, whole)| ms(whole, *share)).collect();
        let y = share * 100.0;
        spots.push(Spot { x: median(&each)?, y, interval: None, hollow: row.is_overloaded() });
        for (run, whole) in &wholes {
            csv.row([
                point.label.to_owned(),
                row.subject.to_string(),
                row.verdict(),
                run.to_string(),
                cell(ms(whole, *share)),
                cell(y),
            ]);
        }
    }
    let runs = wholes.iter().map(|(_, whole)| {
        shares.iter().filter_map(|share| Some((ms(whole, *share)?, share * 100.0))).collect::<Vec<_>>()
    });
    let runs = if wholes.len() > 1 { runs.collect() } else { Vec::new() };
    let middle = spots.get(STEPS as usize / 2)?.x;
    Some((middle, Curve { look: row.look(), name: row.name(), spots, runs, twin: Vec::new() }))
}
