//! Plot 2: ratios to raw TCP with their intervals, and the ratio of every block.

use plotters::style::RGBColor;
use results::{MetricId, Subject};

use super::Plot;
use super::csv::{Csv, cell};
use super::data::{PlotData, PointData, SeriesData, behind};
use super::draw::{
    Area, Chart, Figure, Grid, INK, SIZE, SMALL, SOFT, Scale, Shape, Stroke, SubjectStyle, WIDTH, shortened, text_width,
};
use crate::format::number;
use crate::ratios::{COMPARED, TIMES_MAX, by_block, ratio};
use crate::stats::{InBlock, Ratio};

/// Height of a row.
const ROW: f64 = 36.0;
/// Blocks drawn of a row; of more, every second, third and so on.
const DOTS_MAX: usize = 80;
/// Half the height of the ends of an interval, and the step between dots, in rows.
const END: f64 = 9.0 / ROW;
const STEP: f64 = 2.6 / ROW;
/// Least distance of the label of raw TCP from other ticks.
const TICK_ROOM: f64 = 34.0;
const CLOUD: SubjectStyle = SubjectStyle { colour: RGBColor(190, 190, 190), shape: Shape::Circle };
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
    let (mut figure, top) = Figure::titled(title, &job.about(point));
    draw(&mut figure, top, &rows, &columns);
    let caption = format!(
        "Ratios to raw TCP, measured in the same blocks: server CPU per delivery back to back (one message in flight) and \
         under the scenario's load, and median delivery latency. Markers are estimates, brackets 95 % intervals, grey \
         dots single blocks, or rounds of one long window. The vertical line is raw TCP. Ratios above {TIMES_MAX} are drawn at \
         the end of the axis. {}.",
        behind(point)
    );
    let name = job.stem("02-ratios-to-raw-tcp", point.name);
    Some(Plot { name, title: title.to_owned(), caption, figure, csv: table(point, &rows, &columns) })
}

const fn head(metric: MetricId) -> &'static str {
    match metric {
        MetricId::BackToBackCpuPerMessage => "CPU, back to back",
        MetricId::ServerCpuPerMessage => "CPU at load",
        _ => "median latency",
    }
}

fn draw(figure: &mut Figure, top: f64, rows: &[&SeriesData<'_>], columns: &[Column]) {
    let names = rows.iter().map(|row| text_width(&row.name(), SIZE)).fold(0.0, f64::max);
    let left = 12.0 + 20.0 + names + 14.0;
    let first = top + 24.0;
    let bottom = first + ROW * rows.len() as f64;
    for (at, row) in rows.iter().enumerate() {
        let (name, place) = (row.name(), (20.0, first + ROW * (at as f64 + 0.5)));
        figure.group(&name, || figure.name(place, &name, (row.style(), row.is_overloaded())));
    }
    let width = (WIDTH - 8.0 - left) / columns.len() as f64;
    for (at, column) in columns.iter().enumerate() {
        let from = left + width * at as f64;
        let values = column.ratios.iter().flatten().map(|(ratio, _)| text_width(&number(ratio.value), SIZE));
        let room = values.fold(0.0, f64::max) + 10.0;
        let area = Area { left: from, top: first, right: from + width - 18.0 - room, bottom };
        figure.note((from, first - 10.0), &shortened(column.head, SMALL, width - 18.0));
        let mut chart = Chart::new(figure, area, scale(column), Scale::Rows(rows.len()));
        chart.grid(Grid::Labelled, Grid::None);
        raw_tcp(figure, &mut chart);
        for ((at, row), found) in rows.iter().enumerate().zip(&column.ratios) {
            let y = at as f64 + 0.5;
            match found {
                Some((ratio, blocks)) => figure.group(&row.name(), || {
                    spread(&mut chart, row, (ratio, blocks), y);
                    let (place, times) = (chart.at(ratio.value, y), crate::format::ratio(ratio));
                    figure.label((area.right + 12.0, place.1), &number(ratio.value));
                    figure.tip(place, format!("{}, {}: {times} ×", row.name(), column.head));
                }),
                None => figure.small((area.left + 6.0, chart.at(1.0, y).1), "–"),
            }
        }
    }
    let key = "markers: estimates · brackets: 95 % intervals · grey: blocks · dashed: raw TCP";
    figure.note((12.0, bottom + 42.0), key);
    figure.height = bottom + 54.0;
}

/// The line of raw TCP, with its ratio where no tick is near.
fn raw_tcp(figure: &Figure, chart: &mut Chart) {
    chart.vertical(1.0, Stroke::new(SOFT, 1.4).dashed(true));
    let (area, one) = (chart.area, chart.at(1.0, 0.0).0);
    let ticks = chart.x.ticks(((area.right - area.left) / 50.0) as usize);
    if ticks.iter().all(|value| (chart.at(*value, 0.0).0 - one).abs() > TICK_ROOM) {
        figure.centred_note((one, area.bottom + 19.5), "1");
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

/// One ratio of one row, whose middle is at `y`.
fn spread(chart: &mut Chart, row: &SeriesData<'_>, (ratio, blocks): (&Ratio, &[InBlock]), y: f64) {
    let every = blocks.len().div_ceil(DOTS_MAX).max(1);
    let blocks: Vec<f64> =
        blocks.iter().step_by(every).map(|one| one.value).filter(|one| chart.x.contains(*one)).collect();
    for (at, one) in blocks.into_iter().enumerate() {
        // Above one another in steps, so that equal blocks can be seen.
        let step = (at % 7) as f64 - 3.0;
        chart.marker((one, y + STEP * step), CLOUD, 1.5, false);
    }
    let look = row.style();
    chart.marker((ratio.value, y), look, 4.0, row.is_overloaded());
    if let Some((low, high)) = ratio.interval.filter(|_| ratio.value <= TIMES_MAX) {
        chart.line([(low, y), (high, y)], Stroke::new(look.colour, 2.0));
        for end in [low, high] {
            chart.line([(end, y - END), (end, y + END)], Stroke::new(INK, 1.4));
        }
    }
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
