//! A plotters backend for compact SVG, whose text and background colours follow the page.

use std::convert::Infallible;
use std::fmt::Write;

use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle,
    text_anchor::HPos,
};

use super::scene::EM;
use super::style::{Colour, FAINT, HEAT, INK, PAPER, SOFT};

type Done = Result<(), DrawingErrorKind<Infallible>>;

/// Colours that follow the page: class and dark variant.
const FOLLOWING: [(Colour, &str, &str); 5] = [
    (INK, "ink", "#e8e8e8"),
    (SOFT, "soft", "#a8a8a8"),
    (FAINT, "faint", "#3a3a3a"),
    (PAPER, "paper", "#181818"),
    (HEAT, "heat", "#a6cdf0"),
];

/// The SVG text being written.
pub(super) struct Pen {
    size: (u32, u32),
    out: String,
}

impl Pen {
    /// An empty image; `scale` units are one pixel.
    pub(super) fn new(size: (u32, u32), scale: u32, title: &str) -> Self {
        let (width, height) = size;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" viewBox=\"0 0 {width} {height}\" \
             width=\"{}\" height=\"{}\" font-family=\"'DejaVu Sans',Verdana,'Helvetica Neue',Arial,sans-serif\" \
             fill=\"none\" stroke-linejoin=\"round\"><title>{}</title><style>",
            width / scale,
            height / scale,
            escaped(title),
        );
        let rule = |out: &mut String, light: bool| {
            for (colour, class, dark) in FOLLOWING {
                let colour = if light { hex((colour.0, colour.1, colour.2)) } else { dark.to_owned() };
                let both = [("fill", 'f'), ("stroke", 's')];
                for (what, letter) in both {
                    let written = write!(out, ".plot .{class}-{letter}{{{what}:var(--plot-{class},{colour})}}");
                    written.expect("a String takes everything");
                }
            }
        };
        rule(&mut out, true);
        out.push_str("@media screen and (prefers-color-scheme:dark){");
        rule(&mut out, false);
        out.push_str("}.plot .tip{pointer-events:all}</style>\n");
        Self { size, out }
    }

    /// The SVG text.
    pub(super) fn finish(self) -> String {
        self.out + "</svg>\n"
    }

    pub(super) fn begin_group(&mut self, subject: &str) {
        self.put(format_args!("<g data-subject=\"{}\">\n", escaped(subject)));
    }

    pub(super) fn end_group(&mut self) {
        self.out.push_str("</g>\n");
    }

    /// An invisible circle with a text, which browsers show without a script, too.
    pub(super) fn add_tip(&mut self, (x, y): BackendCoord, text: &str) {
        let text = escaped(text);
        self.put(format_args!("<circle class=\"tip\" cx=\"{x}\" cy=\"{y}\" r=\"24\"><title>{text}</title></circle>\n"));
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a String takes everything");
    }
}

fn hex((red, green, blue): (u8, u8, u8)) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn paint(what: &str, colour: BackendColor) -> String {
    let rgb = colour.rgb;
    let class = FOLLOWING.iter().find(|(of, ..)| (of.0, of.1, of.2) == rgb).map(|(_, class, _)| {
        let letter = &what[..1];
        format!(" class=\"{class}-{letter}\"")
    });
    let opacity = (colour.alpha < 1.0).then(|| format!(" opacity=\"{:.2}\"", colour.alpha));
    format!(" {what}=\"{}\"{}{}", hex(rgb), class.unwrap_or_default(), opacity.unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A path with relative coordinates.
fn steps(points: impl IntoIterator<Item = BackendCoord>) -> String {
    let mut out = String::new();
    let mut last: Option<BackendCoord> = None;
    for (x, y) in points {
        match last {
            None => write!(out, "M{x} {y}l"),
            Some((from_x, from_y)) => {
                let apart = if out.ends_with('l') { "" } else { " " };
                write!(out, "{apart}{} {}", x - from_x, y - from_y)
            }
        }
        .expect("a String takes everything");
        last = Some((x, y));
    }
    out
}

impl DrawingBackend for Pen {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Done {
        Ok(())
    }

    fn present(&mut self) -> Done {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Done {
        self.put(format_args!("<path d=\"M{x} {y}h1v1h-1z\"{}/>\n", paint("fill", colour)));
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Done {
        let (width, paint) = (style.stroke_width(), paint("stroke", style.color()));
        self.put(format_args!("<path d=\"{}\"{paint} stroke-width=\"{width}\"/>\n", steps(path)));
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Done {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S, fill: bool) -> Done {
        let path = format!("M{} {}h{}v{}h{}z", from.0, from.1, to.0 - from.0, to.1 - from.1, from.0 - to.0);
        if !fill {
            let (width, paint) = (style.stroke_width(), paint("stroke", style.color()));
            self.put(format_args!("<path d=\"{path}\"{paint} stroke-width=\"{width}\"/>\n"));
            return Ok(());
        }
        // Adjacent rectangles of one colour share an element, because heat maps have thousands.
        let paint = paint("fill", style.color());
        let end = format!("z\"{paint}/>\n");
        if self.out.ends_with(&end) {
            self.out.truncate(self.out.len() - end.len() + 1);
            self.put(format_args!("{path}\"{paint}/>\n"));
        } else {
            self.put(format_args!("<path d=\"{path}\"{paint}/>\n"));
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, (x, y): BackendCoord, radius: u32, style: &S, fill: bool) -> Done {
        let paint = paint(if fill { "fill" } else { "stroke" }, style.color());
        let width = if fill { String::new() } else { format!(" stroke-width=\"{}\"", style.stroke_width()) };
        self.put(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"{paint}{width}/>\n"));
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, vert: I, style: &S) -> Done {
        self.put(format_args!("<path d=\"{}\"{}/>\n", steps(vert), paint("fill", style.color())));
        Ok(())
    }

    /// The position is half a font size above the base line, as plotters draws bitmap text.
    fn draw_text<T: BackendTextStyle>(&mut self, text: &str, style: &T, (x, y): BackendCoord) -> Done {
        let size = style.size();
        let anchor = match style.anchor().h_pos {
            HPos::Left => "",
            HPos::Center => " text-anchor=\"middle\"",
            HPos::Right => " text-anchor=\"end\"",
        };
        let weight = if matches!(style.style(), FontStyle::Bold) { " font-weight=\"bold\"" } else { "" };
        self.put(format_args!(
            "<text x=\"{x}\" y=\"{:.0}\" font-size=\"{:.0}\"{anchor}{weight}{}>{}</text>\n",
            f64::from(y) + size / 2.0,
            size / EM,
            paint("fill", style.color()),
            escaped(text)
        ));
        Ok(())
    }
}
