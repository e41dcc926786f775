//! Colours, markers and sizes. Each transport has the same colour and marker in every plot.

use plotters::style::{Color, RGBColor, ShapeStyle};
use results::Subject;

/// Width of every plot. A unit is 1/800 of it, 0.2 mm on a printed page.
pub(in crate::plots) const WIDTH: f64 = 800.0;
/// Backend units per unit of a figure.
pub(super) const FINE: u32 = 4;
/// Font size of titles.
pub(in crate::plots) const TITLE: f64 = 21.0;
/// Font size of labels.
pub(in crate::plots) const SIZE: f64 = 16.5;
/// Font size of ticks and notes.
pub(in crate::plots) const SMALL: f64 = 15.0;

/// A length in backend units.
pub(super) fn px(length: f64) -> i32 {
    (length * f64::from(FINE)).round() as i32
}

/// Text and raw TCP; light on a dark page.
pub(in crate::plots) const INK: RGBColor = RGBColor(26, 26, 26);
/// Axes, notes and leaders.
pub(in crate::plots) const SOFT: RGBColor = RGBColor(96, 96, 96);
/// Grids.
pub(in crate::plots) const FAINT: RGBColor = RGBColor(221, 221, 221);
/// Background.
pub(in crate::plots) const PAPER: RGBColor = RGBColor(255, 255, 255);
/// Heat maps, with different opacities.
pub(in crate::plots) const HEAT: RGBColor = RGBColor(8, 48, 107);

/// Colours of parts, in stacking order. None is that of a transport.
pub(in crate::plots) const CLASSES: [RGBColor; 9] = [
    RGBColor(94, 79, 162),
    RGBColor(136, 204, 238),
    RGBColor(68, 170, 153),
    RGBColor(221, 204, 119),
    RGBColor(204, 102, 119),
    RGBColor(136, 34, 85),
    RGBColor(17, 119, 51),
    RGBColor(190, 190, 190),
    RGBColor(102, 102, 102),
];

/// Style of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::plots) struct Stroke {
    colour: RGBColor,
    width: f64,
    pub(super) dashed: bool,
    strength: f64,
}

impl Stroke {
    /// A solid line.
    pub(in crate::plots) const fn new(colour: RGBColor, width: f64) -> Self {
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

    pub(super) fn style(&self) -> ShapeStyle {
        self.colour.mix(self.strength).stroke_width(px(self.width).max(1) as u32)
    }
}

/// Markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plots) enum Shape {
    Circle,
    Square,
    Up,
    Down,
    Left,
    Right,
    Diamond,
    Hexagon,
    Cross,
    Plus,
    Star,
    Bar,
}

/// Colour and marker of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plots) struct SubjectStyle {
    pub(in crate::plots) colour: RGBColor,
    pub(in crate::plots) shape: Shape,
}

/// The colours of Okabe and Ito, which are distinguishable with any colour vision, and four with a
/// similar difference in lightness.
const STYLES: [SubjectStyle; 12] = [
    SubjectStyle { colour: INK, shape: Shape::Circle },
    SubjectStyle { colour: RGBColor(213, 94, 0), shape: Shape::Square },
    SubjectStyle { colour: RGBColor(230, 159, 0), shape: Shape::Up },
    SubjectStyle { colour: RGBColor(0, 158, 115), shape: Shape::Diamond },
    SubjectStyle { colour: RGBColor(86, 180, 233), shape: Shape::Down },
    SubjectStyle { colour: RGBColor(0, 114, 178), shape: Shape::Cross },
    SubjectStyle { colour: RGBColor(204, 121, 167), shape: Shape::Plus },
    SubjectStyle { colour: RGBColor(136, 84, 48), shape: Shape::Left },
    SubjectStyle { colour: RGBColor(153, 153, 51), shape: Shape::Right },
    SubjectStyle { colour: RGBColor(170, 68, 153), shape: Shape::Hexagon },
    SubjectStyle { colour: RGBColor(127, 127, 127), shape: Shape::Star },
    SubjectStyle { colour: RGBColor(187, 60, 60), shape: Shape::Bar },
];

/// Styles of all subjects of a job: fixed for the built-in server, the remaining ones for external
/// servers.
pub(in crate::plots) fn looks(subjects: &[Subject]) -> Vec<(Subject, SubjectStyle)> {
    let ours = |place: &usize| subjects.iter().any(|s| s.target.is_none() && s.transport.index() == *place);
    let free: Vec<usize> = (0..STYLES.len()).filter(|place| !ours(place)).collect();
    let mut free = free.iter().copied().cycle();
    let place = |subject: &Subject| match &subject.target {
        None => subject.transport.index() % STYLES.len(),
        Some(_) => free.next().unwrap_or(0),
    };
    let places: Vec<_> = subjects.iter().map(place).collect();
    subjects.iter().cloned().zip(places.into_iter().map(|place| STYLES[place])).collect()
}

#[cfg(test)]
mod tests {
    use wire::Transport;

    use super::*;

    #[test]
    fn no_two_transports_have_the_same_style() {
        for (at, one) in STYLES.iter().enumerate() {
            assert!(STYLES[..at].iter().all(|other| other.colour != one.colour && other.shape != one.shape), "{one:?}");
        }
        assert!(Transport::ALL.len() <= STYLES.len());
        assert!(STYLES.iter().all(|style| !CLASSES.contains(&style.colour)));
    }

    #[test]
    fn external_servers_have_styles_of_their_own() {
        let built_in = [Transport::Tcp, Transport::Websocket].map(Subject::builtin);
        let external = ["a", "b", "c"].map(|target| Subject::new(Transport::Websocket, target));
        let all = looks(&[built_in.as_slice(), &external].concat());
        let mut seen = Vec::new();
        for (subject, look) in &all {
            assert!(!seen.contains(look), "{subject}");
            seen.push(*look);
        }
        assert_eq!(all[1].1, looks(&built_in)[1].1);
    }
}
