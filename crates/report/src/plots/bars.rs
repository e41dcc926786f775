//! Bar charts: one row per transport, one or more columns with their own axes, the value at the end
//! of each bar.

use plotters::style::RGBColor;
use results::RunRecord;

use super::csv::{Csv, cell};
use super::data::{PlotData, PointData, SeriesData};
use super::draw::{
    Area, CLASSES, Chart, Figure, Grid, INK, PAPER, SIZE, SMALL, SOFT, Scale, Shape, Stroke, SubjectStyle, WIDTH,
    shortened, text_width, tick,
};
use super::{AROUND, Plot};
use crate::selection::RunSelection;
use crate::stats::{Estimate, median, over_runs};

/// Height of a row.
const ROW: f64 = 42.0;
/// Middle of a bar, half its height, and the middle of the dots below, in rows.
const MIDDLE: f64 = 0.5 - 3.0 / ROW;
const HALF: f64 = 10.0 / ROW;
const DOTS: f64 = MIDDLE + 15.0 / ROW;
const DOT: SubjectStyle = SubjectStyle { colour: SOFT, shape: Shape::Circle };

/// A metric of one transport.
pub(super) struct Bar {
    /// Estimate over the runs.
    whole: Estimate,
    /// Value of each run.
    each: Vec<f64>,
    /// Parts with their sizes, which add up to the value.
    parts: Vec<(usize, f64)>,
}

impl Bar {
    /// Computed from the parts of each run; `None` without runs.
    fn stacked(runs: &[Vec<f64>]) -> Option<Self> {
        let each: Vec<f64> = runs.iter().map(|parts| parts.iter().sum()).collect();
        let whole = over_runs(&each)?;
        let count = runs.iter().map(Vec::len).max().unwrap_or(0);
        let middle = |part: usize| median(&runs.iter().filter_map(|run| run.get(part).copied()).collect::<Vec<_>>());
        let parts: Vec<(usize, f64)> = (0..count).map(|part| (part, middle(part).unwrap_or(0.0))).collect();
        // Medians of parts need not add up to the median of the sum.
        let sum: f64 = parts.iter().map(|(_, size)| size).sum();
        let fit = if sum > 0.0 { whole.value / sum } else { 0.0 };
        Some(Self { whole, each, parts: parts.into_iter().map(|(class, size)| (class, size * fit)).collect() })
    }

    /// A value that is the sum of these parts, without an interval.
    fn sum(parts: &[f64]) -> Self {
        let whole = Estimate::alone(parts.iter().sum());
        Self { whole, each: Vec::new(), parts: parts.iter().copied().enumerate().collect() }
    }

    /// A value without parts.
    fn plain(each: Vec<f64>) -> Option<Self> {
        Some(Self { whole: over_runs(&each)?, each, parts: Vec::new() })
    }

    fn most(&self) -> f64 {
        let high = self.whole.range().map_or(0.0, |(_, high)| high);
        self.each.iter().copied().fold(self.whole.value.max(high), f64::max)
    }
}

/// A column of bars.
pub(super) struct Column {
    /// Heading with the unit.
    head: String,
    /// Bars by transport.
    bars: Vec<Option<Bar>>,
    /// Reference value, drawn as a line.
    pub(super) baseline: Option<f64>,
}

/// A bar chart below its title.
struct Bars<'a> {
    /// The transports.
    rows: Vec<&'a SeriesData<'a>>,
    /// Columns from left to right.
    columns: Vec<Column>,
    /// Names of the parts in order; empty for bars without parts.
    classes: &'a [&'a str],
    /// Whether the parts are shades of the transport's colour instead of own colours.
    shaded: bool,
}

impl Bars<'_> {
    /// Whether there is any bar.
    fn is_empty(&self) -> bool {
        self.columns.iter().all(|column| column.bars.iter().all(Option::is_none))
    }

    /// Draws the chart below `top` and sets the height of the figure.
    fn draw(&self, figure: &mut Figure, top: f64) {
        let top = if self.classes.is_empty() { top - 6.0 } else { self.key(figure, top) };
        let names = self.rows.iter().map(|row| text_width(&row.name(), SIZE)).fold(0.0, f64::max);
        let left = 12.0 + 20.0 + names + 14.0;
        let (first, bottom) = (top + 28.0, top + 28.0 + ROW * self.rows.len() as f64);
        for (at, row) in self.rows.iter().enumerate() {
            let name = row.name();
            let place = (20.0, first + ROW * (at as f64 + MIDDLE));
            figure.group(&name, || figure.name(place, &name, (row.style(), row.is_overloaded())));
        }
        let width = (WIDTH - 10.0 - left) / self.columns.len().max(1) as f64;
        for (at, column) in self.columns.iter().enumerate() {
            let from = left + width * at as f64;
            let area = Area { left: from, top: first, right: from + width - 14.0, bottom };
            self.column(figure, column, area);
        }
        let has_runs =
            self.columns.iter().flat_map(|column| column.bars.iter().flatten()).any(|bar| !bar.each.is_empty());
        let around = if has_runs { format!(" · brackets: {AROUND} · dots: runs") } else { String::new() };
        figure.note((12.0, bottom + 46.0), &format!("bars: medians{around}"));
        figure.height = bottom + 58.0;
    }

    fn key(&self, figure: &Figure, top: f64) -> f64 {
        let (mut left, mut line) = (12.0, top + 6.0);
        for (class, name) in self.classes.iter().enumerate().filter(|(class, _)| self.has(*class)) {
            let width = 26.0 + text_width(name, SMALL) + 12.0;
            if left + width > WIDTH {
                (left, line) = (12.0, line + SMALL * 1.4);
            }
            let area = Area { left, top: line - 12.0, right: left + 15.0, bottom: line + 1.0 };
            let (colour, strength) = self.shade(class, SOFT);
            figure.fill(area, colour, strength);
            figure.note((left + 21.0, line), name);
            left += width;
        }
        line + 14.0
    }

    fn shade(&self, class: usize, own: RGBColor) -> (RGBColor, f64) {
        match self.shaded {
            true => (own, if class == 0 { 1.0 } else { 0.45 }),
            false => (CLASSES[class % CLASSES.len()], 1.0),
        }
    }

    fn has(&self, class: usize) -> bool {
        let bars = self.columns.iter().flat_map(|column| column.bars.iter().flatten());
        bars.flat_map(|bar| &bar.parts).any(|(of, size)| *of == class && *size > 0.0)
    }

    fn bar(&self, (figure, chart): (&Figure, &mut Chart), bar: &Bar, at: usize, row: &SeriesData<'_>) {
        let (look, hollow, y) = (row.style(), row.is_overloaded(), at as f64 + MIDDLE);
        let corners = |from: f64, to: f64| [(from, y + HALF), (to, y - HALF)];
        let value = bar.whole.value;
        if bar.parts.is_empty() && hollow {
            let [(left, bottom), (right, top)] = corners(0.0, value);
            let outline = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
            chart.line(outline, Stroke::new(look.colour, 1.6).dashed(true));
        } else if bar.parts.is_empty() {
            chart.fill(corners(0.0, value), look.colour, 1.0);
        }
        let mut from = 0.0;
        for (class, size) in bar.parts.iter().filter(|(_, size)| *size > 0.0) {
            let (colour, strength) = self.shade(*class, look.colour);
            chart.fill(corners(from, from + size), colour, if hollow { strength * 0.5 } else { strength });
            from += size;
        }
        let place = chart.at(value, y);
        if let Some((low, high)) =
            bar.whole.range().filter(|(low, high)| chart.at(*high, y).0 - chart.at(*low, y).0 > 2.0)
        {
            chart.line([(low, y), (high, y)], Stroke::new(PAPER, 4.0));
            chart.error_bar_across(y, [low, value, high], Stroke::new(INK, 1.6));
        }
        if bar.each.len() > 1 {
            bar.each.iter().for_each(|value| chart.marker((*value, at as f64 + DOTS), DOT, 2.2, false));
        }
        // At the end of the axis, where neither a bracket nor a line passes.
        figure.label((chart.area.right + 8.0, place.1), &tick(value));
        figure.tip(place, self.tip(bar, row));
    }

    fn tip(&self, bar: &Bar, row: &SeriesData<'_>) -> String {
        let parts = bar.parts.iter().filter(|(_, size)| *size > 0.0);
        let parts: Vec<_> = parts.map(|(class, size)| format!("{} {}", self.classes[*class], tick(*size))).collect();
        let parts = if parts.len() > 1 { format!(" ({})", parts.join(", ")) } else { String::new() };
        let range =
            bar.whole.range().map_or_else(String::new, |(low, high)| format!(" [{}–{}]", tick(low), tick(high)));
        format!("{}: {}{range}{parts}", row.name(), tick(bar.whole.value))
    }

    fn column(&self, figure: &Figure, column: &Column, area: Area) {
        let bars = || column.bars.iter().flatten();
        let metrics = bars().map(|bar| text_width(&tick(bar.whole.value), SIZE));
        let room = metrics.fold(0.0, f64::max) + 10.0;
        figure.note((area.left, area.top - 12.0), &shortened(&column.head, SMALL, area.right - area.left));
        let area = Area { right: area.right - room, ..area };
        let x = Scale::from_zero(bars().map(Bar::most).chain(column.baseline));
        let mut chart = Chart::new(figure, area, x, Scale::Rows(self.rows.len()));
        chart.grid(Grid::Labelled, Grid::None);
        if let Some(baseline) = column.baseline {
            chart.vertical(baseline, Stroke::new(SOFT, 1.4).dashed(true));
        }
        for (at, (bar, row)) in column.bars.iter().zip(&self.rows).enumerate() {
            match bar {
                Some(bar) => figure.group(&row.name(), || self.bar((figure, &mut chart), bar, at, row)),
                None => figure.small((area.left + 6.0, chart.at(0.0, at as f64 + MIDDLE).1), "–"),
            }
        }
    }
}

/// Values of one run: the parts in the order of the classes, or a single value; empty where it was
/// not measured.
type Values<'a> = &'a dyn Fn(&RunRecord) -> Vec<f64>;

/// A bar plot of one point, with its data.
pub(super) struct BarPlot<'a> {
    point: &'a PointData<'a>,
    columns: Vec<Column>,
    csv: Csv,
}

impl<'a> BarPlot<'a> {
    pub(super) fn new(point: &'a PointData<'a>) -> Self {
        let csv = Csv::new(&["point", "transport", "verdict", "run", "metric", "part", "value"]);
        Self { point, columns: Vec::new(), csv }
    }

    /// Adds a column of bars, one for each transport.
    pub(super) fn column(&mut self, head: &str, classes: &[&str], of: Values<'_>) -> &mut Column {
        let bars = drawable(self.point).into_iter().map(|row| {
            let runs: Vec<(u32, Vec<f64>)> = row.records().map(|record| (record.run, of(record))).collect();
            for (run, parts) in &runs {
                for (at, value) in parts.iter().enumerate() {
                    let class = classes.get(at).copied().unwrap_or_default();
                    let place = [self.point.name.to_owned(), row.subject.to_string(), row.verdict(), run.to_string()];
                    self.csv.row(place.into_iter().chain([head.to_owned(), class.to_owned(), cell(*value)]));
                }
            }
            let parts: Vec<_> = runs.into_iter().map(|(_, parts)| parts).filter(|parts| !parts.is_empty()).collect();
            if classes.is_empty() { Bar::plain(parts.into_iter().flatten().collect()) } else { Bar::stacked(&parts) }
        });
        self.columns.push(Column { head: head.to_owned(), bars: bars.collect(), baseline: None });
        self.columns.last_mut().expect("a column was just added")
    }

    /// Adds a column of values that are computed from medians over the runs.
    pub(super) fn medians(&mut self, head: &str, classes: &[&str], of: &dyn Fn(&RunSelection<'_>) -> Option<Vec<f64>>) {
        let bars = drawable(self.point).into_iter().map(|row| {
            let parts = of(row)?;
            for (class, value) in classes.iter().zip(&parts) {
                let place = [self.point.name.to_owned(), row.subject.to_string(), row.verdict(), String::new()];
                self.csv.row(place.into_iter().chain([head.to_owned(), (*class).to_owned(), cell(*value)]));
            }
            Some(Bar::sum(&parts))
        });
        self.columns.push(Column { head: head.to_owned(), bars: bars.collect(), baseline: None });
    }

    /// Draws the columns; `None` where nothing was measured. `name` is the stem of the files.
    pub(super) fn build(
        self,
        job: &PlotData<'_>,
        (name, title): (&str, &str),
        caption: String,
        (classes, shaded): (&[&str], bool),
    ) -> Option<Plot> {
        let bars = Bars { rows: drawable(self.point), columns: self.columns, classes, shaded };
        if bars.is_empty() {
            return None;
        }
        let (mut figure, top) = Figure::titled(title, &job.about(self.point));
        bars.draw(&mut figure, top);
        let name = job.stem(name, self.point.name);
        Some(Plot { name, title: title.to_owned(), caption, figure, csv: self.csv })
    }
}

fn drawable<'a>(point: &'a PointData<'a>) -> Vec<&'a SeriesData<'a>> {
    point.rows.iter().filter(|row| !row.runs.is_empty()).collect()
}
