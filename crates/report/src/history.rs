//! The history file: CSV with one row per commit and one column per metric, readable by Apache
//! Otava. Change points are shown and not gated.

use std::collections::BTreeMap;

use results::{MetricId, ResultsFolder, Subject};

use crate::selection::{RunSelection, point_names};
use crate::stats::{change_points, median};

const TIME: &str = "time";
const COMMIT: &str = "commit";
/// Upper bound of values, so that differences do not overflow.
const NUMBER_MAX: f64 = 1e15;

/// The history; an empty cell was not measured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    metrics: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    time: String,
    commit: String,
    cells: Vec<String>,
}

/// Errors of the history file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The first line is not that of a history file.
    #[error("line 1 does not begin with time,commit: not a history file of pushbench")]
    Head,
    /// A row has another number of fields.
    #[error("line {0} has {1} fields, the first line has {2}")]
    Fields(usize, usize, usize),
    /// A cell is not a number.
    #[error("line {0}: {1:?} is not a valid number")]
    Number(usize, String),
    /// The commit has a row already.
    #[error("commit {0} is in the history already; delete its row to add it again")]
    Known(String),
    /// There is nothing to add.
    #[error("the folder has no valid run")]
    Nothing,
}

impl History {
    /// Parses a history; an empty text is an empty history.
    pub fn parse(text: &str) -> Result<Self, HistoryError> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let Some((_, head)) = lines.next() else { return Ok(Self::default()) };
        let names: Vec<&str> = head.split(',').collect();
        let [TIME, COMMIT, metrics @ ..] = names.as_slice() else { return Err(HistoryError::Head) };
        let mut rows = Vec::new();
        for (at, line) in lines {
            let fields: Vec<&str> = line.split(',').collect();
            if fields.len() != names.len() {
                return Err(HistoryError::Fields(at + 1, fields.len(), names.len()));
            }
            let bad = fields[2..].iter().find(|cell| !cell.is_empty() && number(cell).is_none());
            if let Some(bad) = bad {
                return Err(HistoryError::Number(at + 1, (*bad).to_owned()));
            }
            let cells = fields[2..].iter().map(|cell| (*cell).to_owned()).collect();
            rows.push(Row { time: fields[0].to_owned(), commit: fields[1].to_owned(), cells });
        }
        Ok(Self { metrics: metrics.iter().map(|name| (*name).to_owned()).collect(), rows })
    }

    /// Adds the medians of a folder's valid runs as the row of a commit.
    pub fn add(&mut self, commit: &str, folder: &ResultsFolder) -> Result<(), HistoryError> {
        if self.rows.iter().any(|row| row.commit == commit) {
            return Err(HistoryError::Known(commit.to_owned()));
        }
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for label in point_names(folder) {
            let here = folder.runs.iter().filter(|run| run.record.point == label);
            for subject in Subject::all(here.map(|run| &run.record)) {
                // Values of overloaded runs are not comparable.
                let shown = RunSelection::of(folder, label, &subject);
                for metric in MetricId::gated().filter(|_| !shown.is_overloaded()) {
                    let place = format!("{}.{subject}.{label}", folder.manifest.scenario.name);
                    let name = plain(&format!("{}.{}", place.trim_end_matches('.'), metric.name()));
                    let measured = shown.in_rounds(metric).into_iter().map(|(_, value)| value);
                    values.entry(name).or_default().extend(measured.filter(|value| value.is_finite() && *value > 0.0));
                }
            }
        }
        values.retain(|_, values| !values.is_empty());
        if values.is_empty() {
            return Err(HistoryError::Nothing);
        }
        for name in values.keys().filter(|name| !self.metrics.contains(name)).cloned().collect::<Vec<_>>() {
            self.metrics.push(name);
            self.rows.iter_mut().for_each(|row| row.cells.push(String::new()));
        }
        let median = |name| values.get(name).and_then(|values| median(values)).map(|median| format!("{median:.6}"));
        let cells = self.metrics.iter().map(|name| median(name).unwrap_or_default()).collect();
        self.rows.push(Row { time: iso(&folder.manifest.started), commit: plain(commit), cells });
        Ok(())
    }

    /// The history as CSV.
    pub fn to_csv(&self) -> String {
        let mut out =
            [TIME, COMMIT].into_iter().chain(self.metrics.iter().map(String::as_str)).collect::<Vec<_>>().join(",");
        out.push('\n');
        for row in &self.rows {
            out += &format!("{},{},{}\n", row.time, row.commit, row.cells.join(","));
        }
        out
    }

    /// Commits in order.
    pub fn commits(&self) -> Vec<String> {
        self.rows.iter().map(|row| plain(&row.commit)).collect()
    }

    /// Each metric over its commits.
    pub fn trends(&self) -> Vec<Trend> {
        self.metrics.iter().enumerate().map(|(at, name)| self.trend(at, name)).collect()
    }

    fn trend(&self, metric: usize, name: &str) -> Trend {
        let known = self.rows.iter().enumerate();
        let values: Vec<(usize, f64)> =
            known.filter_map(|(row, cells)| Some((row, number(&cells.cells[metric])?))).collect();
        let numbers: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
        let changes = change_points(&numbers);
        let ends = changes.iter().copied().chain([numbers.len()]);
        let stretches = [0].into_iter().chain(changes.iter().copied()).zip(ends);
        let level = |(first, end): (usize, usize)| {
            let level = median(&numbers[first..end])?;
            Some(Segment { first: values[first].0, last: values[end - 1].0, level })
        };
        let stretches = stretches.filter_map(level).collect();
        Trend { name: plain(name), values, stretches }
    }
}

/// A metric over its commits.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// `scenario.transport.metric`.
    pub name: String,
    /// Indices of commits, and values.
    pub values: Vec<(usize, f64)>,
    /// Segments between changes.
    pub stretches: Vec<Segment>,
}

/// A segment between two changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    /// Index of the first commit.
    pub first: usize,
    /// Index of the last commit.
    pub last: usize,
    /// Median of the segment.
    pub level: f64,
}

impl Trend {
    /// Changes, with the levels before and after.
    pub fn changes(&self) -> impl Iterator<Item = (usize, f64, f64)> {
        self.stretches.windows(2).map(|two| (two[1].first, two[0].level, two[1].level))
    }

    /// Changes as text: commit and amount.
    pub fn sentence(&self, commits: &[String]) -> String {
        let one = |(at, before, after): (usize, f64, f64)| {
            let by =
                if before > 0.0 { format!("{:+.1} %", (after / before - 1.0) * 100.0) } else { "from 0".to_owned() };
            format!("{} ({by})", commits[at])
        };
        self.changes().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// One line per metric: number of values, last value, changes.
pub fn table(history: &History) -> String {
    let commits = history.commits();
    let mut out = format!("{:<60} {:>6} {:>12}  changed at\n", "metric", "values", "last");
    for trend in history.trends() {
        let last = trend.values.last().map_or("–".to_owned(), |(_, last)| format!("{last:.3}"));
        let line = format!("{:<60} {:>6} {last:>12}  {}", trend.name, trend.values.len(), trend.sentence(&commits));
        out += line.trim_end();
        out.push('\n');
    }
    out
}

fn number(cell: &str) -> Option<f64> {
    cell.parse().ok().filter(|number: &f64| number.abs() <= NUMBER_MAX)
}

/// Replaces characters that would need quotes in CSV.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || "._=-+".contains(c) { c } else { '_' }).collect()
}

/// `20260101T120000Z` as `2026-01-01T12:00:00Z`; other texts unchanged.
fn iso(stamp: &str) -> String {
    match (stamp.len(), stamp.is_ascii()) {
        (16, true) => {
            let part = |range: std::ops::Range<usize>| &stamp[range];
            format!("{}-{}-{}T{}:{}:{}Z", part(0..4), part(4..6), part(6..8), part(9..11), part(11..13), part(13..15))
        }
        _ => plain(stamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_is_written_or_refused() {
        let text = "time,commit,a,b\n2026-01-01T00:00:00Z,c1,1.5,\n2026-01-02T00:00:00Z,c2,,2\n";
        let history = History::parse(text).unwrap();
        assert_eq!(history.to_csv(), text);
        assert_eq!(History::parse("").unwrap(), History::default());
        assert_eq!(History::parse("a,b\n"), Err(HistoryError::Head));
        assert_eq!(History::parse("time,commit,a\nx,y\n"), Err(HistoryError::Fields(2, 2, 3)));
        for bad in ["z", "NaN", "inf", "1e300"] {
            let text = format!("time,commit,a\nx,y,{bad}\n");
            assert_eq!(History::parse(&text), Err(HistoryError::Number(2, bad.to_owned())));
        }
    }

    #[test]
    fn a_commit_is_a_row_once_and_new_metrics_are_new_columns() {
        let folder = results::invented::results_folder(&[10]);
        let mut history = History::parse("time,commit,old\n2026-01-01T00:00:00Z,c1,1\n").unwrap();
        history.add("c2", &folder).unwrap();
        assert_eq!(history.add("c2", &folder), Err(HistoryError::Known("c2".to_owned())));
        let csv = history.to_csv();
        assert_eq!(History::parse(&csv).unwrap(), history);
        assert!(csv.lines().next().unwrap().starts_with("time,commit,old,"), "{csv}");
        assert!(csv.lines().nth(1).unwrap().ends_with(','), "{csv}");
    }

    #[test]
    fn a_change_is_shown_with_its_commit_and_size() {
        let row = |at: usize| {
            format!("t,c{at},{}\n", if at < 12 { 10.0 + at as f64 * 0.01 } else { 12.0 + at as f64 * 0.01 })
        };
        let text = "time,commit,sse.p50\n".to_owned() + &(0..24).map(row).collect::<String>();
        let shown = table(&History::parse(&text).unwrap());
        assert!(shown.contains("c12 (+20"), "{shown}");
    }

    #[test]
    fn timestamps_are_printed_as_times() {
        assert_eq!((iso("20260102T030405Z"), iso("a,b")), ("2026-01-02T03:04:05Z".to_owned(), "a_b".to_owned()));
    }
}
