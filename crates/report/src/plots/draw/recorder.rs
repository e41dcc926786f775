//! A plotters backend that keeps what is drawn: pictures in all formats, and tests, read it.

use std::convert::Infallible;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle,
};

use super::style::{FINE, WIDTH};
use super::text::{CAPITAL, EM};

/// More than the height of any figure.
const HEIGHT_MAX: u32 = 1 << 24;

type Done = Result<(), DrawingErrorKind<Infallible>>;

/// Something drawn.
pub(super) enum Drawn {
    Path {
        points: Vec<BackendCoord>,
        colour: BackendColor,
        width: u32,
    },
    Rectangle {
        from: BackendCoord,
        to: BackendCoord,
        colour: BackendColor,
    },
    Circle {
        at: BackendCoord,
        radius: u32,
        colour: BackendColor,
    },
    Polygon {
        points: Vec<BackendCoord>,
        colour: BackendColor,
    },
    /// A text on its base line.
    Text {
        at: BackendCoord,
        text: String,
        size: f64,
        anchor: HPos,
        bold: bool,
        colour: BackendColor,
    },
    /// All up to the next end belongs to a subject. A page can hide it.
    Begin(String),
    End,
    /// What a page says about a point.
    Tip {
        at: BackendCoord,
        text: String,
    },
}

/// The backend.
#[derive(Default)]
pub(in crate::plots) struct Recorder {
    pub(super) drawn: Vec<Drawn>,
}

impl Recorder {
    fn add(&mut self, drawn: Drawn) -> Done {
        self.drawn.push(drawn);
        Ok(())
    }
}

impl DrawingBackend for Recorder {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (WIDTH as u32 * FINE, HEIGHT_MAX)
    }

    fn ensure_prepared(&mut self) -> Done {
        Ok(())
    }

    fn present(&mut self) -> Done {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Done {
        self.add(Drawn::Rectangle { from: (x, y), to: (x + 1, y + 1), colour })
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Done {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Done {
        let mut points: Vec<BackendCoord> = path.into_iter().collect();
        points.dedup();
        if points.len() < 2 || style.color().alpha == 0.0 {
            return Ok(());
        }
        self.add(Drawn::Path { points, colour: style.color(), width: style.stroke_width() })
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S, fill: bool) -> Done {
        if fill {
            return self.add(Drawn::Rectangle { from, to, colour: style.color() });
        }
        self.draw_path([from, (to.0, from.1), to, (from.0, to.1), from], style)
    }

    fn draw_circle<S: BackendStyle>(&mut self, at: BackendCoord, radius: u32, style: &S, fill: bool) -> Done {
        if fill {
            return self.add(Drawn::Circle { at, radius, colour: style.color() });
        }
        plotters_backend::rasterizer::draw_circle(self, at, radius, style, fill)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, vert: I, style: &S) -> Done {
        self.add(Drawn::Polygon { points: vert.into_iter().collect(), colour: style.color() })
    }

    /// The height of a text is that of its capitals.
    fn draw_text<T: BackendTextStyle>(&mut self, text: &str, style: &T, (x, y): BackendCoord) -> Done {
        if text.is_empty() {
            return Ok(());
        }
        let size = style.size() / EM;
        let below = match style.anchor().v_pos {
            VPos::Top => size * CAPITAL,
            VPos::Center => size * CAPITAL / 2.0,
            VPos::Bottom => 0.0,
        };
        self.add(Drawn::Text {
            at: (x, y + below.round() as i32),
            text: text.to_owned(),
            size,
            anchor: style.anchor().h_pos,
            bold: matches!(style.style(), FontStyle::Bold),
            colour: style.color(),
        })
    }
}
