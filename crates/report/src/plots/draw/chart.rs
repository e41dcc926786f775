//! A chart of a figure: axes, grid and series, by plotters.

use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext, LabelAreaPosition};
use plotters::coord::cartesian::Cartesian2d;
use plotters::element::{ErrorBar, Rectangle};
use plotters::series::{DashedLineSeries, LineSeries};
use plotters::style::{Color, RGBColor, TRANSPARENT};

use super::figure::{Area, Figure, sure, text_style};
use super::marker::Marker;
use super::recorder::Recorder;
use super::scale::Scale;
use super::style::{FAINT, FINE, SIZE, SMALL, SOFT, Stroke, SubjectStyle, WIDTH, px};
use super::text::width;

/// Space for labels to the left of a chart and below it.
const LABELS: (f64, f64) = (52.0, 40.0);
/// Distance of labels from the axis, to the left and below; plotters doubles the size of a tick.
const FROM_AXIS: (f64, f64) = (6.0, 8.5);
/// Length of a dash and of a gap.
const DASH: (f64, f64) = (7.0, 4.5);
/// Half the width of the ends of an error bar.
const ENDS: f64 = 4.0;

/// Grid lines of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plots) enum Grid {
    None,
    Lines,
    Labelled,
}

impl Grid {
    /// Lines, with labels or without.
    pub(in crate::plots) const fn labelled(labelled: bool) -> Self {
        if labelled { Self::Labelled } else { Self::Lines }
    }
}

/// A chart being drawn.
pub(in crate::plots) struct Chart {
    /// Area of the data.
    pub(in crate::plots) area: Area,
    pub(in crate::plots) x: Scale,
    pub(in crate::plots) y: Scale,
    context: ChartContext<'static, Recorder, Cartesian2d<Scale, Scale>>,
}

impl Chart {
    /// A chart with its data in an area of a figure; its labels are outside of the area.
    pub(in crate::plots) fn new(figure: &Figure, area: Area, x: Scale, y: Scale) -> Self {
        let (left, below) = (px(LABELS.0), px(LABELS.1));
        let (width, height) = (px(area.right - area.left), px(area.bottom - area.top));
        let around = figure.root.clone().shrink((px(area.left) - left, px(area.top)), (width + left, height + below));
        let mut builder = ChartBuilder::on(&around);
        builder.set_label_area_size(LabelAreaPosition::Left, left);
        builder.set_label_area_size(LabelAreaPosition::Bottom, below);
        let context = sure(builder.build_cartesian_2d(x.clone(), y.clone()));
        Self { area, x, y, context }
    }

    /// Position of a point in the figure.
    pub(in crate::plots) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = self.context.backend_coord(&(x, y));
        (f64::from(x) / f64::from(FINE), f64::from(y) / f64::from(FINE))
    }

    /// Draws grid, labels and axis titles.
    pub(in crate::plots) fn axes(&mut self, figure: &Figure, across: &str, up: &str) {
        figure.note((12.0, self.area.top - 15.0), up);
        self.mesh((Grid::Labelled, Grid::Labelled), across);
    }

    /// Draws the grid lines of both axes, and the horizontal axis.
    pub(in crate::plots) fn grid(&mut self, across: Grid, up: Grid) {
        self.mesh((across, up), "");
    }

    fn mesh(&mut self, (across, up): (Grid, Grid), title: &str) {
        let count_across = ((self.area.right - self.area.left) / 50.0) as usize;
        let count_up = ((self.area.bottom - self.area.top) / (1.3 * SMALL)) as usize;
        let (below, y) = (self.labels_below(count_across), self.y.clone());
        let below = |value: &f64| match below.iter().find(|(at, _)| at == value) {
            Some((_, label)) if across == Grid::Labelled => label.clone(),
            _ => String::new(),
        };
        let left = |value: &f64| if up == Grid::Labelled { y.label(*value) } else { String::new() };
        let mut mesh = self.context.configure_mesh();
        mesh.max_light_lines(0).x_labels(count_across).y_labels(count_up);
        mesh.x_label_formatter(&below).y_label_formatter(&left).label_style(text_style(SMALL, SOFT, false));
        mesh.set_tick_mark_size(LabelAreaPosition::Left, px(FROM_AXIS.0 / 2.0));
        mesh.set_tick_mark_size(LabelAreaPosition::Bottom, px(FROM_AXIS.1 / 2.0));
        mesh.axis_style(TRANSPARENT).bold_line_style(Stroke::new(FAINT, 1.0).style()).x_desc(title);
        if across == Grid::None {
            mesh.disable_x_mesh();
        }
        if up == Grid::None {
            mesh.disable_y_mesh();
        }
        sure(mesh.draw());
        let (x, y) = (self.context.x_range(), self.context.y_range());
        self.line([(x.start, y.start), (x.end, y.start)], Stroke::new(SOFT, 1.2));
    }

    /// The labels below the axis that do not overlap.
    fn labels_below(&self, count: usize) -> Vec<(f64, String)> {
        let mut taken = f64::NEG_INFINITY;
        let labels = self.x.ticks(count).into_iter().filter_map(|value| {
            let (label, place) = (self.x.label(value), self.at(value, 0.0).0);
            let half = width(&label, SMALL) / 2.0;
            let fits = place - half > taken + 6.0 && place + half < WIDTH - 2.0;
            fits.then(|| {
                taken = place + half;
                (value, label)
            })
        });
        labels.collect()
    }

    pub(in crate::plots) fn line(&mut self, points: impl IntoIterator<Item = (f64, f64)>, stroke: Stroke) {
        let points: Vec<_> = points.into_iter().collect();
        let style = stroke.style();
        if stroke.dashed {
            sure(self.context.draw_series(DashedLineSeries::new(points, px(DASH.0), px(DASH.1), style)));
        } else {
            sure(self.context.draw_series(LineSeries::new(points, style)));
        }
    }

    /// A vertical line over the whole height.
    pub(in crate::plots) fn vertical(&mut self, x: f64, stroke: Stroke) {
        let y = self.context.y_range();
        self.line([(x, y.start), (x, y.end)], stroke);
    }

    /// A filled rectangle of the whole height.
    pub(in crate::plots) fn band(&mut self, x: Range<f64>, colour: RGBColor, strength: f64) {
        let y = self.context.y_range();
        self.fill([(x.start, y.start), (x.end, y.end)], colour, strength);
    }

    /// A filled rectangle between two corners.
    pub(in crate::plots) fn fill(&mut self, corners: [(f64, f64); 2], colour: RGBColor, strength: f64) {
        sure(self.context.draw_series([Rectangle::new(corners, colour.mix(strength).filled())]));
    }

    /// The marker of a subject.
    pub(in crate::plots) fn marker(&mut self, at: (f64, f64), look: SubjectStyle, size: f64, hollow: bool) {
        sure(self.context.draw_series([Marker { at, look, size, hollow }]));
    }

    /// A vertical error bar.
    pub(in crate::plots) fn error_bar_up(&mut self, x: f64, [low, value, high]: [f64; 3], stroke: Stroke) {
        let style = stroke.style().filled();
        sure(self.context.draw_series([ErrorBar::new_vertical(x, low, value, high, style, px(ENDS) as u32)]));
    }

    /// A horizontal error bar.
    pub(in crate::plots) fn error_bar_across(&mut self, y: f64, [low, value, high]: [f64; 3], stroke: Stroke) {
        let style = stroke.style().filled();
        sure(self.context.draw_series([ErrorBar::new_horizontal(y, low, value, high, style, px(ENDS) as u32)]));
    }
}

/// Areas of panels in rows, each below its heading, and the total height.
pub(in crate::plots) fn panels(
    count: usize,
    (top, height): (f64, f64),
    (left, right): (f64, f64),
    columns: usize,
) -> (Vec<Area>, f64) {
    const GAP: f64 = 28.0;
    let head = SIZE * 1.6;
    let columns = columns.min(count.max(1));
    let each = (right - left - GAP * (columns - 1) as f64) / columns as f64;
    let areas = (0..count).map(|at| {
        let (row, column) = ((at / columns) as f64, (at % columns) as f64);
        let (left, top) = (left + column * (each + GAP), top + head + row * (height + head + 8.0));
        Area { left, top, right: left + each, bottom: top + height }
    });
    let areas: Vec<_> = areas.collect();
    let bottom = areas.iter().map(|area| area.bottom).fold(top, f64::max);
    (areas, bottom)
}
