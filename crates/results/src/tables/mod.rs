//! The CSV files of a results folder. The header, the rows, the description in `results/README.md`
//! and the schema of a table follow from one list of columns. An empty cell was not measured.

mod costs;
mod runs;
mod seconds;
mod slices;

use std::fmt::Write;

use serde_json::{Value, json};

use crate::RunRecord;

/// A CSV file of a results folder.
pub(crate) struct Table {
    /// File name.
    pub(crate) file: &'static str,
    /// What a row is.
    pub(crate) row: &'static str,
    columns: fn() -> Vec<(String, String)>,
    write: fn(&[RunRecord]) -> csv::Result<Vec<u8>>,
}

/// All tables.
pub(crate) const TABLES: [Table; 4] = [
    Table {
        file: "runs.csv",
        row: "a run",
        columns: || named(runs::columns()),
        write: |records| written(&runs::columns(), records.iter()),
    },
    Table {
        file: "slices.csv",
        row: "a slice: one measured window of a run",
        columns: || named(slices::columns()),
        write: |records| written(&slices::columns(), records.iter().flat_map(slices::rows)),
    },
    Table {
        file: "seconds.csv",
        row: "a second of a run",
        columns: || named(seconds::columns()),
        write: |records| written(&seconds::columns(), records.iter().flat_map(seconds::rows)),
    },
    Table {
        file: "costs.csv",
        row: "a cost of a run",
        columns: || named(costs::columns()),
        write: |records| written(&costs::columns(), records.iter().flat_map(costs::rows)),
    },
];

impl Table {
    /// The file for these runs.
    pub(crate) fn csv(&self, records: &[RunRecord]) -> csv::Result<Vec<u8>> {
        (self.write)(records)
    }
}

/// All tables and their columns in Markdown, for `results/README.md`.
pub fn tables_markdown() -> String {
    let mut out = String::new();
    for table in &TABLES {
        write!(out, "### `{}`\nOne row: {}.\n\n| column | what it is |\n|---|---|\n", table.file, table.row)
            .expect("writing to a string cannot fail");
        for (name, doc) in (table.columns)() {
            writeln!(out, "| `{name}` | {doc} |").expect("writing to a string cannot fail");
        }
        out.push('\n');
    }
    out
}

/// The columns of all tables as JSON.
pub(crate) fn tables_schema() -> Value {
    let columns = |table: &Table| {
        let columns = (table.columns)().into_iter().map(|(name, doc)| json!({"name": name, "description": doc}));
        json!({"row": table.row, "columns": columns.collect::<Vec<_>>()})
    };
    TABLES.iter().map(|table| (table.file.to_owned(), columns(table))).collect::<serde_json::Map<_, _>>().into()
}

/// A column of a table with rows of `R`.
struct Column<R> {
    name: String,
    doc: String,
    cell: Box<dyn Fn(&R) -> Cell>,
}

impl<R> Column<R> {
    fn new(name: impl Into<String>, doc: impl Into<String>, cell: impl Fn(&R) -> Cell + 'static) -> Self {
        Self { name: name.into(), doc: doc.into(), cell: Box::new(cell) }
    }
}

/// Text of a cell.
struct Cell(String);

impl<T: ToString> From<T> for Cell {
    fn from(value: T) -> Self {
        Self(value.to_string())
    }
}

/// A cell that is empty for `None`.
fn maybe(value: Option<impl ToString>) -> Cell {
    Cell(value.map(|value| value.to_string()).unwrap_or_default())
}

fn named<R>(columns: Vec<Column<R>>) -> Vec<(String, String)> {
    columns.into_iter().map(|column| (column.name, column.doc)).collect()
}

fn written<R: std::borrow::Borrow<T>, T>(columns: &[Column<T>], rows: impl Iterator<Item = R>) -> csv::Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(columns.iter().map(|column| &column.name))?;
    for row in rows {
        out.write_record(columns.iter().map(|column| (column.cell)(row.borrow()).0))?;
    }
    out.into_inner().map_err(|error| error.into_error().into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{ByteClass, Direction, MetricId, TrafficCounts, TrafficKind, invented};

    fn records() -> Vec<RunRecord> {
        invented::results_folder(&[100, 1000]).runs.into_iter().map(|run| run.record).collect()
    }

    /// The header and the rows of a table that was written and read again.
    fn read(file: &str, records: &[RunRecord]) -> (Vec<String>, Vec<csv::StringRecord>) {
        let table = TABLES.iter().find(|table| table.file == file).unwrap();
        let bytes = table.csv(records).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
        (header, reader.into_records().map(Result::unwrap).collect())
    }

    fn at<'a>(header: &[String], row: &'a csv::StringRecord, column: &str) -> &'a str {
        &row[header.iter().position(|name| name == column).unwrap_or_else(|| panic!("no column {column}"))]
    }

    #[test]
    fn columns_have_unique_names_and_a_description() {
        for table in &TABLES {
            let columns = (table.columns)();
            assert_eq!(columns.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len(), columns.len());
            for (name, doc) in columns {
                assert!(!doc.is_empty() && !doc.contains('|'), "{name}");
                assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
            }
        }
    }

    #[test]
    fn a_run_is_a_row_with_its_metrics() {
        let mut records = records();
        records[1].verdict.reasons = vec!["a, \"b\"".to_owned(), "c".to_owned()];
        let (header, rows) = read("runs.csv", &records);
        assert_eq!(rows.len(), records.len());
        for (row, record) in rows.iter().zip(&records) {
            assert_eq!(at(&header, row, "transport"), record.transport.name());
            assert_eq!(at(&header, row, "point"), record.point);
            assert_eq!(at(&header, row, "reasons"), record.verdict.reasons.join("; "));
            let cpu: f64 = at(&header, row, "server_cpu_us_per_message").parse().unwrap();
            assert_eq!(Some(cpu), MetricId::ServerCpuPerMessage.value(record));
            let median: f64 = at(&header, row, "delivery_p50_ms").parse().unwrap();
            let low: f64 = at(&header, row, "delivery_p50_ms_low").parse().unwrap();
            assert!(Some(median) == MetricId::DeliveryP50.value(record) && low <= median);
            assert_eq!(at(&header, row, "delivery_p99_99_ms"), "");
        }
    }

    #[test]
    fn seconds_are_rows_whose_cpu_is_that_of_the_second() {
        let records = records();
        let (header, rows) = read("seconds.csv", &records);
        assert_eq!(rows.len(), records.iter().map(|record| record.seconds.len()).sum::<usize>());
        let seconds = &records[0].seconds;
        let cpu = |second: usize| seconds[second].server.unwrap().cpu;
        assert_eq!(at(&header, &rows[0], "server_cpu_user_us"), "");
        assert_eq!(at(&header, &rows[3], "server_cpu_user_us"), (cpu(3).user_us - cpu(2).user_us).to_string());
        assert_eq!(at(&header, &rows[3], "delivered"), seconds[3].delivered.to_string());
    }

    #[test]
    fn costs_add_up_to_the_record() {
        let records = records();
        let (header, rows) = read("costs.csv", &records);
        for record in &records {
            let of = |cost: &str, direction: &str| {
                let own = rows.iter().filter(|row| at(&header, row, "run") == record.run.to_string());
                let those =
                    own.filter(|row| (at(&header, row, "cost"), at(&header, row, "direction")) == (cost, direction));
                those.map(|row| at(&header, row, "total").parse::<u64>().unwrap()).sum::<u64>()
            };
            assert_eq!(of("bytes", "down"), record.window().total(Direction::Down));
            assert_eq!(of("bytes", "up"), record.window().total(Direction::Up));
            let segments = record.tcp.unwrap().segments_up;
            assert_eq!(of("tcp_ip_bytes", "up"), segments * record.tcp.unwrap().header_bytes_per_segment);
            assert_eq!(of("generator_cpu", ""), record.generator_cpu().total_us());
            let server = record.server.as_ref().unwrap();
            let cpu = |usage: &Option<wire::ServerStats>| {
                usage.as_ref().map(|usage| usage.process.cpu_user_us + usage.process.cpu_system_us).unwrap()
            };
            assert_eq!(of("server_cpu", ""), cpu(&server.end) - cpu(&server.start));
        }
    }

    #[test]
    fn missing_measurements_are_empty_cells_or_no_rows() {
        let mut record = records().remove(0);
        (record.server, record.tcp, record.http_client) = (None, None, "reqwest".to_owned());
        record.slices[0].server_cpu_ns = None;
        record.latency.clear();
        record.slices[0].traffic = TrafficCounts::default();
        record.slices[0].traffic.add(Direction::Down, TrafficKind::Delivery, ByteClass::Payload, 10);
        let (header, rows) = read("runs.csv", std::slice::from_ref(&record));
        for column in [
            "server_cpu_us_per_message",
            "delivery_p50_ms",
            "tcp_ip_bytes_per_message",
            "server_bytes_per_connection",
            "empty_share",
            "down_bytes_per_message",
        ] {
            assert_eq!(at(&header, &rows[0], column), "", "{column}");
        }
        let (header, rows) = read("costs.csv", &[record]);
        let costs: BTreeSet<_> = rows.iter().map(|row| at(&header, row, "cost")).collect();
        assert_eq!(costs.into_iter().collect::<Vec<_>>(), ["calls", "generator_cpu", "generator_memory"]);
    }

    #[test]
    fn the_readme_explains_every_column() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../results/README.md");
        let readme = std::fs::read_to_string(path).unwrap();
        let (before, rest) = readme.split_once("<!-- columns -->\n").unwrap();
        let (shown, after) = rest.split_once("<!-- /columns -->").unwrap();
        let tables = tables_markdown();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, [before, "<!-- columns -->\n", &tables, "<!-- /columns -->", after].concat()).unwrap();
        } else {
            assert_eq!(shown, tables, "results/README.md differs from the columns; BLESS=1 renews it");
        }
    }
}
