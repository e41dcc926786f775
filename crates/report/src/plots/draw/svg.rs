//! Writes a figure as compact SVG, whose text and background colours follow the page.

use std::fmt::{Arguments, Write};

use plotters::style::RGBColor;
use plotters_backend::text_anchor::HPos;
use plotters_backend::{BackendColor, BackendCoord};

use super::figure::Figure;
use super::recorder::Drawn;
use super::style::{FAINT, FINE, HEAT, INK, PAPER, SOFT};

/// Colours that follow the page: class and dark variant.
const FOLLOWING: [(RGBColor, &str, &str); 5] = [
    (INK, "ink", "#e8e8e8"),
    (SOFT, "soft", "#a8a8a8"),
    (FAINT, "faint", "#3a3a3a"),
    (PAPER, "paper", "#181818"),
    (HEAT, "heat", "#a6cdf0"),
];

/// Renders a figure as SVG.
pub(in crate::plots) fn svg(figure: &Figure, title: &str) -> String {
    let mut pen = Pen::new(figure.size(), title);
    figure.drawn().iter().for_each(|drawn| pen.draw(drawn));
    pen.out + "</svg>\n"
}

/// The SVG text being written.
struct Pen {
    out: String,
}

impl Pen {
    fn new((width, height): (u32, u32), title: &str) -> Self {
        let mut pen = Self { out: String::new() };
        pen.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" viewBox=\"0 0 {width} {height}\" \
             width=\"{}\" height=\"{}\" font-family=\"'DejaVu Sans',Verdana,'Helvetica Neue',Arial,sans-serif\" \
             fill=\"none\" stroke-linejoin=\"round\"><title>{}</title><style>",
            width / FINE,
            height / FINE,
            escaped(title),
        ));
        pen.colours(true);
        pen.out.push_str("@media screen and (prefers-color-scheme:dark){");
        pen.colours(false);
        pen.out.push_str("}.plot .tip{pointer-events:all}</style>\n");
        let paper = paint("fill", BackendColor { alpha: 1.0, rgb: (PAPER.0, PAPER.1, PAPER.2) });
        pen.put(format_args!("<path d=\"M0 0h{width}v{height}h-{width}z\"{paint}/>\n", paint = paper));
        pen
    }

    fn colours(&mut self, light: bool) {
        for (colour, class, dark) in FOLLOWING {
            let colour = if light { hex((colour.0, colour.1, colour.2)) } else { dark.to_owned() };
            for (what, letter) in [("fill", 'f'), ("stroke", 's')] {
                self.put(format_args!(".plot .{class}-{letter}{{{what}:var(--plot-{class},{colour})}}"));
            }
        }
    }

    fn put(&mut self, text: Arguments<'_>) {
        self.out.write_fmt(text).expect("a String takes everything");
    }

    fn draw(&mut self, drawn: &Drawn) {
        match drawn {
            Drawn::Path { points, colour, width } => {
                let (path, paint) = (steps(points), paint("stroke", *colour));
                self.put(format_args!("<path d=\"{path}\"{paint} stroke-width=\"{width}\"/>\n"));
            }
            Drawn::Rectangle { from, to, colour } => self.rectangle(*from, *to, *colour),
            Drawn::Circle { at: (x, y), radius, colour } => {
                self.put(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"{}/>\n", paint("fill", *colour)));
            }
            Drawn::Polygon { points, colour } => {
                self.put(format_args!("<path d=\"{}\"{}/>\n", steps(points), paint("fill", *colour)));
            }
            Drawn::Text { at: (x, y), text, size, anchor, bold, colour } => {
                let anchor = match anchor {
                    HPos::Left => "",
                    HPos::Center => " text-anchor=\"middle\"",
                    HPos::Right => " text-anchor=\"end\"",
                };
                let weight = if *bold { " font-weight=\"bold\"" } else { "" };
                let (paint, text) = (paint("fill", *colour), escaped(text));
                self.put(format_args!(
                    "<text x=\"{x}\" y=\"{y}\" font-size=\"{size:.0}\"{anchor}{weight}{paint}>{text}</text>\n"
                ));
            }
            Drawn::Begin(subject) => self.put(format_args!("<g data-subject=\"{}\">\n", escaped(subject))),
            Drawn::End => self.out.push_str("</g>\n"),
            // An invisible circle with a text, which browsers show without a script, too.
            Drawn::Tip { at: (x, y), text } => self.put(format_args!(
                "<circle class=\"tip\" cx=\"{x}\" cy=\"{y}\" r=\"24\"><title>{}</title></circle>\n",
                escaped(text)
            )),
        }
    }

    /// Adjacent rectangles of one colour share an element, because heat maps have thousands.
    fn rectangle(&mut self, from: BackendCoord, to: BackendCoord, colour: BackendColor) {
        let path = format!("M{} {}h{}v{}h{}z", from.0, from.1, to.0 - from.0, to.1 - from.1, from.0 - to.0);
        let paint = paint("fill", colour);
        let end = format!("z\"{paint}/>\n");
        if self.out.ends_with(&end) {
            self.out.truncate(self.out.len() - end.len() + 1);
            self.put(format_args!("{path}\"{paint}/>\n"));
        } else {
            self.put(format_args!("<path d=\"{path}\"{paint}/>\n"));
        }
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
fn steps(points: &[BackendCoord]) -> String {
    let mut out = String::new();
    let mut last: Option<BackendCoord> = None;
    for &(x, y) in points {
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
