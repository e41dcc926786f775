//! Colours, markers and sizes. Each transport has the same colour and marker in every plot.

use results::Subject;

/// Width of every plot. A unit is 1/800 of it, 0.2 mm on a printed page.
pub(in crate::plots) const WIDTH: f64 = 800.0;
/// Font size of titles.
pub(in crate::plots) const TITLE: f64 = 21.0;
/// Font size of labels.
pub(in crate::plots) const SIZE: f64 = 16.5;
/// Font size of ticks and notes.
pub(in crate::plots) const SMALL: f64 = 15.0;

/// Red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plots) struct Colour(pub(in crate::plots) u8, pub(in crate::plots) u8, pub(in crate::plots) u8);

/// Text and raw TCP; light on a dark page.
pub(in crate::plots) const INK: Colour = Colour(26, 26, 26);
/// Axes, notes and leaders.
pub(in crate::plots) const SOFT: Colour = Colour(96, 96, 96);
/// Grids.
pub(in crate::plots) const FAINT: Colour = Colour(221, 221, 221);
/// Background.
pub(in crate::plots) const PAPER: Colour = Colour(255, 255, 255);
/// Heat maps, with different opacities.
pub(in crate::plots) const HEAT: Colour = Colour(8, 48, 107);

/// Colours of parts, in stacking order. None is that of a transport.
pub(in crate::plots) const CLASSES: [Colour; 9] = [
    Colour(94, 79, 162),
    Colour(136, 204, 238),
    Colour(68, 170, 153),
    Colour(221, 204, 119),
    Colour(204, 102, 119),
    Colour(136, 34, 85),
    Colour(17, 119, 51),
    Colour(190, 190, 190),
    Colour(102, 102, 102),
];

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
    pub(in crate::plots) colour: Colour,
    pub(in crate::plots) shape: Shape,
}

/// The colours of Okabe and Ito, which are distinguishable with any colour vision, and four with a
/// similar difference in lightness.
const STYLES: [SubjectStyle; 12] = [
    SubjectStyle { colour: INK, shape: Shape::Circle },
    SubjectStyle { colour: Colour(213, 94, 0), shape: Shape::Square },
    SubjectStyle { colour: Colour(230, 159, 0), shape: Shape::Up },
    SubjectStyle { colour: Colour(0, 158, 115), shape: Shape::Diamond },
    SubjectStyle { colour: Colour(86, 180, 233), shape: Shape::Down },
    SubjectStyle { colour: Colour(0, 114, 178), shape: Shape::Cross },
    SubjectStyle { colour: Colour(204, 121, 167), shape: Shape::Plus },
    SubjectStyle { colour: Colour(136, 84, 48), shape: Shape::Left },
    SubjectStyle { colour: Colour(153, 153, 51), shape: Shape::Right },
    SubjectStyle { colour: Colour(170, 68, 153), shape: Shape::Hexagon },
    SubjectStyle { colour: Colour(127, 127, 127), shape: Shape::Star },
    SubjectStyle { colour: Colour(187, 60, 60), shape: Shape::Bar },
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
