//! Numbers as people write them.

/// Three figures.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 99.5 => format!("{value:.0}"),
        size if size >= 9.95 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_figures() {
        assert_eq!([0.123, 1.239, 12.39, 123.9, 12390.4].map(number), ["0.12", "1.24", "12.4", "124", "12390"]);
    }
}
