//! The tables of a report as rows of text, independent of the output format.

use std::collections::BTreeMap;

use results::{MetricId, Mode, Subject, VerdictKind};
use wire::BUILTIN_SERVER;

use crate::claims::Finding;
use crate::format::{DASH, number, or_dash, percent, precise, ratio_or_dash, shown, with_interval};
use crate::run_summary::RunSummary;
use crate::stats::Estimate;
use crate::summary::{JobSummary, PointSummary, SubjectSummary};
use crate::theory::{Prediction, PredictionCheck};

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A field of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

/// Kind of a field, for its style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Name of the row's subject.
    Name,
    Words,
    Number,
    Good,
    Bad,
    Open,
}

fn words(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), tone: Tone::Words }
}

fn metric(text: String) -> Cell {
    Cell { text, tone: Tone::Number }
}

fn toned(text: impl Into<String>, tone: Tone) -> Cell {
    Cell { text: text.into(), tone }
}

impl Table {
    fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|text| (*text).to_owned()).collect(), rows: Vec::new() }
    }
}

/// Verdicts with their numbers: `3 valid, 1 invalid`.
pub(crate) fn verdicts(counts: &BTreeMap<VerdictKind, u32>) -> String {
    let all: Vec<_> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

const DELIVERY: [MetricId; 5] = [
    MetricId::DeliveredPerS,
    MetricId::DeliveryP50,
    MetricId::DeliveryP90,
    MetricId::DeliveryP99,
    MetricId::DeliveryMax,
];

const COST: [MetricId; 8] = [
    MetricId::ServerCpuPerMessage,
    MetricId::DownBytesPerMessage,
    MetricId::UpBytesPerMessage,
    MetricId::RequestsPerMessage,
    MetricId::WritesPerMessage,
    MetricId::MessagesPerBatch,
    MetricId::EmptyShare,
    MetricId::ServerBytesPerConnection,
];

/// Metrics of servers that share a log.
pub(crate) const SHARED_LOG: [MetricId; 6] = [
    MetricId::ReconnectP50,
    MetricId::ReconnectMax,
    MetricId::LogCpuPerMessage,
    MetricId::LogCommandsPerMessage,
    MetricId::LogBytesInPerMessage,
    MetricId::LogBytesOutPerMessage,
];

const COMPARED: [MetricId; 8] = [
    MetricId::ServerCpuPerMessage,
    MetricId::ServerBytesPerClient,
    MetricId::DeliveryP50,
    MetricId::DeliveryP99,
    MetricId::DownBytesPerMessage,
    MetricId::UpBytesPerMessage,
    MetricId::ConnectP50,
    MetricId::UpgradeP50,
];

/// Latency, one row per transport.
pub(crate) fn delivery(point: &PointSummary) -> Table {
    let mut grid = metrics(point, &DELIVERY);
    times_tcp(&mut grid, point, (3, "× tcp"), MetricId::DeliveryP50);
    grid.head.insert(1, "runs".to_owned());
    for (fields, row) in grid.rows.iter_mut().zip(&point.subjects) {
        let tone = match row.metrics_from {
            Some(VerdictKind::Valid) => Tone::Good,
            Some(_) => Tone::Open,
            None => Tone::Bad,
        };
        fields.insert(1, toned(verdicts(&row.verdicts), tone));
    }
    grid
}

/// Costs, one row per transport.
pub(crate) fn cost(point: &PointSummary) -> Table {
    let mut grid = metrics(point, &COST);
    times_tcp(&mut grid, point, (2, "× tcp at load"), MetricId::ServerCpuPerMessage);
    times_tcp(&mut grid, point, (3, "× tcp back to back"), MetricId::BackToBackCpuPerMessage);
    grid
}

/// Inserts a column with the ratio to raw TCP.
fn times_tcp(grid: &mut Table, point: &PointSummary, (at, head): (usize, &str), of: MetricId) {
    grid.head.insert(at, head.to_owned());
    for (fields, row) in grid.rows.iter_mut().zip(&point.subjects) {
        fields.insert(at, metric(ratio_or_dash(row.times_baseline.get(&of))));
    }
}

/// Cost of 10,000 connected users in a month, one row per transport.
pub(crate) fn money(point: &PointSummary) -> Table {
    let currency = &point.prices.currency;
    let mut grid = Table::new(&["transport", "vCPU", "memory GB", "GB sent a month"]);
    grid.head.extend(["CPU", "memory", "traffic", "together"].map(|what| format!("{what} {currency} a month")));
    for row in &point.subjects {
        let Some(cost) = &row.month_10000_users else { continue };
        let values = [cost.vcpu, cost.memory_gb, cost.gb_out, cost.cpu, cost.memory, cost.traffic, cost.total];
        let fields = values.map(|value| metric(number(value)));
        grid.rows.push(std::iter::once(toned(row.name(), Tone::Name)).chain(fields).collect());
    }
    grid
}

/// Servers that share a log, one row per transport: what was lost, how long clients were away, and
/// what the log has used.
pub(crate) fn shared_log(point: &PointSummary) -> Table {
    let mut grid = Table::new(&["transport", "deliveries", "refused", "lost", "twice", "out of order"]);
    grid.head.extend(SHARED_LOG.iter().map(|column| titled(*column)));
    for row in &point.subjects {
        let Some(counts) = row.with_shared_log else { continue };
        let counts = [counts.scheduled, counts.refused, counts.lost, counts.duplicated, counts.reordered]
            .map(|n| metric(n.to_string()));
        let fields = SHARED_LOG.iter().map(|column| metric(field(row, *column)));
        grid.rows.push(std::iter::once(toned(row.name(), Tone::Name)).chain(counts).chain(fields).collect());
    }
    grid
}

/// The built-in server and external servers by transport, with the ratio to the built-in server.
pub(crate) fn external_servers(point: &PointSummary) -> Table {
    let rows: Vec<_> = point.subjects.iter().filter(|row| row.subject() != Subject::BASELINE).collect();
    let columns = COMPARED.iter().filter(|column| rows.iter().any(|row| row.metric(**column).is_some()));
    let columns: Vec<_> = columns.copied().collect();
    let mut grid = Table::new(&["transport", "server"]);
    grid.head.extend(columns.iter().map(|column| titled(*column)));
    let mut sorted = rows;
    sorted.sort_by_key(|row| row.transport);
    for row in sorted {
        let fields = columns.iter().map(|column| metric(field(row, *column)));
        let who = [toned(row.transport.name(), Tone::Name), words(&row.target)];
        grid.rows.push(who.into_iter().chain(fields).collect());
        if !row.times_builtin.is_empty() {
            let fields = columns.iter().map(|column| metric(ratio_or_dash(row.times_builtin.get(column))));
            grid.rows.push(
                [toned("", Tone::Name), metric(format!("× {BUILTIN_SERVER}"))].into_iter().chain(fields).collect(),
            );
        }
    }
    grid
}

fn titled(column: MetricId) -> String {
    let info = column.info();
    format!("{} {}", info.label, info.unit.symbol)
}

fn metrics(point: &PointSummary, columns: &[MetricId]) -> Table {
    let mut grid = Table::new(&["transport"]);
    grid.head.extend(columns.iter().map(|column| titled(*column)));
    for row in &point.subjects {
        let fields = columns.iter().map(|column| metric(field(row, *column)));
        grid.rows.push(std::iter::once(toned(row.name(), Tone::Name)).chain(fields).collect());
    }
    grid
}

fn field(row: &SubjectSummary, column: MetricId) -> String {
    row.metric(column).map_or_else(|| DASH.to_owned(), |value| shown(column, value, true))
}

/// Faults of all runs.
pub(crate) fn faults(point: &PointSummary) -> Table {
    let mut grid = Table::new(&["transport", "faults", "kind", "first example"]);
    for (row, fault) in point.subjects.iter().flat_map(|row| row.faults.iter().map(move |fault| (row, fault))) {
        grid.rows.push(vec![
            toned(row.subject().to_string(), Tone::Name),
            metric(fault.count.to_string()),
            words(fault.kind.to_string()),
            words(&fault.first),
        ]);
    }
    grid
}

/// Theory and measurement.
pub(crate) fn theory(cells: &[Prediction]) -> Table {
    let mut grid = Table::new(&["transport", "what", "theory", "predicted", "with queueing", "measured", "verdict"]);
    for cell in cells {
        let tone = match cell.agreement {
            PredictionCheck::Within => Tone::Good,
            PredictionCheck::Unexplained => Tone::Bad,
            PredictionCheck::Queueing | PredictionCheck::Open => Tone::Open,
        };
        // Unexplained predictions are highlighted.
        let alike = cell.agreement == PredictionCheck::Unexplained
            && number(cell.predicted.value) == number(cell.measured.value);
        let written = |value: &Estimate| if alike { precise(value) } else { with_interval(value) };
        let queue = if cell.queue > 0.0 { format!("+ {}", number(cell.queue)) } else { DASH.to_owned() };
        grid.rows.push(vec![
            toned(cell.transport.name(), Tone::Name),
            words(&cell.what),
            words(&cell.formula),
            metric(predicted(cell, written)),
            metric(queue),
            metric(written(&cell.measured)),
            toned(cell.agreement.name(), tone),
        ]);
    }
    grid
}

/// A predicted bound as `≤ x`.
fn predicted(cell: &Prediction, written: impl Fn(&Estimate) -> String) -> String {
    match cell.predicted.low.zip(cell.predicted.high) {
        Some((0.0, high)) if cell.predicted.value > 0.0 => format!("≤ {}", number(high)),
        _ => written(&cell.predicted),
    }
}

/// Claims, a row for each condition.
pub(crate) fn claims(job: &JobSummary) -> Table {
    let mut grid = Table::new(&["claim", "finding", "condition", "left", "right", "left / right", "holds"]);
    let tone = |finding| match finding {
        Finding::Confirmed => Tone::Good,
        Finding::Refuted => Tone::Bad,
        Finding::NotDecidable => Tone::Open,
    };
    let holds = |finding| match finding {
        Finding::Confirmed => "yes",
        Finding::Refuted => "no",
        Finding::NotDecidable => "not decidable",
    };
    for claim in &job.claims {
        for (at, condition) in claim.conditions.iter().enumerate() {
            let first = at == 0;
            grid.rows.push(vec![
                words(if first { claim.say.as_str() } else { "" }),
                if first { toned(claim.finding.name(), tone(claim.finding)) } else { words("") },
                words(&condition.asks),
                metric(or_dash(condition.left.as_ref())),
                metric(or_dash(condition.right.as_ref())),
                metric(ratio_or_dash(condition.ratio.as_ref())),
                toned(holds(condition.finding), tone(condition.finding)),
            ]);
        }
    }
    grid
}

/// Published results and measurements.
pub(crate) fn published(job: &JobSummary) -> Table {
    let mut grid =
        Table::new(&["published by", "what", "unit", "published", "measured", "measured / published", "from"]);
    for row in &job.published {
        let times = row.ours.filter(|_| row.theirs != 0.0).map(|ours| ours.times(1.0 / row.theirs));
        grid.rows.push(vec![
            words(&row.who),
            words(&row.what),
            words(&row.unit),
            metric(number(row.theirs)),
            metric(or_dash(row.ours.as_ref())),
            metric(or_dash(times.as_ref())),
            words(&row.from),
        ]);
    }
    grid
}

/// All runs with their verdicts and reasons.
pub(crate) fn validity<'a>(runs: impl IntoIterator<Item = &'a RunSummary>) -> Table {
    let mut grid = Table::new(&[
        "run",
        "round",
        "point",
        "transport",
        "verdict",
        "slices that count",
        "send delay p99 µs",
        "generator core usage",
        "posts sent",
        "CPU probe",
        "median growth",
        "reasons",
    ]);
    grid.rows.extend(runs.into_iter().map(validity_row));
    grid
}

fn validity_row(run: &RunSummary) -> Vec<Cell> {
    let tone = match run.verdict {
        VerdictKind::Valid => Tone::Good,
        VerdictKind::Overloaded => Tone::Open,
        VerdictKind::Wrong | VerdictKind::Crashed | VerdictKind::Invalid => Tone::Bad,
    };
    let share = |share: Option<f64>| metric(share.map_or_else(|| DASH.to_owned(), percent));
    vec![
        metric(run.run.to_string()),
        metric(match run.mode {
            Mode::Load => run.round.to_string(),
            Mode::LockStep => format!("{} {}", run.round, run.mode.name()),
        }),
        words(&run.point),
        toned(run.subject().to_string(), Tone::Name),
        toned(run.verdict.name(), tone),
        metric(format!("{} of {}", run.slices - run.slices_dropped, run.slices)),
        metric(run.send_delay_p99_us.map_or_else(|| DASH.to_owned(), |us| number(us as f64))),
        share(Some(run.generator_core_usage_max)),
        share(run.offered_share),
        share(Some(run.cpu_probe_share)),
        share(run.growth_share),
        words(run.reasons.join("; ")),
    ]
}

/// Description of the job: names and values.
pub(crate) fn about(job: &results::ResultsFolder) -> Vec<(&'static str, String)> {
    let (manifest, host) = (&job.manifest, &job.manifest.host);
    let list = |cores: &[usize]| cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let commit = manifest.program.commit.as_ref().map_or_else(String::new, |commit| format!(", commit {commit}"));
    let generator =
        if manifest.generators > 1 { format!("{} generators", manifest.generators) } else { "generator".into() };
    let mut cores = format!("server on {}, {generator} on {}", list(&host.server_cores), list(&host.generator_cores));
    if !host.awake_cores.is_empty() {
        cores += &format!("; it does not sleep on {}", list(&host.awake_cores));
    }
    if host.precedence {
        cores += "; both run before other programs";
    }
    let mut rows = vec![
        ("command", manifest.command.join(" ")),
        ("scenario file", manifest.scenario.file.clone()),
        ("started", manifest.started.clone()),
        (
            "rounds",
            format!(
                "{} under load, {} in lock-step; seed {}",
                manifest.rounds.load, manifest.rounds.lock_step, manifest.seed
            ),
        ),
        (
            "program",
            format!(
                "pushbench {}{commit}, {} build, {}",
                manifest.program.version, manifest.program.profile, manifest.program.rustc
            ),
        ),
        (
            "machine",
            format!(
                "{}, {} cores, {} GiB, kernel {}",
                host.cpu_model,
                host.cores.len(),
                number(host.memory_bytes as f64 / f64::from(1 << 30)),
                host.kernel
            ),
        ),
        ("cores", cores),
        ("limits", format!("{} open files, {} ports per source address", host.open_files_max, host.ports_per_source)),
    ];
    rows.extend(manifest.findings.iter().map(|finding| ("warning", finding.clone())));
    rows.extend(host.cpu_quota.map(|quota| ("CPU quota", format!("{quota} CPUs"))));
    rows
}
