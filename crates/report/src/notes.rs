//! Titles of tables, and the sentences below them.

use results::{MetricId, Subject};

use crate::format::{number, ratio};
use crate::ratios::COMPARED;
use crate::summary::{PointSummary, SubjectSummary};

/// Title of the table of faults.
pub(crate) const FAULTS_TITLE: &str = "Faults";

/// Title of the table of servers that share a log.
pub(crate) const SHARED_LOG_TITLE: &str = "The shared log";

/// Note on that table.
pub(crate) const SHARED_LOG_NOTE: &str = "Deliveries of all runs under load. Refused: the post was refused or never reached a server. Lost: a server had accepted the message. \
    The log counts its own CPU, commands and bytes, per delivered message.";

/// Title of the table of external servers.
pub(crate) const EXTERNAL_SERVERS_TITLE: &str = "pushbench and other servers";

/// Note on that table.
pub(crate) const EXTERNAL_SERVERS_NOTE: &str = "Memory is the growth of the server per idle client, whatever the number of its connections. × pushbench is the ratio to the \
     built-in server on the same transport, from slices of the same block.";

/// Title of the table of money.
pub(crate) const MONEY_TITLE: &str = "10,000 connected users for a month";

/// Messages per batch, as a multiple of raw TCP's, above which batching explains a lower cost.
const BATCHING_FACTOR: f64 = 1.05;

/// Where the prices are from.
pub(crate) fn money(point: &PointSummary) -> String {
    format!("{}. In proportion to what was used, without idle capacity.", point.prices.text())
}

/// Ratios to raw TCP that are below 1: nothing should be cheaper than raw TCP but by batching.
pub(crate) fn below_tcp(point: &PointSummary) -> Vec<String> {
    let below = |row: &SubjectSummary, metric| {
        let times = row.times_baseline.get(&metric)?;
        let (_, high) = times.interval?;
        (high < 1.0)
            .then(|| format!("{} {}, {} ×: {}", row.name(), less(metric), ratio(times), reason(point, row, metric)))
    };
    point.subjects.iter().flat_map(|row| COMPARED.into_iter().filter_map(move |metric| below(row, metric))).collect()
}

const fn less(metric: MetricId) -> &'static str {
    match metric {
        MetricId::BackToBackCpuPerMessage => "needs less server CPU back to back than raw TCP",
        MetricId::ServerCpuPerMessage => "needs less server CPU at load than raw TCP",
        _ => "delivers sooner than raw TCP",
    }
}

/// Back to back there is one message in flight, so that batches explain CPU at load only.
fn reason(point: &PointSummary, row: &SubjectSummary, metric: MetricId) -> String {
    let batch = |row: &SubjectSummary| row.metric(MetricId::MessagesPerBatch).map(|batch| batch.value);
    let tcp = point.subjects.iter().find(|row| row.subject() == Subject::BASELINE).and_then(batch);
    match batch(row).zip(tcp).filter(|_| metric == MetricId::ServerCpuPerMessage) {
        Some((own, tcp)) if own > BATCHING_FACTOR * tcp => {
            format!("batching, {} messages per batch where raw TCP has {}", number(own), number(tcp))
        }
        _ => "not explained".to_owned(),
    }
}

/// Explanation of the report.
pub(crate) const METHOD: [&str; 8] = [
    "Latency is measured from the scheduled instant of a post, not from when it was sent, so that waiting senders are included. Every receiver counts.",
    "All subjects run at once, each with its own server and generator process, and take turns in short slices. A block is one slice of every subject in random order; a round has fresh processes. A value is the median over the rounds and has no interval; for a percentile of a single run, [low–high] is the 95 % interval over its messages. A dash was not measured, or needs a larger sample.",
    "× tcp is the ratio to raw TCP with its 95 % interval. Slices of the same block are compared, so that changes of the machine cancel; metrics that a slice does not have are compared by round. At load: the scenario's schedule. Back to back: one room, one message in flight, the next post as soon as the last client has the message.",
    "An order of two transports is stated if the direct ratio of the two differs from 1 (5 %, Holm over all pairs of the answer, at least four rounds). They are the same within x % if the 90 % interval of that ratio is within x %, for x up to 10; otherwise they are not told apart.",
    "Runs are valid, overloaded (the backlog grew; shown under this name if no run is valid), wrong (messages lost, duplicated, reordered or altered, or more than 1 % of the answers with a wrong status or unreadable), crashed (the server exited) or invalid (the load generator or the machine failed). Values of wrong, crashed and invalid runs are not used. Blocks are dropped only for what the machine did.",
    "Money: the server's CPU per client and second, its memory per client and the bytes sent to a client, times 10,000 clients and 730 hours, at the prices given.",
    "Theory: d is the time of one post and one delivery without waiting (the mean of raw TCP minus its fan-out and queueing), c the server CPU per delivery, n the clients of a room, N all clients, I the poll interval, T the hold time, λ the messages per second at a client, G the time between two long polls (d and the server CPU of a request). A prediction is within if its interval, from the uncertainty of its inputs, overlaps the measured one; explained by queueing if it does after adding the mean wait ρnc/(2(1−ρ)); otherwise unexplained.",
    "A claim is confirmed if the whole interval of every comparison satisfies it, refuted if the whole interval of one contradicts it, and otherwise not decidable.",
];
