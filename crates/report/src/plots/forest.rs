//! Forest plot of a comparison: changes with intervals, thresholds as bands, base against base
//! again in grey.

use plotters::style::RGBColor;

use super::csv::{Csv, cell};
use super::draw::{Area, Chart, Figure, Grid, SIZE, SOFT, Scale, Shape, Stroke, SubjectStyle, WIDTH, text_width, tick};
use super::{Plot, PlotFiles};
use crate::gate::{Comparison, ComparisonRow, GateVerdict};

const ROW: f64 = 34.0;
/// Half the height of a mark and of a band, and the place of the second base, in rows.
const MARK: f64 = 8.0 / ROW;
const HALF: f64 = 12.0 / ROW;
const AGAIN: f64 = 8.0 / ROW;
/// Limits of the axis; an arrow shows that a change or its interval goes on.
const SHOWN: (f64, f64) = (-60.0, 100.0);
const BAND: RGBColor = RGBColor(0, 158, 115);
const CLOUD: SubjectStyle = SubjectStyle { colour: RGBColor(150, 150, 150), shape: Shape::Circle };

/// Draws a comparison; `None` without rows.
pub fn forest(comparison: &Comparison) -> Option<PlotFiles> {
    if comparison.rows.is_empty() {
        return None;
    }
    let title = format!("{}: change from base to head", comparison.scenario);
    let grey = if comparison.paired { " · grey: second base against first, by round" } else { "" };
    let about = format!("line: 95 % interval · green band: below the threshold{grey}");
    let (mut figure, top) = Figure::titled(&title, &about);
    let names = comparison.rows.iter().map(|row| text_width(&name(row), SIZE)).fold(0.0, f64::max);
    let top = top + 6.0;
    let height = ROW * comparison.rows.len() as f64;
    let area = Area { left: 12.0 + names + 14.0, top, right: WIDTH - 120.0, bottom: top + height };
    let mut chart = Chart::new(&figure, area, scale(&comparison.rows), Scale::Rows(comparison.rows.len()));
    chart.grid(Grid::Labelled, Grid::None);
    chart.vertical(0.0, Stroke::new(SOFT, 1.4));
    for (at, row) in comparison.rows.iter().enumerate() {
        draw(&figure, &mut chart, row, at as f64 + 0.5);
    }
    let below = "change, % (worse: less throughput; more of all other metrics)";
    figure.centred_note((f64::midpoint(area.left, area.right), area.bottom + 40.0), below);
    figure.height = area.bottom + 54.0;
    let caption = format!("{}. Base: {}. Head: {}.", comparison.headline(), comparison.base, comparison.head);
    Some(Plot { name: "forest".to_owned(), title, caption, figure, csv: table(comparison) }.finish())
}

fn name(row: &ComparisonRow) -> String {
    format!("{} {}", row.transport, row.metric.info().label)
}

fn percent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}

fn colour(row: &ComparisonRow) -> RGBColor {
    match row.verdict {
        Some(GateVerdict::Regression) => RGBColor(164, 14, 38),
        Some(GateVerdict::Improved) => RGBColor(5, 80, 174),
        Some(GateVerdict::Same) => RGBColor(17, 99, 41),
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

/// Draws a row, whose middle is at `y`.
fn draw(figure: &Figure, chart: &mut Chart, row: &ComparisonRow, y: f64) {
    let colour = colour(row);
    let (x, height) = chart.at(percent(row.ratio), y);
    figure.label((12.0, height), &name(row));
    if let Some(delta) = row.threshold {
        // The threshold is symmetric in logarithms.
        let (low, high) = (percent(1.0 / (1.0 + delta)), percent(1.0 + delta));
        chart.fill([(low, y - HALF), (high, y + HALF)], BAND, 0.14);
    }
    for again in &row.again {
        chart.marker((percent(*again), y + AGAIN), CLOUD, 1.6, false);
    }
    let (low, high) = row.interval.unwrap_or((row.ratio, row.ratio));
    if row.interval.is_some() {
        chart.line([(percent(low), y), (percent(high), y)], Stroke::new(colour, 2.2));
        for (end, shape) in [(percent(low), Shape::Left), (percent(high), Shape::Right)] {
            if !chart.x.contains(end) {
                chart.marker((end, y), SubjectStyle { colour, shape }, 4.0, false);
            }
        }
    }
    // A bar: the markers are those of transports.
    let width = if row.verdict.is_some_and(GateVerdict::is_decided) { 5.0 } else { 2.0 };
    chart.line([(percent(row.ratio), y - MARK), (percent(row.ratio), y + MARK)], Stroke::new(colour, width));
    let tip = format!("{}: {} % [{}–{}]", name(row), tick(percent(row.ratio)), tick(percent(low)), tick(percent(high)));
    figure.tip((x, height), tip);
    figure.small((chart.area.right + 12.0, height), row.verdict.map_or("not gated", GateVerdict::name));
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
