//! Measures and breaks texts in the bundled font.

use std::sync::Once;

use plotters::style::{FontStyle, IntoFont, register_font};

/// Name of the bundled font.
pub(super) const FAMILY: &str = "report-sans";
/// Width of the narrowest letter, as a share of the font size.
const NARROWEST: f64 = 0.27;
/// Height of capitals and digits, as a share of the font size.
pub(super) const CAPITAL: f64 = 0.73;

/// Width of a text.
pub(in crate::plots) fn width(text: &str, size: f64) -> f64 {
    measured(text, size, false)
}

pub(super) fn measured(text: &str, size: f64, bold: bool) -> f64 {
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
pub(super) fn balanced(text: &str, size: f64, most: f64) -> Vec<String> {
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
    // Measuring a text takes long, so it is not done for more letters than fit.
    let letters_max = (most / (size * NARROWEST)) as usize;
    let mut kept: String = text.chars().take(letters_max).collect();
    if kept.len() == text.len() && width(text, size) <= most {
        return kept;
    }
    while !kept.is_empty() && width(&format!("{kept}…"), size) > most {
        kept.pop();
    }
    kept + "…"
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
