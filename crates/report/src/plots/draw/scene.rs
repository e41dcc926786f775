//! A plot as a list of marks, and the measurement of its texts.

use std::sync::Once;

use plotters::style::{FontStyle, IntoFont, register_font};

use super::style::{Colour, INK, SIZE, SMALL, SOFT, Shape, TITLE, WIDTH};

/// Name of the bundled font.
pub(super) const FAMILY: &str = "report-sans";
/// Maximum width of bold letters, relative to regular ones.
const BOLD: f64 = 1.15;
/// Height of capitals and digits.
const CAPITAL: f64 = 0.73;

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

/// Style of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::plots) struct Stroke {
    pub(in crate::plots) colour: Colour,
    pub(in crate::plots) width: f64,
    pub(in crate::plots) dashed: bool,
    pub(in crate::plots) strength: f64,
}

impl Stroke {
    /// A solid line.
    pub(in crate::plots) const fn new(colour: Colour, width: f64) -> Self {
        Self { colour, width, dashed: false, strength: 1.0 }
    }

    /// The style, dashed or not.
    pub(in crate::plots) const fn dashed(self, dashed: bool) -> Self {
        Self { dashed, ..self }
    }

    /// The style, paler.
    pub(in crate::plots) const fn pale(self, strength: f64) -> Self {
        Self { strength, ..self }
    }
}

/// Horizontal anchor of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plots) enum Anchor {
    Start,
    Middle,
    End,
}

/// A mark of a plot.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::plots) enum Mark {
    /// A polyline.
    Line(Vec<(f64, f64)>, Stroke),
    /// A filled rectangle with an opacity.
    Fill(Area, Colour, f64),
    /// A rectangle outline.
    Frame(Area, Stroke),
    /// A marker; hollow for overloaded runs.
    Dot { at: (f64, f64), shape: Shape, colour: Colour, size: f64, hollow: bool },
    /// The marks up to the next end belong to a subject. A page can hide them.
    Begin(String),
    /// The end of a group.
    End,
    /// What a page says about a point.
    Tip { at: (f64, f64), text: String },
    /// Text on its base line.
    Text { at: (f64, f64), text: String, size: f64, anchor: Anchor, colour: Colour, bold: bool },
}

/// A plot as marks.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::plots) struct Scene {
    pub(in crate::plots) height: f64,
    pub(in crate::plots) marks: Vec<Mark>,
}

impl Scene {
    /// A scene with a title and a subtitle. Returns the height at which the content begins.
    pub(in crate::plots) fn titled(title: &str, about: &str) -> (Self, f64) {
        let mut scene = Self { height: 0.0, marks: Vec::new() };
        let mut line = 28.0;
        for text in wrapped(title, TITLE * BOLD, WIDTH - 24.0) {
            scene.push_text((12.0, line), &text, TITLE, Anchor::Start, INK, true);
            line += TITLE * 1.2;
        }
        line -= TITLE * 1.2 - 23.0;
        for text in balanced(about, SMALL, WIDTH - 24.0) {
            scene.text((12.0, line), &text, SMALL, Anchor::Start, SOFT);
            line += SMALL * 1.25;
        }
        (scene, line)
    }

    /// Draws the marks of a subject.
    pub(in crate::plots) fn group(&mut self, subject: &str, draw: impl FnOnce(&mut Self)) {
        self.marks.push(Mark::Begin(subject.to_owned()));
        draw(self);
        self.marks.push(Mark::End);
    }

    pub(in crate::plots) fn tip(&mut self, at: (f64, f64), text: String) {
        self.marks.push(Mark::Tip { at, text });
    }

    pub(in crate::plots) fn line(&mut self, points: Vec<(f64, f64)>, stroke: Stroke) {
        if points.len() > 1 {
            self.marks.push(Mark::Line(points, stroke));
        }
    }

    pub(in crate::plots) fn fill(&mut self, area: Area, colour: Colour) {
        self.marks.push(Mark::Fill(area, colour, 1.0));
    }

    pub(in crate::plots) fn dot(&mut self, at: (f64, f64), shape: Shape, colour: Colour, size: f64, hollow: bool) {
        self.marks.push(Mark::Dot { at, shape, colour, size, hollow });
    }

    pub(in crate::plots) fn text(&mut self, at: (f64, f64), text: &str, size: f64, anchor: Anchor, colour: Colour) {
        self.push_text(at, text, size, anchor, colour, false);
    }

    /// A label, vertically centred.
    pub(in crate::plots) fn label(&mut self, at: (f64, f64), text: &str, anchor: Anchor) {
        self.text((at.0, at.1 + SIZE * CAPITAL / 2.0), text, SIZE, anchor, INK);
    }

    /// A label of limited width; longer ones get a smaller font.
    pub(in crate::plots) fn label_within(&mut self, at: (f64, f64), text: &str, room: f64) {
        let size = SIZE * (room / width(text, SIZE)).min(1.0);
        self.text((at.0, at.1 + size * CAPITAL / 2.0), text, size, Anchor::Start, INK);
    }

    /// A small label.
    pub(in crate::plots) fn small(&mut self, at: (f64, f64), text: &str, anchor: Anchor) {
        self.text((at.0, at.1 + SMALL * CAPITAL / 2.0), text, SMALL, anchor, SOFT);
    }

    fn push_text(&mut self, at: (f64, f64), text: &str, size: f64, anchor: Anchor, colour: Colour, bold: bool) {
        if !text.is_empty() {
            self.marks.push(Mark::Text { at, text: text.to_owned(), size, anchor, colour, bold });
        }
    }
}

/// Rectangle of a text.
#[cfg(test)]
pub(in crate::plots) fn room(mark: &Mark) -> Option<Area> {
    let Mark::Text { at, text, size, anchor, bold, .. } = mark else { return None };
    let width = measured(text, *size, *bold);
    let left = at.0
        - match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
    Some(Area { left, top: at.1 - size * CAPITAL, right: left + width, bottom: at.1 + size * 0.2 })
}

/// Width of a text.
pub(in crate::plots) fn width(text: &str, size: f64) -> f64 {
    measured(text, size, false)
}

fn measured(text: &str, size: f64, bold: bool) -> f64 {
    const FINE: f64 = 16.0;
    fonts();
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = (FAMILY, size * EM * FINE, style).into_font();
    font.box_size(text).map_or(text.chars().count() as f64 * size * 0.6, |(width, _)| f64::from(width) / FINE)
}

/// Font size for plotters, which scales a font by its line height.
pub(super) const EM: f64 = 1.164;

/// Registers the bundled font once.
pub(super) fn fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let faces = [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())];
        // If the font cannot be read, an estimate is used; a test checks that it can.
        for (style, face) in faces {
            _ = register_font(FAMILY, style, face);
        }
    });
}

/// Breaks a text into as few lines as possible, of similar widths.
fn balanced(text: &str, size: f64, most: f64) -> Vec<String> {
    let lines = wrapped(text, size, most);
    let narrower = (1..20).map(|step| wrapped(text, size, most * (1.0 - 0.03 * f64::from(step))));
    narrower.take_while(|other| other.len() == lines.len()).last().unwrap_or(lines)
}

/// Breaks a text into lines of a maximum width.
pub(in crate::plots) fn wrapped(text: &str, size: f64, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(shortened(word, size, most)),
        }
    }
    lines
}

/// Truncates a text to a width, with an ellipsis.
pub(in crate::plots) fn shortened(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while !kept.is_empty() && width(&format!("{}…", kept.iter().collect::<String>()), size) > most {
        kept.pop();
    }
    kept.into_iter().chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fonts_exist_and_text_has_a_width() {
        assert!((width("0000", 10.0) - 25.4).abs() < 0.5, "{}", width("0000", 10.0));
        assert!(measured("long polling", 10.0, true) > width("long polling", 10.0));
    }

    #[test]
    fn lines_break_between_words_and_long_words_are_cut() {
        let lines = wrapped("one two three four five six", 10.0, 60.0);
        assert!(lines.len() > 1 && lines.iter().all(|line| width(line, 10.0) <= 60.0), "{lines:?}");
        assert!(shortened("a-very-long-name-of-something", 10.0, 60.0).ends_with('…'));
    }
}
