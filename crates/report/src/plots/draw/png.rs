//! Writes a figure as PNG, on white, by plotters' bitmap backend.

use plotters::style::text_anchor::{Pos, VPos};
use plotters::style::{Color, FontStyle, IntoFont, RGBAColor, ShapeStyle, TextStyle};
use plotters_backend::{BackendColor, BackendCoord, DrawingBackend, DrawingErrorKind};
use plotters_bitmap::{BitMapBackend, BitMapBackendError};

use super::figure::Figure;
use super::recorder::Drawn;
use super::text::{EM, FAMILY, fonts};

/// Oversampling, for smooth edges.
const SMOOTH: usize = 2;

/// Renders a figure as PNG.
pub(in crate::plots) fn png(figure: &Figure) -> Vec<u8> {
    fonts();
    let (width, height) = figure.size();
    let mut fine = vec![u8::MAX; width as usize * height as usize * 3];
    {
        let mut backend = BitMapBackend::with_buffer(&mut fine, (width, height));
        // The backend ignores pixels outside of the buffer.
        _ = figure.drawn().iter().try_for_each(|drawn| paint(&mut backend, drawn)).and_then(|()| backend.present());
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

/// The colour on white: parts of a line overlap.
fn opaque(colour: BackendColor) -> RGBAColor {
    let mixed = |part: u8| (f64::from(part) * colour.alpha + 255.0 * (1.0 - colour.alpha)).round() as u8;
    let (red, green, blue) = colour.rgb;
    RGBAColor(mixed(red), mixed(green), mixed(blue), 1.0)
}

fn paint(backend: &mut BitMapBackend<'_>, drawn: &Drawn) -> Result<(), DrawingErrorKind<BitMapBackendError>> {
    let filled = |colour: &BackendColor| ShapeStyle { color: opaque(*colour), filled: true, stroke_width: 1 };
    match drawn {
        Drawn::Path { points, colour, width } => {
            line(backend, points, ShapeStyle { stroke_width: *width, ..filled(colour) })
        }
        Drawn::Rectangle { from, to, colour } => backend.draw_rect(*from, *to, &filled(colour), true),
        Drawn::Circle { at, radius, colour } => backend.draw_circle(*at, *radius, &filled(colour), true),
        Drawn::Polygon { points, colour } => backend.fill_polygon(points.iter().copied(), &filled(colour)),
        Drawn::Text { at: (x, y), text, size, anchor, bold, colour } => {
            let face = if *bold { FontStyle::Bold } else { FontStyle::Normal };
            let scaled = size * EM;
            let font = (FAMILY, scaled, face).into_font();
            let color = opaque(*colour).to_backend_color();
            let style = TextStyle { font, color, pos: Pos::new(*anchor, VPos::Top) };
            // Plotters draws a text from half a font size above its base line.
            backend.draw_text(text, &style, (*x, y - (scaled / 2.0) as i32))
        }
        Drawn::Begin(_) | Drawn::End | Drawn::Tip { .. } => Ok(()),
    }
}

/// Draws each segment of a thick line separately with a disc at the joints, because plotters'
/// polygons break at sharp turns.
fn line(
    backend: &mut BitMapBackend<'_>,
    points: &[BackendCoord],
    style: ShapeStyle,
) -> Result<(), DrawingErrorKind<BitMapBackendError>> {
    for pair in points.windows(2) {
        backend.draw_line(pair[0], pair[1], &style)?;
    }
    let inner = points.get(1..points.len().saturating_sub(1)).unwrap_or_default();
    let radius = style.stroke_width / 2;
    if radius > 1 {
        inner.iter().try_for_each(|point| backend.draw_circle(*point, radius, &style, true))?;
    }
    Ok(())
}
