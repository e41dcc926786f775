//! The tables of a job for a terminal, and the sentences below them.

use std::collections::BTreeMap;

use results::{MetricId, ResultsFolder, Subject, VerdictKind};

use crate::columns::{Column, table, wrapped};
use crate::format::{DASH, number, ratio, shown};
use crate::markdown::add;
use crate::money::MonthlyCost;
use crate::notes;
use crate::run_summary::RunSummary;
use crate::stats::Ratio;
use crate::summary::{DeliveryCounts, FaultSummary, JobSummary, PointSummary, SubjectSummary};
use crate::tables::{SHARED_LOG, verdicts};

/// Indentation of a line that continues one.
const INDENT: usize = 2;
/// Runs whose reasons are printed without `--wide`.
const REASONS_MAX: usize = 3;
/// Longest text of a fault.
const FAULT_CHARS_MAX: usize = 160;

/// A metric's column.
struct MetricColumn {
    metric: MetricId,
    /// With its interval.
    interval: bool,
    /// Shown without `--wide`.
    narrow: bool,
}

const fn narrow(metric: MetricId, interval: bool) -> MetricColumn {
    MetricColumn { metric, interval, narrow: true }
}

const fn wide(metric: MetricId) -> MetricColumn {
    MetricColumn { metric, interval: false, narrow: false }
}

const DELIVERY: [MetricColumn; 7] = [
    wide(MetricId::DeliveryP90),
    narrow(MetricId::DeliveryP99, true),
    wide(MetricId::DeliveryP999),
    wide(MetricId::DeliveryMax),
    wide(MetricId::DeliveryFromSendP50),
    wide(MetricId::DeliveryFromSendP99),
    wide(MetricId::SendDelayP99),
];
const COST: [MetricColumn; 10] = [
    wide(MetricId::BackToBackCpuPerMessage),
    wide(MetricId::GeneratorCpuPerMessage),
    narrow(MetricId::DownBytesPerMessage, false),
    wide(MetricId::UpBytesPerMessage),
    wide(MetricId::RequestsPerMessage),
    wide(MetricId::WritesPerMessage),
    wide(MetricId::MessagesPerBatch),
    wide(MetricId::EmptyShare),
    wide(MetricId::ConnectP50),
    narrow(MetricId::ServerBytesPerConnection, false),
];

/// Heads of [`SHARED_LOG`].
const SHARED_LOG_HEADS: [[&str; 2]; SHARED_LOG.len()] = [
    ["reconnect", "p50 ms"],
    ["longest", "ms"],
    ["CPU", "µs/msg"],
    ["commands", "/msg"],
    ["in", "B/msg"],
    ["out", "B/msg"],
];

/// The tables of a results folder, a block for each point of the sweep; `wide` shows every column.
pub fn tables(job: &ResultsFolder, wide: bool) -> String {
    summary_tables(&JobSummary::of(job), wide)
}

/// The same from a summary.
pub fn summary_tables(job: &JobSummary, wide: bool) -> String {
    let mut out = String::new();
    for point in job.points.iter().filter(|point| !point.subjects.is_empty()) {
        if !point.point.is_empty() {
            add(&mut out, format_args!("\n── {}\n", point.point));
        }
        out += &table(delivery(point), wide);
        out.push('\n');
        out += &table(cost(point), wide);
        for line in notes::below_tcp(point) {
            out += &wrapped(&line, INDENT);
            out.push('\n');
        }
        if point.has_shared_log() {
            out.push('\n');
            out += &table(shared_log(point), wide);
        }
        if point.has_money() {
            out.push('\n');
            out += &table(money(point), wide);
            out += &wrapped(&notes::money(point), INDENT);
            out.push('\n');
        }
        for line in below(job, point, wide) {
            out += &wrapped(&line, INDENT);
            out.push('\n');
        }
    }
    out.chars().map(|letter| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter }).collect()
}

/// What stands below the tables of a point: why runs have no metrics, and what failed in them. Without
/// `wide`, the reasons of three runs and the number of the others.
fn below(job: &JobSummary, point: &PointSummary, wide: bool) -> Vec<String> {
    let runs = job.runs.iter().filter(|run| run.point == point.point);
    let memory = memory_unknown(runs.clone()).into_iter();
    let memory = memory.map(|(why, runs)| format!("server memory is not known in run {}: {why}", runs.join(", ")));
    let not_valid = runs.filter(|run| run.verdict != VerdictKind::Valid);
    let mut verdicts: Vec<_> = not_valid
        .map(|run| format!("run {} {}: {}: {}", run.run, run.subject(), run.verdict, run.reasons.join("; ")))
        .collect();
    if !wide && verdicts.len() > REASONS_MAX {
        let others = verdicts.split_off(REASONS_MAX).len();
        verdicts.push(format!("{others} more runs are not valid: --wide prints why"));
    }
    let faults = point.subjects.iter().flat_map(|row| row.faults.iter().map(|fault| fault_line(&row.subject(), fault)));
    memory.chain(verdicts).chain(faults).map(|line| line.replace('\n', "\u{fffd}")).collect()
}

/// Why the server's memory is not known, with the runs with metrics in which it is not.
fn memory_unknown<'a>(runs: impl Iterator<Item = &'a RunSummary>) -> BTreeMap<&'a str, Vec<String>> {
    let mut by_reason = BTreeMap::<_, Vec<_>>::new();
    for run in runs.filter(|run| matches!(run.verdict, VerdictKind::Valid | VerdictKind::Overloaded)) {
        if let Some(why) = &run.memory_unknown {
            by_reason.entry(why.as_str()).or_default().push(run.run.to_string());
        }
    }
    by_reason
}

/// A kind of fault with the text of its first one.
fn fault_line(subject: &Subject, fault: &FaultSummary) -> String {
    let line = format!("faults: {subject}: {} × {} ({})", fault.count, fault.kind, fault.first);
    if line.chars().count() <= FAULT_CHARS_MAX {
        return line;
    }
    line.chars().take(FAULT_CHARS_MAX - 2).chain("…)".chars()).collect()
}

fn delivery(point: &PointSummary) -> Vec<Column> {
    let names = Column::words(&["delivery", ""]).with(point.subjects.iter().map(SubjectSummary::name));
    let runs = Column::words(&["runs", ""]).with(point.subjects.iter().map(|row| verdicts(&row.verdicts)));
    let first = [
        names,
        runs,
        metric_column(point, &narrow(MetricId::DeliveredPerS, false)),
        metric_column(point, &narrow(MetricId::DeliveryP50, true)),
        times_tcp(point, MetricId::DeliveryP50, ""),
    ];
    first.into_iter().chain(DELIVERY.iter().map(|column| metric_column(point, column))).collect()
}

fn cost(point: &PointSummary) -> Vec<Column> {
    let names = Column::words(&["cost", ""]).with(point.subjects.iter().map(SubjectSummary::name));
    let first = [
        names,
        metric_column(point, &narrow(MetricId::ServerCpuPerMessage, false)),
        times_tcp(point, MetricId::ServerCpuPerMessage, "at load"),
        times_tcp(point, MetricId::BackToBackCpuPerMessage, "back to back"),
    ];
    first.into_iter().chain(COST.iter().map(|column| metric_column(point, column))).collect()
}

/// What was lost, how long clients were away, and what the log has used.
fn shared_log(point: &PointSummary) -> Vec<Column> {
    let rows: Vec<_> = point.subjects.iter().filter_map(|row| Some((row, row.with_shared_log?))).collect();
    let count = |head: &str, narrow, of: fn(DeliveryCounts) -> u64| {
        Column::numbers(&[head, ""], narrow).with(rows.iter().map(|(_, counts)| of(*counts).to_string()))
    };
    let first = [
        Column::words(&["shared log", ""]).with(rows.iter().map(|(row, _)| row.name())),
        count("refused", true, |counts| counts.refused),
        count("lost", true, |counts| counts.lost),
        count("twice", true, |counts| counts.duplicated),
        count("out of order", false, |counts| counts.reordered),
    ];
    let metrics = SHARED_LOG.iter().zip(SHARED_LOG_HEADS).map(|(metric, heads)| {
        let column = Column::numbers(&heads, *metric != MetricId::ReconnectMax);
        column.with(rows.iter().map(|(row, _)| field(row, *metric, false)))
    });
    first.into_iter().chain(metrics).collect()
}

/// Ratios to raw TCP.
fn times_tcp(point: &PointSummary, metric: MetricId, below: &str) -> Column {
    let fields = |text: fn(&Ratio) -> String| {
        let ratios = point.subjects.iter().map(move |row| row.times_baseline.get(&metric));
        ratios.map(move |ratio| ratio.map_or_else(|| DASH.to_owned(), text))
    };
    Column::numbers(&["× tcp", below], true).or_short(fields(|ratio| number(ratio.value))).with(fields(ratio))
}

fn money(point: &PointSummary) -> Vec<Column> {
    let rows: Vec<_> = point.subjects.iter().filter_map(|row| Some((row, row.month_10000_users.as_ref()?))).collect();
    let currency = point.prices.currency.as_str();
    let column = |heads: [&str; 2], of: fn(&MonthlyCost) -> f64| {
        Column::numbers(&heads, true).with(rows.iter().map(|(_, cost)| number(of(cost))))
    };
    vec![
        Column::words(&["10,000 users", "a month"]).with(rows.iter().map(|(row, _)| row.name())),
        column(["", "vCPU"], |cost| cost.vcpu),
        column(["memory", "GB"], |cost| cost.memory_gb),
        column(["sent", "GB"], |cost| cost.gb_out),
        column(["CPU", currency], |cost| cost.cpu),
        column(["memory", currency], |cost| cost.memory),
        column(["traffic", currency], |cost| cost.traffic),
        column(["together", currency], |cost| cost.total),
    ]
}

fn metric_column(point: &PointSummary, column: &MetricColumn) -> Column {
    let info = column.metric.info();
    let head = info.label.replace("generator", "gen.").replace("server memory", "memory").replace("server CPU", "CPU");
    let unit = info.unit.symbol.replace("message", "msg").replace("connection", "conn");
    let fields = |interval| point.subjects.iter().map(move |row| field(row, column.metric, interval));
    let empty = Column::numbers(&[&head, &unit], column.narrow);
    let empty = if column.interval { empty.or_short(fields(false)) } else { empty };
    empty.with(fields(column.interval))
}

fn field(row: &SubjectSummary, metric: MetricId, interval: bool) -> String {
    row.metric(metric).map_or_else(|| DASH.to_owned(), |value| shown(metric, value, interval))
}

#[cfg(test)]
mod tests {
    use results::LogUsage;

    use super::*;
    use crate::columns::COLUMNS;

    #[test]
    fn runs_without_metrics_have_dashes_and_a_reason() {
        let mut job = results::invented::results_folder(&[100]);
        job.runs.truncate(1);
        job.runs[0].record.verdict.kind = VerdictKind::Invalid;
        job.runs[0].record.verdict.reasons = vec!["a reason".to_owned()];
        let text = tables(&job, false);
        assert!(text.contains("1 invalid") && text.contains("run 1 tcp: invalid: a reason\n"), "{text}");
        assert!(text.lines().nth(2).unwrap().ends_with(DASH), "{text}");
    }

    #[test]
    fn memory_that_is_not_known_has_a_dash_and_a_reason() {
        let mut job = results::invented::results_folder(&[100]);
        let known = tables(&job, false);
        assert!(!known.contains("server memory is not known"), "{known}");
        job.runs.truncate(3);
        for run in &mut job.runs[1..] {
            let server = run.record.server.as_mut().unwrap();
            server.settled.process = server.begin.process;
        }
        job.runs[2].record.verdict.kind = VerdictKind::Invalid;
        let text = tables(&job, false).replace("\n  ", " ");
        let why = "\nserver memory is not known in run 2: it grew by no more than what a process may have spare\n";
        assert!(text.contains(why), "{text}");
        let costs = text.lines().filter(|line| line.starts_with(job.runs[1].record.transport.name())).nth(1);
        assert!(costs.is_some_and(|line| line.ends_with(DASH)), "{text}");
    }

    #[test]
    fn servers_that_share_a_log_have_a_table_and_a_sentence() {
        let mut job = results::invented::results_folder(&[100]);
        assert!(!tables(&job, false).contains("shared log"));
        job.manifest.points[0].settings.insert("log".to_owned(), "redis".into());
        for run in &mut job.runs {
            let delivered = run.record.total.delivered;
            let log = LogUsage { cpu_us: 11 * delivered, commands: delivered / 4, bytes_in: delivered, bytes_out: 0 };
            run.record.log = Some(log);
            (run.record.ledger.lost, run.record.ledger.undelivered_posts) = (2, 3);
        }
        let (runs, subjects) = (job.runs.len() as u64, job.manifest.subjects.len() as u64);
        let text = tables(&job, false);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        let (head, rows) = text.split_once("shared log").unwrap();
        let tcp: Vec<_> = rows.lines().nth(2).unwrap().split_whitespace().collect();
        let each = runs / subjects;
        assert_eq!(tcp[..4], ["tcp", &(3 * each).to_string(), &(2 * each).to_string(), "0"], "{head}{rows}");
        // The longest name leaves no room for the last column.
        assert_eq!(tcp[5..], ["11.0", "0.25", "1.00"], "{rows}");
        let answer = crate::conclusions::sentences(&JobSummary::of(&job)).remove(0);
        let counts = format!("{} were lost, 0 came twice, 0 out of order, and {} are missing", 2 * runs, 3 * runs);
        assert!(
            answer.contains(&counts) && answer.ends_with("11.0 µs of CPU and 0.25 commands per delivered message."),
            "{answer}"
        );
    }

    #[test]
    fn faults_are_listed_under_the_table_for_any_verdict() {
        let mut job = results::invented::results_folder(&[100]);
        assert!(!tables(&job, false).contains("faults:"));
        let sse = |run: &&mut results::Run| run.record.transport == wire::Transport::Sse;
        for (run, times) in job.runs.iter_mut().filter(sse).zip(1..) {
            let faults = &mut run.record.faults;
            (0..times).for_each(|_| faults.note(results::FaultKind::BadBytes, "a chunk without a size".to_owned()));
            faults.note(results::FaultKind::ServerError, "status 500 instead of 200: ".to_owned() + &"x ".repeat(100));
        }
        let text = tables(&job, false);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        let lines = text.replace("\n  ", " ");
        let lines: Vec<_> = lines.lines().filter(|line| line.starts_with("faults:")).collect();
        let rounds: u64 = job.runs.iter().filter(|run| run.record.transport == wire::Transport::Sse).count() as u64;
        let all = rounds * (rounds + 1) / 2;
        assert_eq!(lines[1], format!("faults: sse: {all} × bad bytes (a chunk without a size)"));
        assert!(lines[0].starts_with(&format!("faults: sse: {rounds} × server error (status 500")), "{}", lines[0]);
        assert!(lines.len() == 2 && lines[0].chars().count() == FAULT_CHARS_MAX && lines[0].ends_with("…)"), "{text}");
    }
}
