//! Formats numbers for pages and sentences.

use results::MetricId;

use crate::stats::{Estimate, Ratio};

/// Placeholder of values that were not measured.
pub(crate) const DASH: &str = "–";

/// Three significant digits; commas between thousands.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => DASH.to_owned(),
        size if size >= 99.5 => grouped(&format!("{value:.0}")),
        size if size >= 9.95 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        size if size >= 0.0995 => format!("{value:.2}"),
        size if size >= 0.0095 => format!("{value:.3}"),
        size if size >= 0.000_95 => format!("{value:.4}"),
        _ => format!("{value:.1e}"),
    }
}

fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A value with its interval, `3.21 [3.10–3.40]`.
pub(crate) fn with_interval(value: &Estimate) -> String {
    match value.interval().map(|(low, high)| (number(low), number(high))) {
        Some((low, high)) if low != high => format!("{} [{low}–{high}]", number(value.value)),
        _ => number(value.value),
    }
}

/// A ratio with its interval, `1.02 [1.01–1.03]`; that of raw TCP to itself is 1 and has none.
pub(crate) fn ratio(value: &Ratio) -> String {
    match value.interval {
        Some((low, high)) if low < high => format!("{} [{}–{}]", number(value.value), number(low), number(high)),
        _ => number(value.value),
    }
}

/// An optional ratio, or a dash.
pub(crate) fn ratio_or_dash(value: Option<&Ratio>) -> String {
    value.map_or_else(|| DASH.to_owned(), ratio)
}

/// Six significant digits, for values that agree in three.
pub(crate) fn precise(value: &Estimate) -> String {
    let six = |value: f64| {
        let digits = (5.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 9.0);
        format!("{value:.*}", digits as usize)
    };
    match value.interval() {
        Some((low, high)) if low != high => format!("{} [{}–{}]", six(value.value), six(low), six(high)),
        _ => six(value.value),
    }
}

/// A value in the unit of its heading, with or without its interval.
pub(crate) fn shown(metric: MetricId, value: &Estimate, ends: bool) -> String {
    let value = value.times(metric.info().unit.factor);
    if ends { with_interval(&value) } else { number(value.value) }
}

/// An optional value, or a dash.
pub(crate) fn or_dash(value: Option<&Estimate>) -> String {
    value.map_or_else(|| DASH.to_owned(), with_interval)
}

/// A share in per cent.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", number(100.0 * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_figures_and_commas() {
        let found =
            [0.0, 0.000_01, 0.001_23, 0.0123, 0.123, 1.239, 12.39, 123.9, 12_390.4, 1_234_567.0, -1_234.0].map(number);
        assert_eq!(
            found,
            ["0", "1.0e-5", "0.0012", "0.012", "0.12", "1.24", "12.4", "124", "12,390", "1,234,567", "-1,234"]
        );
        assert_eq!(number(f64::NAN), DASH);
    }

    #[test]
    fn an_interval_without_a_width_is_left_out() {
        let value = |low, high| Estimate { value: 2.0, low, high, runs: 6, ..Estimate::default() };
        assert_eq!(with_interval(&value(Some(1.5), Some(2.5))), "2.00 [1.50–2.50]");
        let few = Estimate { least: Some(1.5), greatest: Some(2.5), runs: 3, ..value(None, None) };
        assert_eq!(with_interval(&few), "2.00");
        assert_eq!(with_interval(&value(Some(2.0), Some(2.0))), "2.00");
        assert_eq!(with_interval(&value(None, None)), "2.00");
    }
}
