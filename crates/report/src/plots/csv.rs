//! The data of a plot as CSV: a header with units, one row per drawn item.

/// A CSV table.
pub(super) struct Csv {
    out: csv::Writer<Vec<u8>>,
}

impl Csv {
    /// An empty table with these columns.
    pub(super) fn new(columns: &[&str]) -> Self {
        let mut csv = Self { out: csv::Writer::from_writer(Vec::new()) };
        csv.row(columns.iter().map(|column| (*column).to_owned()));
        csv
    }

    /// Appends a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.out.write_record(cells).expect("a Vec takes everything, and every row of an plot has its columns");
    }

    /// The CSV text.
    pub(super) fn finish(self) -> String {
        let bytes = self.out.into_inner().expect("a Vec takes everything");
        String::from_utf8(bytes).expect("it was made of strings")
    }
}

/// A number with six significant digits; empty for `NaN`.
pub(super) fn cell(value: impl Into<Option<f64>>) -> String {
    match value.into().filter(|value| value.is_finite()) {
        None => String::new(),
        Some(0.0) => "0".to_owned(),
        Some(value) => {
            let digits = (5 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
            let text = format!("{value:.digits$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_numbers_are_short() {
        let mut csv = Csv::new(&["a", "b"]);
        csv.row(["x=1, y=\"2\"".to_owned(), cell(1.234_567_89)]);
        assert_eq!(csv.finish(), "a,b\n\"x=1, y=\"\"2\"\"\",1.23457\n");
        assert_eq!([cell(None), cell(0.0), cell(0.000_12), cell(250_000.0)], ["", "0", "0.00012", "250000"]);
    }
}
