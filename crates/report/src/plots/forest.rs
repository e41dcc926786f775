//! Forest plot of a comparison: changes with intervals, thresholds as bands, base against base
//! again in grey.

use super::csv::{Csv, cell};
use super::draw::{
    Anchor, Area, Colour, Mark, Panel, SIZE, SMALL, SOFT, Scale, Scene, Shape, Stroke, WIDTH, text_width, tick,
};
use super::{Plot, PlotFiles};
use crate::gate::{Comparison, ComparisonRow, GateVerdict};

const ROW: f64 = 34.0;
/// Half the height of a mark.
const MARK: f64 = 8.0;
/// Limits of the axis; an arrow shows that a change or its interval goes on.
const SHOWN: (f64, f64) = (-60.0, 100.0);
const BAND: Colour = Colour(0, 158, 115);
const CLOUD: Colour = Colour(150, 150, 150);

/// Draws a comparison; `None` without rows.
pub fn forest(comparison: &Comparison) -> Option<PlotFiles> {
    if comparison.rows.is_empty() {
        return None;
    }
    let title = format!("{}: change from base to head", comparison.scenario);
    let grey = if comparison.paired { " · grey: second base against first, by round" } else { "" };
    let about = format!("line: 95 % interval · green band: below the threshold{grey}");
    let (mut scene, top) = Scene::titled(&title, &about);
    let names = comparison.rows.iter().map(|row| text_width(&name(row), SIZE)).fold(0.0, f64::max);
    let top = top + 6.0;
    let height = ROW * comparison.rows.len() as f64;
    let area = Area { left: 12.0 + names + 14.0, top, right: WIDTH - 120.0, bottom: top + height };
    let panel = Panel { area, x: scale(&comparison.rows), y: Scale::Linear { low: 0.0, high: 1.0 } };
    panel.across_ticks(&mut scene, true);
    scene.line(vec![panel.at(0.0, 0.0), panel.at(0.0, 1.0)], Stroke::new(SOFT, 1.4));
    for (at, row) in comparison.rows.iter().enumerate() {
        draw(&mut scene, &panel, row, top + ROW * (at as f64 + 0.5));
    }
    let below = "change, % (worse: less throughput; more of all other metrics)";
    scene.text((f64::midpoint(area.left, area.right), area.bottom + 40.0), below, SMALL, Anchor::Middle, SOFT);
    scene.height = area.bottom + 54.0;
    let caption = format!("{}. Base: {}. Head: {}.", comparison.headline(), comparison.base, comparison.head);
    Some(Plot { name: "forest".to_owned(), title, caption, scene, csv: table(comparison) }.finish())
}

fn name(row: &ComparisonRow) -> String {
    format!("{} {}", row.transport, row.metric.info().label)
}

fn percent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}

fn colour(row: &ComparisonRow) -> Colour {
    match row.verdict {
        Some(GateVerdict::Regression) => Colour(164, 14, 38),
        Some(GateVerdict::Improved) => Colour(5, 80, 174),
        Some(GateVerdict::Same) => Colour(17, 99, 41),
        Some(GateVerdict::Inconclusive(_)) | None => SOFT,
    }
}

fn scale(rows: &[ComparisonRow]) -> Scale {
    let ends = rows.iter().flat_map(|row| {
        let delta = row.threshold.unwrap_or(0.0);
        let (low, high) = row.interval.unwrap_or((row.ratio, row.ratio));
        [percent(low), percent(high), percent(row.ratio), -delta * 100.0, delta * 100.0]
    });
    let (low, high) = ends.fold((-5.0_f64, 5.0_f64), |(low, high), end| (low.min(end), high.max(end)));
    let margin = (high - low) * 0.04;
    Scale::Linear { low: (low - margin).max(SHOWN.0), high: (high + margin).min(SHOWN.1) }
}

fn draw(scene: &mut Scene, panel: &Panel, row: &ComparisonRow, height: f64) {
    scene.label((12.0, height), &name(row), Anchor::Start);
    if let Some(delta) = row.threshold {
        // The threshold is symmetric in logarithms.
        let (low, high) = (percent(1.0 / (1.0 + delta)), percent(1.0 + delta));
        let band =
            Area { left: panel.across(low), right: panel.across(high), top: height - 12.0, bottom: height + 12.0 };
        scene.marks.push(Mark::Fill(band, BAND, 0.14));
    }
    for again in &row.again {
        scene.dot((panel.across(percent(*again)), height + 8.0), Shape::Circle, CLOUD, 1.6, false);
    }
    if let Some((low, high)) = row.interval {
        let ends = vec![(panel.across(percent(low)), height), (panel.across(percent(high)), height)];
        scene.line(ends, Stroke::new(colour(row), 2.2));
        for (end, edge, shape) in [(low, panel.area.left, Shape::Left), (high, panel.area.right, Shape::Right)] {
            if !(0.0..=1.0).contains(&panel.x.place(percent(end))) {
                scene.dot((edge, height), shape, colour(row), 4.0, false);
            }
        }
    }
    // A bar: the markers are those of transports.
    let (at, width) =
        (panel.across(percent(row.ratio)), if row.verdict.is_some_and(GateVerdict::is_decided) { 5.0 } else { 2.0 });
    scene.line(vec![(at, height - MARK), (at, height + MARK)], Stroke::new(colour(row), width));
    let (low, high) = row.interval.unwrap_or((row.ratio, row.ratio));
    let tip = format!("{}: {} % [{}–{}]", name(row), tick(percent(row.ratio)), tick(percent(low)), tick(percent(high)));
    scene.tip((at, height), tip);
    let said = row.verdict.map_or("not gated", GateVerdict::name);
    scene.small((panel.area.right + 12.0, height), said, Anchor::Start);
}

fn table(comparison: &Comparison) -> Csv {
    let columns = ["transport", "metric", "verdict", "base", "head", "ratio", "ratio_low", "ratio_high", "p_adjusted"];
    let mut csv = Csv::new(&columns);
    for row in &comparison.rows {
        let words =
            [row.transport.clone(), row.metric.name().to_owned(), row.verdict.map_or("", GateVerdict::name).to_owned()];
        let ends = row.interval.map_or([None, None], |(low, high)| [Some(low), Some(high)]);
        let numbers = [Some(row.base), Some(row.head), Some(row.ratio), ends[0], ends[1], Some(row.p)];
        csv.row(words.into_iter().chain(numbers.map(cell)));
    }
    csv
}
