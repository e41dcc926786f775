//! Events as JSON, for the page.

use std::collections::BTreeMap;
use std::time::Duration;

use report::COMPARED;
use results::MetricId;
use serde::Serialize;

use super::watched_job::{WatchedJob, WatchedSubject};

/// The first event: what does not change.
#[derive(Serialize)]
struct JobEvent<'a> {
    title: &'a str,
    question: &'a str,
    subjects: Vec<&'a str>,
    metrics: Vec<MetricText>,
}

#[derive(Serialize)]
struct MetricText {
    name: &'static str,
    label: &'static str,
    help: &'static str,
}

/// How things are at one instant.
#[derive(Serialize)]
struct NowEvent<'a> {
    elapsed_s: f64,
    left_s: f64,
    doing: &'a str,
    blocks: u32,
    subjects: Vec<SubjectNow<'a>>,
}

#[derive(Serialize)]
struct SubjectNow<'a> {
    delivery_p50_ms: Option<f64>,
    delivery_p99_ms: Option<f64>,
    delivered: u64,
    scheduled: u64,
    /// Shares of a core in the windows.
    server_core: Option<f64>,
    generator_core: Option<f64>,
    kept: u32,
    dropped: &'a BTreeMap<String, u32>,
    verdicts: BTreeMap<&'static str, u32>,
    /// Ratios to raw TCP by metric.
    ratios: BTreeMap<&'static str, RatioNow>,
}

#[derive(Serialize)]
struct RatioNow {
    value: f64,
    /// Ends of the 95 % interval.
    interval: Option<(f64, f64)>,
}

pub(super) fn job(title: &str, question: &str, job: &WatchedJob) -> String {
    let subjects = job.subjects.iter().map(|subject| subject.name.as_str()).collect();
    let text =
        |metric: MetricId| MetricText { name: metric.name(), label: metric.info().label, help: metric.info().help };
    json(&JobEvent { title, question, subjects, metrics: COMPARED.map(text).into() })
}

pub(super) fn now(job: &WatchedJob, elapsed: Duration, left: Duration, doing: &str) -> String {
    let of = |subject| subject_now(job, subject);
    json(&NowEvent {
        elapsed_s: elapsed.as_secs_f64(),
        left_s: left.as_secs_f64(),
        doing,
        blocks: job.blocks,
        subjects: job.subjects.iter().map(of).collect(),
    })
}

fn subject_now<'a>(job: &WatchedJob, subject: &'a WatchedSubject) -> SubjectNow<'a> {
    let core = |cpu_us: f64| (subject.window_us > 0.0).then(|| cpu_us / subject.window_us);
    let ratio = |metric: MetricId| {
        let ratio = job.ratio(subject, metric)?;
        Some((metric.name(), RatioNow { value: ratio.value, interval: ratio.interval }))
    };
    SubjectNow {
        delivery_p50_ms: subject.quantile(MetricId::DeliveryP50),
        delivery_p99_ms: subject.quantile(MetricId::DeliveryP99),
        delivered: subject.delivered,
        scheduled: subject.scheduled,
        server_core: core(subject.server_cpu_us),
        generator_core: core(subject.generator_cpu_us),
        kept: subject.kept,
        dropped: &subject.dropped,
        verdicts: subject.verdicts.iter().map(|(kind, count)| (kind.name(), *count)).collect(),
        ratios: COMPARED.into_iter().filter_map(ratio).collect(),
    }
}

fn json(event: &impl Serialize) -> String {
    serde_json::to_string(event).expect("the types of this module have string keys")
}
