//! The answer in three sentences: when messages arrive, what that costs, how far it can be trusted. Only what intervals support is
//! said of an order; what cannot be told apart is called so.

use results::VerdictKind;
use scenario::Figure;
use wire::Transport;

use crate::claims::Finding;
use crate::facts::{JobFacts, PointFacts, RowFacts, Value};
use crate::numbers::{number, percent, with_interval};

/// The sentences of a job.
pub(crate) fn sentences(job: &JobFacts) -> Vec<String> {
    // Of a sweep the last point that has most to say.
    let usable = |point: &&PointFacts| point.rows.iter().filter(|row| row.shown.is_some()).count();
    let mut sentences = Vec::new();
    if let Some(point) = job.points.iter().max_by_key(usable).filter(|point| usable(point) > 0) {
        sentences.extend(order(point, Figure::DeliveryP50Ms, "deliver soonest", "is latest", "p50", "ms"));
        sentences.extend(order(
            point,
            Figure::ServerCpuUsPerMessage,
            "cost the server least",
            "costs most",
            "CPU a message",
            "µs",
        ));
    }
    sentences.push(trust(job));
    sentences
}

fn order(point: &PointFacts, figure: Figure, first: &str, last: &str, what: &str, unit: &str) -> Option<String> {
    let of = |row: &RowFacts| Some((row.transport, row.shown?, *row.figure(figure)?));
    let rows = point.rows.iter().filter(|row| row.transport != Transport::Tcp);
    let mut found: Vec<(Transport, VerdictKind, Value)> = rows.filter_map(of).collect();
    found.sort_by(|a, b| a.2.value.total_cmp(&b.2.value));
    let (best, worst) = (found.first()?, found.last()?);
    let at = if point.label.is_empty() { String::new() } else { format!("At {}: ", point.label) };
    let named = |(transport, kind, value): &(Transport, VerdictKind, Value)| {
        let mark = if *kind == VerdictKind::Overloaded { ", overloaded" } else { "" };
        format!("{transport} ({what} {} {unit}{mark})", with_interval(value))
    };
    if found.len() == 1 {
        return Some(format!("{at}{} is the only transport with figures.", named(best)));
    }
    let told: Option<Vec<bool>> = found.iter().map(|row| row.2.meets(&best.2)).collect();
    let Some(meets) = told else {
        let medians: Vec<_> = found.iter().map(named).collect();
        return Some(format!("{at}Too few repetitions to put them in an order: {}.", medians.join(", ")));
    };
    let together: Vec<_> = found.iter().zip(&meets).filter(|(_, meets)| **meets).map(|(row, _)| named(row)).collect();
    if together.len() == found.len() {
        return Some(format!("{at}All are indistinguishable in {what}: {}.", together.join(", ")));
    }
    let leaders = match together.as_slice() {
        [only] => format!("{only} alone"),
        several => format!("{}, indistinguishable from each other,", several.join(", ")),
    };
    let times = worst.2.value / best.2.value;
    let times = if times.is_finite() { format!(", {}× {}", number(times), best.0) } else { String::new() };
    let verb = if together.len() == 1 {
        first.replacen("deliver", "delivers", 1).replacen("cost ", "costs ", 1)
    } else {
        first.to_owned()
    };
    Some(format!("{at}{leaders} {verb}; {} {last}{times}.", named(worst)))
}

fn trust(job: &JobFacts) -> String {
    let count = |kind| job.verdicts.get(&kind).copied().unwrap_or(0);
    let made: u32 = job.verdicts.values().sum();
    if made == 0 {
        return "No run was made: there is nothing to say.".to_owned();
    }
    let mut said = format!("{} of {made} runs are sound", count(VerdictKind::Sound));
    for (kind, what) in [
        (VerdictKind::Overloaded, "overloaded"),
        (VerdictKind::Wrong, "wrong"),
        (VerdictKind::Invalid, "invalid and in no figure"),
    ] {
        if count(kind) > 0 {
            said += &format!(", {} {what}", count(kind));
        }
    }
    if job.is_partial() {
        said += &format!("; the job is partial, {} runs were planned", job.runs_planned);
    }
    let theory: Vec<_> = job.points.iter().flat_map(|point| &point.theory).collect();
    if !theory.is_empty() {
        let unexplained = theory.iter().filter(|cell| cell.agreement == crate::theory::Agreement::Unexplained).count();
        said += &format!("; theory leaves {unexplained} of {} predictions unexplained", theory.len());
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
    let machine = job.runs.iter().map(|run| run.machine_share).reduce(f64::min).unwrap_or(1.0);
    format!("{said}; at its slowest the machine gave {} of its best.", percent(machine))
}

#[cfg(test)]
mod tests {
    use results::invented;

    use crate::facts::Facts;

    #[test]
    fn what_intervals_do_not_part_is_called_indistinguishable() {
        let mut job = invented::evidence(&[100]);
        let sentences = |job: &results::Evidence| Facts::of(std::slice::from_ref(job)).jobs.remove(0).answer;
        let said = sentences(&job);
        assert_eq!(said.len(), 3, "{said:#?}");
        assert!(
            said[0].contains(" alone delivers soonest; polling (p50 ") && said[0].contains(" is latest, "),
            "{}",
            said[0]
        );
        assert!(said[1].contains(" costs the server least; ") && said[1].contains(" costs most, "), "{}", said[1]);
        let one = job.runs.iter().find(|run| run.record.transport.name() == "sse").unwrap().record.clone();
        let slow = one.latency.clone();
        for (at, run) in job.runs.iter_mut().enumerate() {
            run.record.latency = slow.clone();
            run.record.latency.get_mut(&results::Series::Delivery).unwrap().quantiles.get_mut("p50").unwrap().us +=
                at as u64 % 7;
        }
        assert!(sentences(&job)[0].contains("All are indistinguishable in p50"), "{}", sentences(&job)[0]);
        job.runs.retain(|run| run.record.round == 1);
        job.runs.iter_mut().for_each(|run| run.record.latency.clear());
        assert!(sentences(&job)[0].starts_with("Too few repetitions"), "{}", sentences(&job)[0]);
        job.runs.clear();
        assert_eq!(sentences(&job), ["No run was made: there is nothing to say."]);
    }
}
