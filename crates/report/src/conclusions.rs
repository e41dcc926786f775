//! The answer of a job in three sentences: latency, CPU, validity. An order is stated only if the
//! intervals support it.

use results::{MetricId, Subject, VerdictKind};

use crate::claims::Finding;
use crate::format::{number, percent, with_interval};
use crate::stats::Estimate;
use crate::summary::{JobSummary, PointSummary, SubjectSummary};

/// The sentences of a job.
pub(crate) fn sentences(job: &JobSummary) -> Vec<String> {
    // For a sweep, the last of the points with the most results.
    let usable = |point: &&PointSummary| point.subjects.iter().filter(|row| row.metrics_from.is_some()).count();
    let mut sentences = Vec::new();
    if let Some(point) = job.points.iter().max_by_key(usable).filter(|point| usable(point) > 0) {
        sentences.extend(order(point, MetricId::DeliveryP50, "Median delivery latency"));
        sentences.extend(order(point, MetricId::ServerCpuPerMessage, "Server CPU"));
    }
    sentences.push(trust(job));
    sentences
}

type Found = (Subject, VerdictKind, Estimate);

/// Subjects in ascending order, in groups whose intervals do not overlap with those of other
/// groups.
fn order(point: &PointSummary, metric: MetricId, what: &str) -> Option<String> {
    let of = |row: &SubjectSummary| Some((row.subject(), row.metrics_from?, *row.metric(metric)?));
    let (baseline, mut others): (Vec<Found>, Vec<Found>) =
        point.subjects.iter().filter_map(of).partition(|(subject, ..)| *subject == Subject::BASELINE);
    others.sort_by(|a, b| a.2.value.total_cmp(&b.2.value));
    let (best, worst) = (others.first()?, others.last()?);
    let at = if point.point.is_empty() { String::new() } else { format!(" at {}", point.point) };
    let unit = metric.info().unit.symbol;
    let baseline =
        baseline.first().map(|(_, kind, value)| format!("; raw TCP{}: {}", mark(*kind), with_interval(value)));
    let order = match groups(&others) {
        None if others.len() == 1 => named(best),
        None => {
            let all: Vec<_> = others.iter().map(named).collect();
            format!("{} (an order needs six valid runs of each)", all.join(", "))
        }
        Some(groups) => groups.iter().map(|group| together(group)).collect::<Vec<_>>().join(", then "),
    };
    let times = worst.2.value / best.2.value;
    let times =
        if others.len() > 1 && times.is_finite() { format!(", {}× {}", number(times), best.0) } else { String::new() };
    Some(format!("{what}{at}, {unit}: {order}{times}{}.", baseline.unwrap_or_default()))
}

/// Groups of subjects with overlapping intervals; `None` if one has no interval over runs.
fn groups(sorted: &[Found]) -> Option<Vec<Vec<&Found>>> {
    let mut all: Vec<((f64, f64), &Found)> =
        sorted.iter().map(|found| Some((found.2.over_runs()?, found))).collect::<Option<_>>()?;
    all.sort_by(|a, b| a.0.0.total_cmp(&b.0.0));
    let (mut groups, mut highest): (Vec<Vec<&Found>>, f64) = (Vec::new(), f64::NEG_INFINITY);
    for ((low, high), found) in all {
        match groups.last_mut().filter(|_| low <= highest) {
            Some(group) => group.push(found),
            None => groups.push(vec![found]),
        }
        highest = highest.max(high);
    }
    groups.iter_mut().for_each(|group| group.sort_by(|a, b| a.2.value.total_cmp(&b.2.value)));
    Some(groups)
}

fn together(group: &[&Found]) -> String {
    let names: Vec<_> = group.iter().map(|found| named(found)).collect();
    match names.as_slice() {
        [only] => only.clone(),
        [first, second] => format!("{first} and {second} (not significantly different)"),
        several => format!("{} (not all significantly different)", several.join(", ")),
    }
}

fn named((subject, kind, value): &Found) -> String {
    format!("{subject}{} {}", mark(*kind), with_interval(value))
}

const fn mark(kind: VerdictKind) -> &'static str {
    if matches!(kind, VerdictKind::Overloaded) { " (overloaded)" } else { "" }
}

fn trust(job: &JobSummary) -> String {
    let count = |kind| job.verdicts.get(&kind).copied().unwrap_or(0);
    let made: u32 = job.verdicts.values().sum();
    if made == 0 {
        return "No run was made.".to_owned();
    }
    let mut said = format!("{} of {made} runs are valid", count(VerdictKind::Valid));
    for (kind, what) in [
        (VerdictKind::Overloaded, "overloaded"),
        (VerdictKind::Wrong, "wrong"),
        (VerdictKind::Crashed, "crashed"),
        (VerdictKind::Invalid, "invalid and not used"),
    ] {
        if count(kind) > 0 {
            said += &format!(", {} {what}", count(kind));
        }
    }
    if job.is_partial() {
        said += &format!("; the job is incomplete: {} runs were planned", job.runs_planned);
    }
    let theory: Vec<_> = job.points.iter().flat_map(|point| &point.theory).collect();
    if !theory.is_empty() {
        let unexplained =
            theory.iter().filter(|cell| cell.agreement == crate::theory::PredictionCheck::Unexplained).count();
        said += &format!("; {unexplained} of {} predictions of the theory are unexplained", theory.len());
    }
    if !job.claims.is_empty() {
        let found = |finding| job.claims.iter().filter(|claim| claim.finding == finding).count();
        said += &format!(
            "; of {} claims {} confirmed, {} refuted, {} not decidable",
            job.claims.len(),
            found(Finding::Confirmed),
            found(Finding::Refuted),
            found(Finding::NotDecidable)
        );
    }
    let machine = job.runs.iter().map(|run| run.cpu_probe_share).reduce(f64::min).unwrap_or(1.0);
    format!("{said}; lowest CPU probe: {} of the best.", percent(machine))
}

#[cfg(test)]
mod tests {
    use results::invented;

    use crate::summary::JobSummary;

    #[test]
    fn transports_are_ordered_only_if_their_intervals_are_apart() {
        let mut job = invented::results_folder(&[100]);
        let sentences = |job: &results::ResultsFolder| super::sentences(&JobSummary::of(job));
        assert!(sentences(&job)[0].contains("(an order needs six valid runs"), "{}", sentences(&job)[0]);
        invented::repeat(&mut job);
        let found = sentences(&job);
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(
            found[0].starts_with("Median delivery latency, ms: ") && found[0].contains(", then polling "),
            "{}",
            found[0]
        );
        assert!(found[0].contains("; raw TCP: "), "{}", found[0]);
        assert!(found[1].starts_with("Server CPU, µs/message: ") && found[1].contains("× polling"), "{}", found[1]);
        let one = job.runs.iter().find(|run| run.record.transport.name() == "sse").unwrap().record.clone();
        for (at, run) in job.runs.iter_mut().enumerate() {
            run.record.latency = one.latency.clone();
            run.record
                .latency
                .get_mut(&results::Series::DeliveryLatency)
                .unwrap()
                .quantiles
                .get_mut("p50")
                .unwrap()
                .us += at as u64 % 7;
        }
        assert!(!sentences(&job)[0].contains("then"), "{}", sentences(&job)[0]);
        job.runs.clear();
        assert_eq!(sentences(&job), ["No run was made."]);
    }
}
