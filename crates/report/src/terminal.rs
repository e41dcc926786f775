//! The tables of a job for a terminal.

use std::collections::BTreeMap;

use results::{MetricId, ResultsFolder, Subject, VerdictKind};

use crate::format::{DASH, shown};
use crate::markdown::add;
use crate::summary::{FaultSummary, JobSummary, PointSummary, RunSummary, SubjectSummary};
use crate::tables::verdicts;

/// Columns of a table, and whether their intervals are shown.
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

const FAULT_LINE_MAX: usize = 80;

/// All tables of a job, for each point of the sweep.
pub fn tables(job: &ResultsFolder) -> String {
    of_job(&JobSummary::of(job))
}

pub(crate) fn of_job(job: &JobSummary) -> String {
    let mut out = String::new();
    for point in job.points.iter().filter(|point| !point.subjects.is_empty()) {
        if !point.point.is_empty() {
            add(&mut out, format_args!("\n── {}\n", point.point));
        }
        out += &aligned(&delivery(point));
        out.push('\n');
        out += &aligned(&cost(point));
        let here = job.runs.iter().filter(|run| run.point == point.point);
        for (why, runs) in memory_unknown(here.clone()) {
            add(&mut out, format_args!("server memory is not known in run {}: {why}\n", runs.join(", ")));
        }
        for run in here.filter(|run| run.verdict != VerdictKind::Valid) {
            let reasons = run.reasons.join("; ");
            add(&mut out, format_args!("run {} {}: {}: {reasons}\n", run.run, run.subject(), run.verdict));
        }
        for (row, fault) in point.subjects.iter().flat_map(|row| row.faults.iter().map(move |fault| (row, fault))) {
            add(&mut out, format_args!("{}\n", fault_line(&row.subject(), fault)));
        }
    }
    out.chars().map(|letter| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter }).collect()
}

/// Reasons why the server's memory is unknown, with the runs.
fn memory_unknown<'a>(runs: impl Iterator<Item = &'a RunSummary>) -> BTreeMap<&'a str, Vec<String>> {
    let mut by_reason = BTreeMap::<_, Vec<_>>::new();
    for run in runs.filter(|run| matches!(run.verdict, VerdictKind::Valid | VerdictKind::Overloaded)) {
        if let Some(why) = &run.memory_unknown {
            by_reason.entry(why.as_str()).or_default().push(run.run.to_string());
        }
    }
    by_reason
}

/// A kind of fault and its first example, cut to the width of a narrow terminal.
fn fault_line(subject: &Subject, fault: &FaultSummary) -> String {
    let line = format!("faults: {subject}: {} × {} ({})", fault.count, fault.kind, fault.first);
    if line.chars().count() <= FAULT_LINE_MAX {
        return line;
    }
    line.chars().take(FAULT_LINE_MAX - 2).chain("…)".chars()).collect()
}

/// Lines of fields, the first two are headings; number of text columns.
type Lines = (Vec<Vec<String>>, usize);

fn delivery(point: &PointSummary) -> Lines {
    let mut heads = [vec!["delivery".to_owned(), "runs".to_owned()], vec![String::new(); 2]];
    DELIVERY.iter().for_each(|(metric, _)| head_of(&mut heads, *metric));
    let rows = point.subjects.iter().map(|row| {
        let fields = DELIVERY.iter().map(|(metric, ends)| field(row, *metric, *ends));
        [row.name(), verdicts(&row.verdicts)].into_iter().chain(fields).collect()
    });
    (heads.into_iter().chain(rows).collect(), 2)
}

fn cost(point: &PointSummary) -> Lines {
    const CPU: MetricId = MetricId::ServerCpuPerMessage;
    let mut heads = [vec!["cost".to_owned()], vec![String::new()]];
    head_of(&mut heads, CPU);
    head(&mut heads, ("× floor", ""));
    COST.iter().for_each(|(metric, _)| head_of(&mut heads, *metric));
    let rows = point.subjects.iter().map(|row| {
        let baseline = row.times_baseline.get(&CPU).map_or_else(|| DASH.to_owned(), |times| shown(CPU, times, true));
        let fields = COST.iter().map(|(metric, ends)| field(row, *metric, *ends));
        [row.name(), field(row, CPU, true), baseline].into_iter().chain(fields).collect()
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

fn field(row: &SubjectSummary, metric: MetricId, ends: bool) -> String {
    row.metric(metric).map_or_else(|| DASH.to_owned(), |value| shown(metric, value, ends))
}

/// Aligns text left and numbers right.
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
        let mut job = results::invented::results_folder(&[100]);
        job.runs.truncate(1);
        job.runs[0].record.verdict.kind = VerdictKind::Invalid;
        job.runs[0].record.verdict.reasons = vec!["the clock stood still".to_owned()];
        let text = tables(&job);
        assert!(text.contains("1 invalid") && text.contains("run 1 tcp: invalid: the clock stood still\n"), "{text}");
        assert!(text.lines().nth(2).unwrap().ends_with(DASH), "{text}");
    }

    #[test]
    fn memory_that_is_not_known_has_a_dash_and_a_reason() {
        let mut job = results::invented::results_folder(&[100]);
        let known = tables(&job);
        assert!(!known.contains("server memory is not known"), "{known}");
        job.runs.truncate(3);
        for run in &mut job.runs[1..] {
            let server = run.record.server.as_mut().unwrap();
            server.settled.process = server.begin.process;
        }
        job.runs[2].record.verdict.kind = VerdictKind::Invalid;
        let text = tables(&job);
        let why = "\nserver memory is not known in run 2: it grew by no more than what a process may have spare\n";
        assert!(text.contains(why), "{text}");
        let costs = text.lines().filter(|line| line.starts_with(job.runs[1].record.transport.name())).nth(1);
        assert!(costs.is_some_and(|line| line.ends_with(DASH)), "{text}");
    }

    #[test]
    fn what_broke_stands_under_the_table_whatever_the_verdict() {
        let mut job = results::invented::results_folder(&[100]);
        assert!(!tables(&job).contains("faults:"));
        let sse = |run: &&mut results::Run| run.record.transport == wire::Transport::Sse;
        for (run, times) in job.runs.iter_mut().filter(sse).zip(1..) {
            let faults = &mut run.record.faults;
            (0..times).for_each(|_| faults.note(results::FaultKind::BadBytes, "a chunk without a size".to_owned()));
            faults.note(results::FaultKind::ServerError, "status 500 instead of 200: ".to_owned() + &"x".repeat(200));
        }
        let lines: Vec<_> =
            tables(&job).lines().filter(|line| line.starts_with("faults:")).map(str::to_owned).collect();
        let rounds: u64 = job.runs.iter().filter(|run| run.record.transport == wire::Transport::Sse).count() as u64;
        let all = rounds * (rounds + 1) / 2;
        assert_eq!(lines[1], format!("faults: sse: {all} × bad bytes (a chunk without a size)"));
        assert!(lines[0].starts_with(&format!("faults: sse: {rounds} × server error (status 500")), "{}", lines[0]);
        assert_eq!((lines.len(), lines[0].chars().count(), lines[0].ends_with("x…)")), (2, 80, true), "{lines:?}");
    }
}
