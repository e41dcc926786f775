//! Paints a scene on a plotters backend, the same for all formats.

use std::f64::consts::TAU;

use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, IntoFont, RGBAColor, ShapeStyle, TextStyle};
use plotters_backend::{BackendCoord, DrawingBackend, DrawingErrorKind};
use plotters_bitmap::BitMapBackend;

use super::scene::{Anchor, Area, EM, FAMILY, Mark, Scene, Stroke, fonts};
use super::style::{Colour, PAPER, Shape, WIDTH};
use super::svg::Pen;

/// Backend units per scene unit.
const FINE: u32 = 4;
/// Oversampling of bitmaps, for smooth edges.
const SMOOTH: usize = 2;
/// Length of a dash and of a gap.
const DASH: (f64, f64) = (7.0, 4.5);

type Done<B> = Result<(), DrawingErrorKind<<B as DrawingBackend>::ErrorType>>;

fn size(scene: &Scene) -> (u32, u32) {
    (WIDTH as u32 * FINE, scene.height.ceil() as u32 * FINE)
}

/// Renders a scene as SVG.
pub(in crate::plots) fn svg(scene: &Scene, title: &str) -> String {
    let mut pen = Pen::new(size(scene), FINE, title);
    match draw(scene, &mut pen, true) {
        Ok(()) | Err(DrawingErrorKind::FontError(_)) => pen.finish(),
        Err(DrawingErrorKind::DrawingError(never)) => match never {},
    }
}

/// Renders a scene as PNG on white.
pub(in crate::plots) fn png(scene: &Scene) -> Vec<u8> {
    let (width, height) = size(scene);
    let mut fine = vec![u8::MAX; width as usize * height as usize * 3];
    {
        let mut backend = BitMapBackend::with_buffer(&mut fine, (width, height));
        // The backend ignores pixels outside of the buffer.
        _ = draw(scene, &mut backend, false);
    }
    encoded(&smoothed(&fine, width as usize), width / SMOOTH as u32)
}

fn smoothed(fine: &[u8], width: usize) -> Vec<u8> {
    let row = width * 3;
    let mut out = Vec::with_capacity(fine.len() / SMOOTH / SMOOTH);
    for rows in fine.chunks_exact(row * SMOOTH) {
        let (above, below) = rows.split_at(row);
        for (above, below) in above.chunks_exact(3 * SMOOTH).zip(below.chunks_exact(3 * SMOOTH)) {
            for part in 0..3 {
                let sum: u16 = [above[part], above[part + 3], below[part], below[part + 3]].map(u16::from).iter().sum();
                out.push(((sum + 2) / 4) as u8);
            }
        }
    }
    out
}

fn encoded(pixels: &[u8], width: u32) -> Vec<u8> {
    let height = (pixels.len() / 3) as u32 / width.max(1);
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
    written.expect("a Vec takes everything, and the pixels are as many as the head says");
    out
}

/// A backend that may keep what only a page uses.
trait Canvas: DrawingBackend {
    fn begin(&mut self, _subject: &str) {}
    fn end(&mut self) {}
    fn tip(&mut self, _at: BackendCoord, _text: &str) {}
}

impl Canvas for BitMapBackend<'_> {}

impl Canvas for Pen {
    fn begin(&mut self, subject: &str) {
        self.begin_group(subject);
    }

    fn end(&mut self) {
        self.end_group();
    }

    fn tip(&mut self, at: BackendCoord, text: &str) {
        self.add_tip(at, text);
    }
}

/// Paints all marks; `clear` tells whether the backend supports transparency.
fn draw<B: Canvas>(scene: &Scene, backend: &mut B, clear: bool) -> Done<B> {
    fonts();
    let colour = |colour: Colour, strength: f64| {
        let mixed = |part: u8| (f64::from(part) * strength + 255.0 * (1.0 - strength)).round() as u8;
        match clear {
            true => RGBAColor(colour.0, colour.1, colour.2, strength),
            false => RGBAColor(mixed(colour.0), mixed(colour.1), mixed(colour.2), 1.0),
        }
    };
    if clear {
        let ground = Area { left: 0.0, top: 0.0, right: WIDTH, bottom: scene.height.ceil() };
        rect(backend, ground, &colour(PAPER, 1.0).filled())?;
    }
    for mark in &scene.marks {
        match mark {
            Mark::Line(points, stroke) => {
                let style = pen(colour(stroke.colour, stroke.strength), stroke.width);
                line(backend, points, stroke, style, clear)?;
            }
            Mark::Fill(area, of, strength) => rect(backend, *area, &colour(*of, *strength).filled())?,
            Mark::Frame(area, stroke) => {
                let corners = [
                    (area.left, area.top),
                    (area.right, area.top),
                    (area.right, area.bottom),
                    (area.left, area.bottom),
                    (area.left, area.top),
                ];
                line(backend, &corners, stroke, pen(colour(stroke.colour, 1.0), stroke.width), clear)?;
            }
            Mark::Dot { at, shape, colour: of, size, hollow } => {
                let style = pen(colour(*of, 1.0), 1.8);
                dot(backend, *at, *shape, *size, *hollow, (style, colour(PAPER, 1.0).filled()), clear)?;
            }
            Mark::Begin(subject) => backend.begin(subject),
            Mark::End => backend.end(),
            Mark::Tip { at, text } => backend.tip(coord(*at), text),
            Mark::Text { at, text, size, anchor, colour: of, bold } => {
                let face = if *bold { FontStyle::Bold } else { FontStyle::Normal };
                let across = match anchor {
                    Anchor::Start => HPos::Left,
                    Anchor::Middle => HPos::Center,
                    Anchor::End => HPos::Right,
                };
                let ink = colour(*of, 1.0);
                let scaled = size * EM * f64::from(FINE);
                let style =
                    TextStyle::from((FAMILY, scaled, face).into_font()).color(&ink).pos(Pos::new(across, VPos::Top));
                let (x, y) = coord(*at);
                backend.draw_text(text, &style, (x, y - (scaled / 2.0) as i32))?;
            }
        }
    }
    backend.present()
}

fn coord((x, y): (f64, f64)) -> BackendCoord {
    let at = |value: f64| (value * f64::from(FINE)).round() as i32;
    (at(x), at(y))
}

fn pen(colour: RGBAColor, width: f64) -> ShapeStyle {
    Color::stroke_width(&colour, (width * f64::from(FINE)).round().max(1.0) as u32)
}

fn rect<B: DrawingBackend>(backend: &mut B, area: Area, style: &ShapeStyle) -> Done<B> {
    backend.draw_rect(coord((area.left, area.top)), coord((area.right, area.bottom)), style, true)
}

fn line<B: DrawingBackend>(
    backend: &mut B,
    points: &[(f64, f64)],
    stroke: &Stroke,
    style: ShapeStyle,
    joined: bool,
) -> Done<B> {
    if stroke.dashed {
        return dashes(points).into_iter().try_for_each(|dash| polyline(backend, &dash, style, joined));
    }
    polyline(backend, points, style, joined)
}

/// Draws each segment of a thick line separately with a disc at the joints, because plotters'
/// polygons break at sharp turns.
fn polyline<B: DrawingBackend>(backend: &mut B, points: &[(f64, f64)], style: ShapeStyle, joined: bool) -> Done<B> {
    let mut points: Vec<BackendCoord> = points.iter().copied().map(coord).collect();
    points.dedup();
    if joined {
        return if points.len() > 1 { backend.draw_path(points, &style) } else { Ok(()) };
    }
    for pair in points.windows(2) {
        backend.draw_line(pair[0], pair[1], &style)?;
    }
    let inner = points.get(1..points.len().saturating_sub(1)).unwrap_or_default();
    let radius = style.stroke_width / 2;
    if radius > 1 {
        for point in inner {
            backend.draw_circle(*point, radius, &style.filled(), true)?;
        }
    }
    Ok(())
}

fn dashes(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let mut out = Vec::new();
    let (mut on, mut left) = (true, DASH.0);
    let mut dash: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if length <= left {
                left -= length;
                if on {
                    dash.push(to);
                }
                break;
            }
            let share = left / length;
            from = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            if on {
                dash.push(from);
                out.push(std::mem::take(&mut dash));
            } else {
                dash = vec![from];
            }
            on = !on;
            left = if on { DASH.0 } else { DASH.1 };
        }
    }
    out.push(dash);
    out.retain(|dash| dash.len() > 1);
    out
}

/// Closed outline of a marker around 0; empty for markers made of strokes.
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

fn dot<B: DrawingBackend>(
    backend: &mut B,
    at: (f64, f64),
    shape: Shape,
    size: f64,
    hollow: bool,
    (style, paper): (ShapeStyle, ShapeStyle),
    joined: bool,
) -> Done<B> {
    // Stroke markers cannot be hollow; a ring marks them.
    let body = if hollow && outline(shape).is_empty() { Shape::Circle } else { shape };
    let around: Vec<(f64, f64)> = outline(body).into_iter().map(|(x, y)| (at.0 + x * size, at.1 + y * size)).collect();
    if !around.is_empty() {
        let fill = if hollow { paper } else { style.filled() };
        if body == Shape::Circle {
            backend.draw_circle(coord(at), (size * f64::from(FINE)).round() as u32, &fill, true)?;
        } else {
            backend.fill_polygon(around.iter().copied().map(coord).collect::<Vec<_>>(), &fill)?;
        }
        if hollow {
            polyline(backend, &around, style, joined)?;
        }
    }
    let reach = if body == shape { size * 1.2 } else { size };
    for turn in spokes(shape) {
        let (x, y) = (reach * (TAU * turn).cos(), reach * (TAU * turn).sin());
        polyline(backend, &[(at.0 - x, at.1 - y), (at.0 + x, at.1 + y)], style, joined)?;
    }
    Ok(())
}
