//! The tables of a job for a terminal: the figures of the report, in columns of text.

use results::{Evidence, MetricId, VerdictKind};

use crate::format::{DASH, shown};
use crate::markdown::add;
use crate::summary::{JobSummary, PointSummary, SubjectSummary};
use crate::tables::verdicts;

/// Columns of a table, and whether there is room for what is around the figure.
const DELIVERY: [(MetricId, bool); 9] = [
    (MetricId::DeliveredPerS, false),
    (MetricId::DeliveryP50, true),
    (MetricId::DeliveryP90, false),
    (MetricId::DeliveryP99, true),
    (MetricId::DeliveryP999, false),
    (MetricId::DeliveryMax, false),
    (MetricId::DeliveryFromSendP50, false),
    (MetricId::DeliveryFromSendP99, false),
    (MetricId::SendDelayP99, false),
];
const COST: [(MetricId, bool); 9] = [
    (MetricId::GeneratorCpuPerMessage, false),
    (MetricId::DownBytesPerMessage, false),
    (MetricId::UpBytesPerMessage, false),
    (MetricId::RequestsPerMessage, false),
    (MetricId::WritesPerMessage, false),
    (MetricId::MessagesPerBatch, false),
    (MetricId::EmptyShare, false),
    (MetricId::ConnectP50, false),
    (MetricId::ServerBytesPerConnection, false),
];

/// All of a job, a block for each point of the sweep.
pub fn tables(job: &Evidence) -> String {
    of_facts(&JobSummary::of(job))
}

pub(crate) fn of_facts(job: &JobSummary) -> String {
    let mut out = String::new();
    for point in job.points.iter().filter(|point| !point.rows.is_empty()) {
        if !point.label.is_empty() {
            add(&mut out, format_args!("\n── {}\n", point.label));
        }
        out += &aligned(&delivery(point));
        out.push('\n');
        out += &aligned(&cost(point));
        let here = job.runs.iter().filter(|run| run.label == point.label);
        for run in here.filter(|run| run.verdict != VerdictKind::Sound) {
            let reasons = run.reasons.join("; ");
            add(&mut out, format_args!("run {} {}: {}: {reasons}\n", run.run, run.subject(), run.verdict));
        }
    }
    out.chars().map(|letter| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter }).collect()
}

/// A table: lines of fields, the first two of them the heads; how many columns are words.
type Lines = (Vec<Vec<String>>, usize);

fn delivery(point: &PointSummary) -> Lines {
    let mut heads = [vec!["delivery".to_owned(), "runs".to_owned()], vec![String::new(); 2]];
    DELIVERY.iter().for_each(|(figure, _)| head_of(&mut heads, *figure));
    let rows = point.rows.iter().map(|row| {
        let fields = DELIVERY.iter().map(|(figure, ends)| field(row, *figure, *ends));
        [row.name(), verdicts(&row.verdicts)].into_iter().chain(fields).collect()
    });
    (heads.into_iter().chain(rows).collect(), 2)
}

fn cost(point: &PointSummary) -> Lines {
    const CPU: MetricId = MetricId::ServerCpuPerMessage;
    let mut heads = [vec!["cost".to_owned()], vec![String::new()]];
    head_of(&mut heads, CPU);
    head(&mut heads, ("× floor", ""));
    COST.iter().for_each(|(figure, _)| head_of(&mut heads, *figure));
    let rows = point.rows.iter().map(|row| {
        let floor = row.times_baseline.get(&CPU).map_or_else(|| DASH.to_owned(), |times| shown(CPU, times, true));
        let fields = COST.iter().map(|(figure, ends)| field(row, *figure, *ends));
        [row.name(), field(row, CPU, true), floor].into_iter().chain(fields).collect()
    });
    (heads.into_iter().chain(rows).collect(), 1)
}

fn head_of(heads: &mut [Vec<String>; 2], metric: MetricId) {
    head(heads, (metric.info().label, metric.info().unit.symbol));
}

fn head(heads: &mut [Vec<String>; 2], (name, unit): (&str, &str)) {
    heads[0].push(name.replace("generator", "gen.").replace("server memory", "memory"));
    heads[1].push(unit.replace("message", "msg").replace("connection", "conn"));
}

fn field(row: &SubjectSummary, figure: MetricId, ends: bool) -> String {
    row.figure(figure).map_or_else(|| DASH.to_owned(), |value| shown(figure, value, ends))
}

/// Words to the left, numbers to the right.
fn aligned((lines, words): &Lines) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in lines {
        let fields = line.iter().zip(&widths).enumerate().map(|(at, (field, width))| {
            if at < *words { format!("{field:<width$}") } else { format!("{field:>width$}") }
        });
        add(&mut out, format_args!("{}\n", fields.collect::<Vec<_>>().join("  ").trim_end()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let line = |fields: [&str; 2]| fields.map(str::to_owned).to_vec();
        let lines = vec![line(["x", "CPU"]), line(["", "µs"]), line(["sse", "1"]), line(["http-streaming", "100"])];
        let expected = "x               CPU\n                 µs\nsse               1\nhttp-streaming  100\n";
        assert_eq!(aligned(&(lines, 1)), expected);
    }

    #[test]
    fn runs_without_figures_have_dashes_and_a_reason() {
        let mut job = results::invented::evidence(&[100]);
        job.runs.truncate(1);
        job.runs[0].record.verdict.kind = VerdictKind::Invalid;
        job.runs[0].record.verdict.reasons = vec!["the clock stood still".to_owned()];
        let text = tables(&job);
        assert!(text.contains("1 invalid") && text.contains("run 1 tcp: invalid: the clock stood still\n"), "{text}");
        assert!(text.lines().nth(2).unwrap().ends_with(DASH), "{text}");
    }
}
