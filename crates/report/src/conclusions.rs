//! The answer of a job in a few sentences: CPU, latency, money, validity. An order is stated only if
//! the direct ratio of two transports supports it.

use std::collections::{BTreeMap, BTreeSet};

use results::{CPU_PROBE_LOSS_MAX, MetricId, Subject, VerdictKind};

use crate::format::{number, percent, ratio, shown};
use crate::money::MonthlyCost;
use crate::orders::{Order, Pair, ROUNDS_MIN};
use crate::ratios::TIMES_MAX;
use crate::run_summary::BlockCounts;
use crate::summary::{DeliveryCounts, JobSummary, PointSummary, SubjectSummary};

const BACK_TO_BACK: MetricId = MetricId::BackToBackCpuPerMessage;
const AT_LOAD: MetricId = MetricId::ServerCpuPerMessage;
const MEDIAN: MetricId = MetricId::DeliveryP50;

/// Reasons for dropped blocks that are named.
const REASONS_MAX: usize = 2;

/// The sentences of a job.
pub(crate) fn sentences(job: &JobSummary) -> Vec<String> {
    // For a sweep, the last of the points with the most results.
    let usable = |point: &&PointSummary| point.subjects.iter().filter(|row| row.metrics_from.is_some()).count();
    let mut sentences = Vec::new();
    if let Some(point) = job.points.iter().max_by_key(usable).filter(|point| usable(point) > 0) {
        sentences.extend(shared_log(point));
        sentences.extend(cost(point));
        sentences.extend(latency(point));
        sentences.extend(money(point));
    }
    sentences.push(validity(job));
    sentences
}

/// What was lost, how long clients were away, and what the log has used.
fn shared_log(point: &PointSummary) -> Option<String> {
    let counts = point.subjects.iter().filter_map(|row| row.with_shared_log);
    let sum = counts.reduce(DeliveryCounts::plus)?;
    let mut text = format!(
        "Of {} deliveries, {} were lost, {} came twice, {} out of order, and {} are missing because their posts were refused or never reached a server.",
        sum.scheduled, sum.lost, sum.duplicated, sum.reordered, sum.refused
    );
    let range = |metric: MetricId| {
        let values: Vec<_> = point.subjects.iter().filter_map(|row| Some(row.metric(metric)?.value)).collect();
        let least = values.iter().copied().reduce(f64::min)?;
        let (least, most) = (number(least), number(values.into_iter().fold(least, f64::max)));
        Some(if least == most { least } else { format!("{least} to {most}") })
    };
    if let (Some(median), Some(most)) = (range(MetricId::ReconnectP50), range(MetricId::ReconnectMax)) {
        text += &format!(
            " Clients whose connection had ended had the next message after {median} ms (median), at the latest after {most} ms, by transport."
        );
    }
    if let (Some(cpu), Some(commands)) = (range(MetricId::LogCpuPerMessage), range(MetricId::LogCommandsPerMessage)) {
        text += &format!(" The shared log took {cpu} µs of CPU and {commands} commands per delivered message.");
    }
    Some(text)
}

/// CPU per delivery: back to back, then under load; without lock-step rounds under load only.
fn cost(point: &PointSummary) -> Option<String> {
    let at = place(point);
    let at_load = point.ascending(AT_LOAD);
    if point.cost_metric() == AT_LOAD {
        let unit = unit(&at_load, AT_LOAD);
        return Some(format!("A delivery costs the server{at}, {unit}: {}.", chain(point, &at_load, AT_LOAD)?));
    }
    let rows = point.ascending(BACK_TO_BACK);
    let (unit, chain) = (unit(&rows, BACK_TO_BACK), chain(point, &rows, BACK_TO_BACK)?);
    let unit_at_load = self::unit(&at_load, AT_LOAD);
    let names = |list: &[&SubjectSummary]| list.iter().map(|row| row.subject()).collect::<BTreeSet<_>>();
    let second = if at_load.is_empty() {
        String::new()
    } else if names(&rows) == names(&at_load) {
        let values: Vec<_> = rows.iter().map(|row| short(row, AT_LOAD)).collect();
        let unit = if unit_at_load == unit { String::new() } else { format!(", {unit_at_load}") };
        format!("; at this load, in the same order{unit}: {}", values.join(", "))
    } else {
        let values = at_load.iter().map(|row| format!("{} {}", row.name(), short(row, AT_LOAD)));
        format!("; at this load, {unit_at_load}: {}", values.collect::<Vec<_>>().join(", "))
    };
    Some(format!("A delivery costs the server{at}, back to back, {unit}: {chain}{second}."))
}

fn latency(point: &PointSummary) -> Option<String> {
    let rows = point.ascending(MEDIAN);
    let tcp = point.subjects.iter().find(|row| row.subject() == Subject::BASELINE);
    let tcp = tcp.and_then(|row| Some(format!(": raw TCP{} {} ms; ", mark(row), in_unit(row, MEDIAN)?)));
    let (tcp, at) = (tcp.unwrap_or_else(|| ", ".to_owned()), place(point));
    Some(format!("Median delivery{at}{tcp}{}: {}.", unit(&rows, MEDIAN), chain(point, &rows, MEDIAN)?))
}

/// The cheapest and the dearest transport of 10,000 users.
fn money(point: &PointSummary) -> Option<String> {
    let rows = point.subjects.iter().filter(|row| row.subject() != Subject::BASELINE);
    let mut costs: Vec<_> = rows.filter_map(|row| Some((row.name(), row.month_10000_users?))).collect();
    costs.sort_by(|a, b| a.1.total.total_cmp(&b.1.total));
    let text =
        |(name, cost): &(String, MonthlyCost)| format!("{name}, {} {}", number(cost.total), point.prices.currency);
    let (cheapest, dearest) = (costs.first()?, costs.last().filter(|_| costs.len() > 1));
    let dearest = dearest.map_or_else(String::new, |dearest| format!("; dearest {}", text(dearest)));
    let assumed = point.prices.assumed.as_ref().map_or_else(String::new, |month| format!("; prices assumed ({month})"));
    let at = place(point);
    Some(format!("For 10,000 such users{at} a month: cheapest {}{dearest}{assumed}.", text(cheapest)))
}

/// The unit of a list.
fn unit(rows: &[&SubjectSummary], metric: MetricId) -> &'static str {
    let has_ratio = |row: &&&SubjectSummary| row.times_baseline.contains_key(&metric);
    if rows.iter().any(|row| has_ratio(&row)) { "× raw TCP" } else { metric.info().unit.symbol }
}

/// The subjects with their ratios, joined by what is known of each pair; `None` without subjects.
fn chain(point: &PointSummary, rows: &[&SubjectSummary], metric: MetricId) -> Option<String> {
    let named = |row: &SubjectSummary| format!("{} {}", row.name(), full(row, metric));
    let mut text = named(rows.first()?);
    let mut too_few = false;
    for both in rows.windows(2) {
        let (lower, higher) = (both[0].subject().to_string(), both[1].subject().to_string());
        let is_pair = |pair: &&Pair| pair.metric == metric && pair.lower == lower && pair.higher == higher;
        let order = point.pairs.iter().find(is_pair).map_or(Order::TooFewRounds, Pair::order);
        too_few |= order == Order::TooFewRounds;
        let next = named(both[1]);
        text += &match order {
            Order::Lower => format!(", then {next}"),
            Order::Within(share) => format!(" and {next} (the same within {:.1} %)", 100.0 * share),
            Order::NotToldApart => format!(" and {next} (not told apart)"),
            Order::TooFewRounds => format!(", {next}"),
        };
    }
    let missing = if too_few { format!(" (an order needs {ROUNDS_MIN} rounds)") } else { String::new() };
    Some(text + &missing)
}

/// The ratio to raw TCP with its interval, or the value where there is none.
fn full(row: &SubjectSummary, metric: MetricId) -> String {
    match row.times_baseline.get(&metric) {
        Some(times) if metric != MEDIAN || times.value < TIMES_MAX => ratio(times),
        Some(_) => format!("{} {}", in_unit(row, metric).unwrap_or_default(), metric.info().unit.symbol),
        None => in_unit(row, metric).unwrap_or_default(),
    }
}

/// The ratio to raw TCP, or the value where there is none.
fn short(row: &SubjectSummary, metric: MetricId) -> String {
    let times = row.times_baseline.get(&metric).map(|times| number(times.value));
    times.or_else(|| in_unit(row, metric)).unwrap_or_default()
}

fn in_unit(row: &SubjectSummary, metric: MetricId) -> Option<String> {
    row.metric(metric).map(|value| shown(metric, value, false))
}

fn mark(row: &SubjectSummary) -> &'static str {
    if row.metrics_from == Some(VerdictKind::Overloaded) { " (overloaded)" } else { "" }
}

fn place(point: &PointSummary) -> String {
    if point.point.is_empty() { String::new() } else { format!(" at {}", point.point) }
}

fn validity(job: &JobSummary) -> String {
    let count = |kind| job.verdicts.get(&kind).copied().unwrap_or(0);
    let made: u32 = job.verdicts.values().sum();
    if made == 0 {
        return "No run was made.".to_owned();
    }
    let mut text = format!("{} of {made} runs are valid", count(VerdictKind::Valid));
    for (kind, what) in [
        (VerdictKind::Overloaded, "overloaded"),
        (VerdictKind::Wrong, "wrong"),
        (VerdictKind::Crashed, "crashed"),
        (VerdictKind::Invalid, "invalid and not used"),
    ] {
        if count(kind) > 0 {
            text += &format!(", {} {what}", count(kind));
        }
    }
    if job.is_partial() {
        text += &format!("; the job is incomplete: {} of {} runs under load", job.runs_made, job.runs_planned);
    }
    text += &dropped(job);
    let theory = || job.points.iter().flat_map(|point| &point.theory);
    let explained = theory().filter(|cell| cell.agreement != crate::theory::PredictionCheck::Unexplained).count();
    if explained < theory().count() {
        text += &format!("; a simple model explains {explained} of {} values", theory().count());
    }
    format!("{text}; {}.", cpu_probe(job))
}

/// How fast the machine was, and in how many rounds it was slow.
fn cpu_probe(job: &JobSummary) -> String {
    let lowest = job.runs.iter().map(|run| run.cpu_probe_share).reduce(f64::min).unwrap_or(1.0);
    let mut rounds = BTreeMap::new();
    for run in &job.runs {
        let least = rounds.entry((run.mode, run.round)).or_insert(1.0_f64);
        *least = least.min(run.cpu_probe_share);
    }
    let slow = rounds.values().filter(|share| **share < 1.0 - CPU_PROBE_LOSS_MAX).count();
    let lowest = format!("lowest CPU probe: {} of the best", percent(lowest));
    match slow {
        0 => lowest,
        slow => {
            format!("{lowest}, more than {} below it in {slow} of {} rounds", percent(CPU_PROBE_LOSS_MAX), rounds.len())
        }
    }
}

/// Slices dropped, with the most frequent reasons.
fn dropped(job: &JobSummary) -> String {
    let blocks = &job.blocks;
    if blocks.dropped == 0 {
        return if blocks.made > 0 { ", no slice dropped".to_owned() } else { String::new() };
    }
    let mut reasons: Vec<_> = blocks.reasons.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let more = reasons.len().saturating_sub(REASONS_MAX);
    let mut named: Vec<_> =
        reasons.iter().take(REASONS_MAX).map(|(reason, count)| format!("{count} × {reason}")).collect();
    named.extend((more > 0).then(|| format!("{more} more reasons")));
    let BlockCounts { dropped, made, slices, slices_dropped, .. } = blocks;
    format!("; {slices_dropped} of {slices} slices dropped, in {dropped} of {made} blocks ({})", named.join(", "))
}

#[cfg(test)]
mod tests {
    use results::{ResultsFolder, invented};
    use wire::Transport;

    use crate::summary::JobSummary;

    const SIX: [Transport; 6] = [
        Transport::Tcp,
        Transport::Polling,
        Transport::LongPolling,
        Transport::HttpStreaming,
        Transport::Sse,
        Transport::Websocket,
    ];

    fn sentences(job: &ResultsFolder) -> Vec<String> {
        super::sentences(&JobSummary::of(job))
    }

    fn six() -> ResultsFolder {
        let mut job = invented::sliced(4, 20, 10);
        job.runs.retain(|run| SIX.contains(&run.record.transport));
        job.manifest.subjects.retain(|subject| SIX.iter().any(|one| one.name() == subject.transport));
        job
    }

    #[test]
    fn the_answer_names_cost_latency_money_and_validity_in_a_few_lines() {
        let found = sentences(&six());
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[0].starts_with("A delivery costs the server, back to back, × raw TCP: "), "{}", found[0]);
        assert!(found[0].contains("; at this load, in the same order: "), "{}", found[0]);
        assert!(found[1].starts_with("Median delivery: raw TCP 0."), "{}", found[1]);
        assert!(found[1].contains("polling 325 ms"), "{}", found[1]);
        assert!(found[2].starts_with("For 10,000 such users a month: cheapest polling, "));
        assert!(found[2].contains("; dearest websocket, ") && !found[2].contains("assumed"), "{}", found[2]);
        assert!(found[3].starts_with("84 of 84 runs are valid, no slice dropped"), "{}", found[3]);
    }

    #[test]
    fn pairs_are_joined_by_what_is_known_of_them() {
        let mut job = JobSummary::of(&six());
        job.points[0].pairs.iter_mut().for_each(|pair| pair.p_adjusted = 0.0);
        job.points[0].theory.clear();
        let ordered = super::sentences(&job);
        assert!(ordered[0].contains("], then long-polling 1.71 [") && !ordered[0].contains(" and "), "{}", ordered[0]);
        let lines: usize = ordered.iter().map(|sentence| crate::wrapped(sentence, 2).lines().count()).sum();
        assert!(lines <= 11, "{ordered:#?}");
        for pair in &mut job.points[0].pairs {
            (pair.p_adjusted, pair.ratio.interval_90) = (1.0, Some((0.99, 1.02)));
        }
        let same = super::sentences(&job);
        assert!(same[1].contains("] (the same within 2.0 %) and sse "), "{}", same[1]);
    }

    #[test]
    fn an_order_needs_four_rounds() {
        let found = sentences(&invented::results_folder(&[100]));
        assert!(found[0].starts_with("A delivery costs the server, × raw TCP: "), "{}", found[0]);
        assert!(found[0].ends_with(" (an order needs 4 rounds)."), "{}", found[0]);
        assert!(!sentences(&six())[1].contains("an order needs"));
    }

    #[test]
    fn dropped_blocks_are_counted_with_their_reasons() {
        let mut job = six();
        for run in &mut job.runs {
            run.record.slices[0].dropped = Some("CPU time stolen".to_owned());
        }
        let found = sentences(&job);
        assert!(
            found[3].contains("; 84 of 1680 slices dropped, in 14 of 280 blocks (14 × CPU time stolen)"),
            "{}",
            found[3]
        );
        job.runs.clear();
        assert_eq!(sentences(&job), ["No run was made."]);
    }
}
