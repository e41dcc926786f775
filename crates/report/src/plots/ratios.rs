//! Plot 2: ratios to raw TCP with their intervals, and the ratio of every block.

use results::{MetricId, Subject};

use super::Plot;
use super::csv::{Csv, cell};
use super::data::{PlotData, PointData, SeriesData, behind};
use super::draw::{
    Anchor, Area, Colour, INK, Panel, SIZE, SMALL, SOFT, Scale, Scene, Shape, Stroke, WIDTH, shortened, text_width,
};
use crate::format::number;
use crate::ratios::{COMPARED, TIMES_MAX, by_block, ratio};
use crate::stats::{InBlock, Ratio};

/// Height of a row.
const ROW: f64 = 36.0;
/// Blocks drawn of a row; of more, every second, third and so on.
const DOTS_MAX: usize = 80;
/// Half the height of the ends of an interval.
const END: f64 = 9.0;
/// Least distance of the label of raw TCP from other ticks.
const TICK_ROOM: f64 = 34.0;
const CLOUD: Colour = Colour(190, 190, 190);
/// Share of the blocks that may lie beyond either end of an axis.
const BEYOND: f64 = 0.10;

/// One metric.
struct Column {
    metric: MetricId,
    head: &'static str,
    /// By row.
    ratios: Vec<Option<(Ratio, Vec<InBlock>)>>,
}

pub(super) fn plot(job: &PlotData<'_>, point: &PointData<'_>) -> Option<Plot> {
    let baseline = point.rows.iter().find(|row| row.subject == Subject::BASELINE)?;
    let rows: Vec<_> =
        point.rows.iter().filter(|row| row.subject != Subject::BASELINE && !row.runs.is_empty()).collect();
    let columns = COMPARED.into_iter().map(|metric| {
        let of = |row: &&SeriesData<'_>| {
            let (own, tcp) = ((&***row, metric), (&**baseline, metric));
            Some((ratio(own, tcp)?, by_block(own, tcp)))
        };
        Column { metric, head: head(metric), ratios: rows.iter().map(of).collect() }
    });
    let columns: Vec<_> = columns.filter(|column| column.ratios.iter().any(Option::is_some)).collect();
    if columns.is_empty() {
        return None;
    }
    let title = "Cost and latency as multiples of raw TCP";
    let (mut scene, top) = Scene::titled(title, &job.about(point));
    draw(&mut scene, top, &rows, &columns);
    let caption = format!(
        "Ratios to raw TCP, measured in the same blocks: server CPU per delivery back to back (one message in flight) and \
         under the scenario's load, and median delivery latency. Markers are estimates, brackets 95 % intervals, grey \
         dots single blocks, or rounds of one long window. The vertical line is raw TCP. Ratios above {TIMES_MAX} are drawn at \
         the end of the axis. {}.",
        behind(point)
    );
    let name = job.stem("02-ratios-to-raw-tcp", point.name);
    Some(Plot { name, title: title.to_owned(), caption, scene, csv: table(point, &rows, &columns) })
}

const fn head(metric: MetricId) -> &'static str {
    match metric {
        MetricId::BackToBackCpuPerMessage => "CPU, back to back",
        MetricId::ServerCpuPerMessage => "CPU at load",
        _ => "median latency",
    }
}

fn draw(scene: &mut Scene, top: f64, rows: &[&SeriesData<'_>], columns: &[Column]) {
    let names = rows.iter().map(|row| text_width(&row.name(), SIZE)).fold(0.0, f64::max);
    let left = 12.0 + 20.0 + names + 14.0;
    let first = top + 24.0;
    let bottom = first + ROW * rows.len() as f64;
    let middle = |at: usize| first + ROW * (at as f64 + 0.5);
    for (at, row) in rows.iter().enumerate() {
        let look = row.style();
        scene.group(&row.name(), |scene| {
            scene.dot((20.0, middle(at)), look.shape, look.colour, 5.0, row.is_overloaded());
            scene.label((32.0, middle(at)), &row.name(), Anchor::Start);
        });
    }
    let width = (WIDTH - 8.0 - left) / columns.len() as f64;
    for (at, column) in columns.iter().enumerate() {
        let from = left + width * at as f64;
        let values = column.ratios.iter().flatten().map(|(ratio, _)| text_width(&number(ratio.value), SIZE));
        let room = values.fold(0.0, f64::max) + 10.0;
        let area = Area { left: from, top: first, right: from + width - 18.0 - room, bottom };
        let name = shortened(column.head, SMALL, width - 18.0);
        scene.text((from, first - 10.0), &name, SMALL, Anchor::Start, SOFT);
        let panel = Panel { area, x: scale(column), y: Scale::Linear { low: 0.0, high: 1.0 } };
        panel.across_ticks(scene, true);
        raw_tcp(scene, &panel);
        for ((at, row), found) in rows.iter().enumerate().zip(&column.ratios) {
            match found {
                Some((ratio, blocks)) => scene.group(&row.name(), |scene| {
                    spread(scene, &panel, row, (ratio, blocks), middle(at));
                    let times = format!("{} ×", crate::format::ratio(ratio));
                    scene.tip(
                        (panel.across(ratio.value), middle(at)),
                        format!("{}, {}: {times}", row.name(), column.head),
                    );
                }),
                None => scene.small((area.left + 6.0, middle(at)), "–", Anchor::Start),
            }
        }
    }
    let key = "markers: estimates · brackets: 95 % intervals · grey: blocks · dashed: raw TCP";
    scene.text((12.0, bottom + 42.0), key, SMALL, Anchor::Start, SOFT);
    scene.height = bottom + 54.0;
}

/// The line of raw TCP, with its ratio where no tick is near.
fn raw_tcp(scene: &mut Scene, panel: &Panel) {
    let (area, one) = (panel.area, panel.across(1.0));
    scene.line(vec![(one, area.top), (one, area.bottom)], Stroke::new(SOFT, 1.4).dashed(true));
    let ticks = panel.x.ticks(((area.right - area.left) / 50.0) as usize);
    if ticks.iter().all(|(value, _)| (panel.across(*value) - one).abs() > TICK_ROOM) {
        scene.small((one, area.bottom + 14.0), "1", Anchor::Middle);
    }
}

/// The axis contains raw TCP, and all estimates with their intervals and most of their blocks but
/// for ratios that would leave no room for the others.
fn scale(column: &Column) -> Scale {
    let mut values = vec![1.0];
    for (ratio, blocks) in column.ratios.iter().flatten().filter(|(ratio, _)| ratio.value <= TIMES_MAX) {
        let (low, high) = ratio.interval.unwrap_or((ratio.value, ratio.value));
        values.extend([ratio.value, low, high]);
        let mut sorted: Vec<f64> = blocks.iter().map(|one| one.value).collect();
        sorted.sort_by(f64::total_cmp);
        let beyond = (sorted.len() as f64 * BEYOND) as usize;
        values.extend(sorted.get(beyond).into_iter().chain(sorted.iter().rev().nth(beyond)));
    }
    Scale::fitting(&values)
}

/// One ratio of one row.
fn spread(scene: &mut Scene, panel: &Panel, row: &SeriesData<'_>, (ratio, blocks): (&Ratio, &[InBlock]), middle: f64) {
    let every = blocks.len().div_ceil(DOTS_MAX).max(1);
    let is_on_axis = |one: &&InBlock| (0.0..=1.0).contains(&panel.x.place(one.value));
    for (at, one) in blocks.iter().step_by(every).filter(is_on_axis).enumerate() {
        // Above one another in steps, so that equal blocks can be seen.
        let step = (at % 7) as f64 - 3.0;
        scene.dot((panel.across(one.value), middle + 2.6 * step), Shape::Circle, CLOUD, 1.5, false);
    }
    let look = row.style();
    scene.dot((panel.across(ratio.value), middle), look.shape, look.colour, 4.0, row.is_overloaded());
    if let Some((low, high)) = ratio.interval.filter(|_| ratio.value <= TIMES_MAX) {
        let (left, right) = (panel.across(low), panel.across(high));
        scene.line(vec![(left, middle), (right, middle)], Stroke::new(look.colour, 2.0));
        for end in [left, right] {
            scene.line(vec![(end, middle - END), (end, middle + END)], Stroke::new(INK, 1.4));
        }
    }
    scene.label((panel.area.right + 12.0, middle), &number(ratio.value), Anchor::Start);
}

/// A row for each estimate, without a block, and one for each block.
fn table(point: &PointData<'_>, rows: &[&SeriesData<'_>], columns: &[Column]) -> Csv {
    let mut csv = Csv::new(&["point", "transport", "verdict", "metric", "round", "block", "ratio", "low", "high"]);
    for column in columns {
        for (row, found) in rows.iter().zip(&column.ratios) {
            let Some((ratio, blocks)) = found else { continue };
            let place =
                [point.name.to_owned(), row.subject.to_string(), row.verdict(), column.metric.name().to_owned()];
            let (low, high) = ratio.interval.unzip();
            let estimate = [String::new(), String::new(), cell(ratio.value), cell(low), cell(high)];
            csv.row(place.iter().cloned().chain(estimate));
            for one in blocks {
                let block =
                    [one.round.to_string(), one.block.to_string(), cell(one.value), String::new(), String::new()];
                csv.row(place.iter().cloned().chain(block));
            }
        }
    }
    csv
}
