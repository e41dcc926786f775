//! A figure: titles, texts and charts, in units of the figure.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind};
use plotters::element::{Drawable, PointCollection, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, IntoFont, RGBColor, TextStyle};
use plotters_backend::BackendCoord;

use super::marker::Marker;
use super::recorder::{Drawn, Recorder};
use super::style::{FINE, INK, SIZE, SMALL, SOFT, Stroke, SubjectStyle, TITLE, WIDTH, px};
use super::text::{EM, FAMILY, balanced, width, wrapped};

/// Maximum width of bold letters, relative to regular ones.
const BOLD: f64 = 1.15;
/// Size of the marker before a name.
const NAMED: f64 = 5.0;

fn coord((x, y): (f64, f64)) -> BackendCoord {
    (px(x), px(y))
}

/// What a recorder draws: it cannot fail.
pub(super) fn sure<T>(drawn: Result<T, DrawingAreaErrorKind<Infallible>>) -> T {
    drawn.expect("a recorder takes everything")
}

/// The style of a text of a size.
pub(super) fn text_style(size: f64, colour: RGBColor, bold: bool) -> TextStyle<'static> {
    let face = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = (FAMILY, size * EM * f64::from(FINE), face).into_font();
    TextStyle { font, color: colour.to_backend_color(), pos: Pos::default() }
}

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::plots) struct Area {
    pub(in crate::plots) left: f64,
    pub(in crate::plots) top: f64,
    pub(in crate::plots) right: f64,
    pub(in crate::plots) bottom: f64,
}

impl Area {
    /// Whether the rectangles overlap.
    pub(in crate::plots) fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }
}

/// A figure being drawn.
pub(in crate::plots) struct Figure {
    pub(in crate::plots) height: f64,
    recorder: Rc<RefCell<Recorder>>,
    pub(super) root: DrawingArea<Recorder, Shift>,
}

impl Figure {
    /// A figure with a title and a subtitle. Returns the height at which the content begins.
    pub(in crate::plots) fn titled(title: &str, about: &str) -> (Self, f64) {
        let recorder = Rc::new(RefCell::new(Recorder::default()));
        let figure = Self { height: 0.0, root: DrawingArea::from(&recorder), recorder };
        let mut line = 28.0;
        for text in wrapped(title, TITLE * BOLD, WIDTH - 24.0) {
            figure.write((12.0, line), &text, text_style(TITLE, INK, true), (HPos::Left, VPos::Bottom));
            line += TITLE * 1.2;
        }
        line -= TITLE * 1.2 - 23.0;
        for text in balanced(about, SMALL, WIDTH - 24.0) {
            figure.note((12.0, line), &text);
            line += SMALL * 1.25;
        }
        (figure, line)
    }

    /// Draws what belongs to a subject.
    pub(in crate::plots) fn group(&self, subject: &str, draw: impl FnOnce()) {
        self.record(Drawn::Begin(subject.to_owned()));
        draw();
        self.record(Drawn::End);
    }

    pub(in crate::plots) fn tip(&self, at: (f64, f64), text: String) {
        self.record(Drawn::Tip { at: coord(at), text });
    }

    /// A line between points of the figure.
    pub(in crate::plots) fn line(&self, points: &[(f64, f64)], stroke: Stroke) {
        let points: Vec<BackendCoord> = points.iter().copied().map(coord).collect();
        self.draw(&plotters::element::PathElement::new(points, stroke.style()));
    }

    pub(in crate::plots) fn fill(&self, area: Area, colour: RGBColor, strength: f64) {
        let ends = [coord((area.left, area.top)), coord((area.right, area.bottom))];
        self.draw(&Rectangle::new(ends, colour.mix(strength).filled()));
    }

    /// The marker and the name of a subject.
    pub(in crate::plots) fn name(&self, at: (f64, f64), name: &str, look: (SubjectStyle, bool)) {
        self.name_within(at, name, look, f64::INFINITY);
    }

    /// The same within a width; longer names get a smaller font.
    pub(in crate::plots) fn name_within(
        &self,
        (x, y): (f64, f64),
        name: &str,
        (look, hollow): (SubjectStyle, bool),
        room: f64,
    ) {
        self.draw(&Marker { at: coord((x, y)), look, size: NAMED, hollow });
        self.label_within((x + 12.0, y), name, room - 12.0);
    }

    /// A small text from its base line.
    pub(in crate::plots) fn note(&self, at: (f64, f64), text: &str) {
        self.write(at, text, text_style(SMALL, SOFT, false), (HPos::Left, VPos::Bottom));
    }

    /// The same, centred.
    pub(in crate::plots) fn centred_note(&self, at: (f64, f64), text: &str) {
        self.write(at, text, text_style(SMALL, SOFT, false), (HPos::Center, VPos::Bottom));
    }

    /// A label, vertically centred.
    pub(in crate::plots) fn label(&self, at: (f64, f64), text: &str) {
        self.label_within(at, text, f64::INFINITY);
    }

    /// A label of limited width; longer ones get a smaller font.
    pub(in crate::plots) fn label_within(&self, at: (f64, f64), text: &str, room: f64) {
        let size = SIZE * (room / width(text, SIZE)).min(1.0);
        self.write(at, text, text_style(size, INK, false), (HPos::Left, VPos::Center));
    }

    /// A small label, vertically centred.
    pub(in crate::plots) fn small(&self, at: (f64, f64), text: &str) {
        self.write(at, text, text_style(SMALL, SOFT, false), (HPos::Left, VPos::Center));
    }

    fn write(&self, at: (f64, f64), text: &str, style: TextStyle<'_>, (across, up): (HPos, VPos)) {
        sure(self.root.draw_text(text, &style.pos(Pos::new(across, up)), coord(at)));
    }

    fn draw<'a, E>(&self, element: &'a E)
    where
        &'a E: PointCollection<'a, BackendCoord>,
        E: Drawable<Recorder>,
    {
        sure(self.root.draw(element));
    }

    fn record(&self, drawn: Drawn) {
        self.recorder.borrow_mut().drawn.push(drawn);
    }

    /// The size in backend units.
    pub(super) fn size(&self) -> (u32, u32) {
        (WIDTH as u32 * FINE, self.height.ceil() as u32 * FINE)
    }

    /// What was drawn, in order.
    pub(super) fn drawn(&self) -> std::cell::Ref<'_, [Drawn]> {
        std::cell::Ref::map(self.recorder.borrow(), |recorder| recorder.drawn.as_slice())
    }

    /// All texts with their rectangles.
    #[cfg(test)]
    pub(in crate::plots) fn texts(&self) -> Vec<(Area, String)> {
        let texts = self.drawn();
        let texts = texts.iter().filter_map(|drawn| match drawn {
            Drawn::Text { at, text, size, anchor, bold, .. } => {
                let [x, base, size] = [f64::from(at.0), f64::from(at.1), *size].map(|length| length / f64::from(FINE));
                let width = super::text::measured(text, size, *bold);
                let left = match anchor {
                    HPos::Left => x,
                    HPos::Center => x - width / 2.0,
                    HPos::Right => x - width,
                };
                let (top, bottom) = (base - size * super::text::CAPITAL, base + size * 0.2);
                Some((Area { left, top, right: left + width, bottom }, text.clone()))
            }
            _ => None,
        });
        texts.collect()
    }
}
