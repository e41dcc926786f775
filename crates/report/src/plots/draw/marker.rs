//! Markers: the shapes by which transports differ in print and to the colour-blind.

use std::f64::consts::TAU;
use std::iter::{Once, once};

use plotters::element::{Drawable, PointCollection};
use plotters::style::Color;
use plotters_backend::{BackendCoord, DrawingBackend, DrawingErrorKind};

use super::style::{PAPER, Shape, SubjectStyle, px};

/// Width of the strokes of a marker.
const STROKE: f64 = 1.8;

/// A marker at a point; hollow for overloaded runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Marker<C> {
    pub(super) at: C,
    pub(super) look: SubjectStyle,
    pub(super) size: f64,
    pub(super) hollow: bool,
}

/// Closed outline around 0; empty for markers made of strokes.
fn outline(shape: Shape) -> Vec<(f64, f64)> {
    let regular = |corners: u32, turn: f64, size: f64| {
        let angle = |corner: u32| TAU * (f64::from(corner) / f64::from(corners) + turn);
        (0..=corners).map(|corner| (size * angle(corner).cos(), size * angle(corner).sin())).collect()
    };
    match shape {
        Shape::Circle => regular(24, 0.0, 1.0),
        Shape::Square => regular(4, 0.125, 1.2),
        Shape::Up => regular(3, 0.75, 1.3),
        Shape::Down => regular(3, 0.25, 1.3),
        Shape::Left => regular(3, 0.5, 1.3),
        Shape::Right => regular(3, 0.0, 1.3),
        Shape::Diamond => regular(4, 0.0, 1.35),
        Shape::Hexagon => regular(6, 0.0, 1.15),
        Shape::Cross | Shape::Plus | Shape::Star | Shape::Bar => Vec::new(),
    }
}

fn spokes(shape: Shape) -> &'static [f64] {
    match shape {
        Shape::Cross => &[0.125, 0.375],
        Shape::Plus => &[0.0, 0.25],
        Shape::Star => &[0.0, 1.0 / 6.0, 2.0 / 6.0],
        Shape::Bar => &[0.25],
        _ => &[],
    }
}

impl<'a, C> PointCollection<'a, C> for &'a Marker<C> {
    type Point = &'a C;
    type IntoIter = Once<&'a C>;

    fn point_iter(self) -> Self::IntoIter {
        once(&self.at)
    }
}

impl<C, B: DrawingBackend> Drawable<B> for Marker<C> {
    fn draw<I: Iterator<Item = BackendCoord>>(
        &self,
        mut points: I,
        backend: &mut B,
        _: (u32, u32),
    ) -> Result<(), DrawingErrorKind<B::ErrorType>> {
        let Some(at) = points.next() else { return Ok(()) };
        let SubjectStyle { colour, shape } = self.look;
        let moved = |(x, y): (f64, f64), size: f64| (at.0 + px(x * size), at.1 + px(y * size));
        let style = Color::stroke_width(&colour, px(STROKE) as u32);
        // Stroke markers cannot be hollow; a ring marks them.
        let body = if self.hollow && outline(shape).is_empty() { Shape::Circle } else { shape };
        let around: Vec<BackendCoord> = outline(body).into_iter().map(|point| moved(point, self.size)).collect();
        if !around.is_empty() {
            let fill = if self.hollow { PAPER.filled() } else { colour.filled() };
            if body == Shape::Circle {
                backend.draw_circle(at, px(self.size) as u32, &fill, true)?;
            } else {
                backend.fill_polygon(around.iter().copied(), &fill)?;
            }
            if self.hollow {
                backend.draw_path(around, &style)?;
            }
        }
        let reach = if body == shape { self.size * 1.2 } else { self.size };
        for turn in spokes(shape) {
            let (x, y) = ((TAU * turn).cos(), (TAU * turn).sin());
            backend.draw_path([moved((-x, -y), reach), moved((x, y), reach)], &style)?;
        }
        Ok(())
    }
}
