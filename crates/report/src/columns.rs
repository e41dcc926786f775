//! Text for terminals of 80 columns: tables that leave out columns, and sentences that break
//! between words.

/// Columns of a terminal that every output fits.
pub const COLUMNS: usize = 80;
const GAP: &str = "  ";
/// A space at which no line ends.
const NO_BREAK: &str = "\u{a0}";
/// Letters of a parenthesis that is kept in one line.
const TOGETHER_MAX: usize = 30;

/// One column of a table: its heads, then a field for every row.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Shown without `--wide`, as long as there is room.
    narrow: bool,
    /// Words are aligned to the left, numbers to the right.
    words: bool,
    fields: Vec<String>,
    /// Shorter fields, used when the table does not fit 80 columns.
    short: Option<Vec<String>>,
}

impl Column {
    pub(crate) fn words(heads: &[&str]) -> Self {
        Self { narrow: true, words: true, fields: heads.iter().map(ToString::to_string).collect(), short: None }
    }

    pub(crate) fn numbers(heads: &[&str], narrow: bool) -> Self {
        Self { narrow, words: false, ..Self::words(heads) }
    }

    /// The column, shown only with `--wide`.
    pub(crate) fn only_wide(self) -> Self {
        Self { narrow: false, ..self }
    }

    /// The column with these fields below its heads.
    pub(crate) fn with(mut self, fields: impl IntoIterator<Item = String>) -> Self {
        self.fields.extend(fields);
        self
    }

    /// The column with shorter fields for a table that does not fit 80 columns. Called before [`Column::with`].
    pub(crate) fn or_short(mut self, fields: impl IntoIterator<Item = String>) -> Self {
        self.short = Some(self.fields.iter().cloned().chain(fields).collect());
        self
    }

    fn width(&self) -> usize {
        self.fields.iter().map(|field| field.chars().count()).max().unwrap_or(0)
    }
}

/// A table: all columns when `wide`, else the narrow ones. If they take more than 80 columns, the last
/// ones get their short fields, and then the last columns are left out.
pub(crate) fn table(mut columns: Vec<Column>, wide: bool) -> String {
    if !wide {
        columns.retain(|column| column.narrow);
        let width = |columns: &[Column]| columns.iter().map(|column| GAP.len() + column.width()).sum::<usize>();
        while columns.len() > 1 && width(&columns) - GAP.len() > COLUMNS {
            match columns.iter_mut().rev().find_map(|column| column.short.take().zip(Some(&mut column.fields))) {
                Some((short, fields)) => *fields = short,
                None => drop(columns.pop()),
            }
        }
    }
    let lines = columns.first().map_or(0, |column| column.fields.len());
    let line = |at: usize| {
        let fields = columns.iter().map(|column| {
            let (field, width) = (&column.fields[at], column.width());
            if column.words { format!("{field:<width$}") } else { format!("{field:>width$}") }
        });
        fields.collect::<Vec<_>>().join(GAP).trim_end().to_owned() + "\n"
    };
    (0..lines).map(line).collect()
}

/// A text in lines of at most 80 columns, broken between words only. Lines that continue one are
/// indented; lines that begin with a blank stay as they are.
pub fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let mut column = 0;
        for (at, word) in together(line).split(' ').enumerate() {
            let width = word.chars().count();
            let gap = usize::from(at > 0);
            if at > 0 && column + gap + width > COLUMNS && !line.starts_with(' ') {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                column = indent;
            } else {
                out.push_str(&" "[..gap]);
                column += gap;
            }
            out.push_str(&word.replace(NO_BREAK, " "));
            column += width;
        }
        out.push_str(end);
    }
    out
}

/// A text whose short parentheses and percentages have spaces at which no line ends.
pub(crate) fn together(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(from) = rest.find('(') {
        let to = rest[from..].find(')').map_or(rest.len(), |at| from + at + 1);
        out.push_str(&rest[..from]);
        let group = &rest[from..to];
        if group.chars().count() <= TOGETHER_MAX {
            out.push_str(&group.replace(' ', NO_BREAK));
        } else {
            out.push_str(group);
        }
        rest = &rest[to..];
    }
    out.push_str(rest);
    out.replace(" %", "\u{a0}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let field = |text: &str| [text.to_owned(), "100".to_owned()];
        vec![
            Column::words(&["x", ""]).with(["sse".to_owned(), "http-streaming".to_owned()]),
            Column::numbers(&["CPU", "µs"], true).with(field("1")),
            Column::numbers(&["p90", "ms"], false).with(field("2")),
        ]
    }

    #[test]
    fn columns_line_up_and_only_wide_tables_have_all() {
        let narrow = "x               CPU\n                 µs\nsse               1\nhttp-streaming  100\n";
        assert_eq!(table(columns(), false), narrow);
        let wide = table(columns(), true);
        assert_eq!(wide.lines().next(), Some("x               CPU  p90"));
    }

    #[test]
    fn columns_that_do_not_fit_are_left_out() {
        let mut columns = columns();
        columns.push(Column::numbers(&["long", ""], true).with(["y".repeat(70), "z".to_owned()]));
        assert!(!table(columns.clone(), false).contains("long") && table(columns, true).contains("long"));
    }

    #[test]
    fn no_line_ends_in_a_short_parenthesis_or_before_a_percent_sign() {
        let text = format!("{} (the same within 3.1 %), {} 5 % of", "x".repeat(70), "y".repeat(76));
        let broken = wrapped(&text, 2);
        assert_eq!(broken, format!("{}\n  (the same within 3.1 %),\n  {}\n  5 % of", "x".repeat(70), "y".repeat(76)));
    }

    #[test]
    fn sentences_break_between_words() {
        let text = format!("{} {}\n  {} kept\nshort", "word ".repeat(16).trim_end(), "x".repeat(90), "y".repeat(80));
        let lines: Vec<_> = wrapped(&text, 2).lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "word ".repeat(16).trim_end());
        assert_eq!(lines[1], format!("  {}", "x".repeat(90)));
        assert_eq!(lines[2..], [format!("  {} kept", "y".repeat(80)), "short".to_owned()]);
        assert_eq!(wrapped(&wrapped(&text, 0), 0), wrapped(&text, 0));
    }
}
