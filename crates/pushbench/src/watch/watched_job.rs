//! What a page knows about a job: the slices of all blocks so far, and the runs that have ended.

use std::collections::BTreeMap;

use report::COMPARED;
use report::stats::{InBlock, Ratio, block_ratio, lock_step_ratio, median};
use results::{MetricId, Mode, RunRecord, Subject, VerdictKind};

use crate::run::{BlockSlice, RoundSubject};

pub(super) struct WatchedJob {
    pub(super) subjects: Vec<WatchedSubject>,
    pub(super) blocks: u32,
}

#[derive(Default)]
pub(super) struct WatchedSubject {
    pub(super) name: String,
    /// Index of raw TCP at the same point.
    baseline: Option<usize>,
    values: BTreeMap<MetricId, Vec<InBlock>>,
    /// Quantiles of the runs that have ended and count.
    quantiles: BTreeMap<MetricId, Vec<f64>>,
    pub(super) delivered: u64,
    pub(super) scheduled: u64,
    pub(super) server_cpu_us: f64,
    pub(super) generator_cpu_us: f64,
    pub(super) window_us: f64,
    pub(super) kept: u32,
    /// Slices that do not count, by reason.
    pub(super) dropped: BTreeMap<String, u32>,
    pub(super) verdicts: BTreeMap<VerdictKind, u32>,
}

impl WatchedJob {
    pub(super) fn new(subjects: &[RoundSubject]) -> Self {
        let is_baseline = |one: &RoundSubject| {
            (one.transport, one.target.as_str()) == (Subject::BASELINE.transport, Subject::BASELINE.target_name())
        };
        let of = |subject: &RoundSubject| WatchedSubject {
            name: subject.name.clone(),
            baseline: subjects
                .iter()
                .position(|one| is_baseline(one) && one.plan.label == subject.plan.label)
                .filter(|_| !is_baseline(subject)),
            ..WatchedSubject::default()
        };
        Self { subjects: subjects.iter().map(of).collect(), blocks: 0 }
    }

    pub(super) fn block(&mut self, slices: &[BlockSlice<'_>]) {
        self.blocks += 1;
        for one in slices {
            let Some(subject) = self.subjects.iter_mut().find(|subject| subject.name == one.subject) else { continue };
            subject.slice(one);
        }
    }

    pub(super) fn run(&mut self, record: &RunRecord) {
        let name = name_of(record);
        let Some(subject) = self.subjects.iter_mut().find(|subject| subject.name == name) else { return };
        *subject.verdicts.entry(record.verdict.kind).or_default() += 1;
        if !record.verdict.kind.has_metrics() {
            for (_, values) in subject.values.iter_mut().filter(|(metric, _)| metric.mode() == record.mode) {
                values.retain(|value| value.round != record.round);
            }
            return;
        }
        for metric in [MetricId::DeliveryP50, MetricId::DeliveryP99] {
            subject.quantiles.entry(metric).or_default().extend(metric.value(record));
        }
    }

    /// The ratio of a subject to raw TCP so far.
    pub(super) fn ratio(&self, subject: &WatchedSubject, metric: MetricId) -> Option<Ratio> {
        let baseline = &self.subjects[subject.baseline?];
        let (ours, theirs) = (subject.values.get(&metric)?, baseline.values.get(&metric)?);
        match metric.mode() {
            Mode::LockStep => lock_step_ratio(ours, theirs),
            Mode::Load => block_ratio(ours, theirs),
        }
    }
}

/// The name of a run's subject, as in a round.
pub(super) fn name_of(record: &RunRecord) -> String {
    format!("{} {}", record.subject(), record.point).trim_end().to_owned()
}

impl WatchedSubject {
    fn slice(&mut self, one: &BlockSlice<'_>) {
        if let Some(reason) = &one.slice.dropped {
            *self.dropped.entry(reason.clone()).or_default() += 1;
            return;
        }
        self.kept += 1;
        for metric in COMPARED.into_iter().filter(|metric| metric.mode() == one.mode) {
            let value = metric.in_slice(one.slice).filter(|value| value.is_finite() && *value > 0.0);
            let value = value.map(|value| InBlock { round: one.round, block: one.slice.block, value });
            self.values.entry(metric).or_default().extend(value);
        }
        if one.mode == Mode::Load {
            self.delivered += one.slice.traffic.delivered;
            self.scheduled += one.scheduled;
            self.window_us += one.slice.window_us as f64;
            self.server_cpu_us += one.slice.server_cpu_ns.unwrap_or(0) as f64 / 1e3;
            self.generator_cpu_us += one.slice.generator_cpu.total_us() as f64;
        }
    }

    /// The median over the runs that count, or before there are any, over the slices.
    pub(super) fn quantile(&self, metric: MetricId) -> Option<f64> {
        let of_slices = || median(&self.values.get(&metric)?.iter().map(|one| one.value).collect::<Vec<_>>());
        self.quantiles.get(&metric).and_then(|runs| median(runs)).or_else(of_slices)
    }
}

#[cfg(test)]
mod tests {
    use results::{Run, invented};

    use super::*;

    fn watched(runs: &[Run]) -> WatchedJob {
        let named =
            |name: &str, baseline| WatchedSubject { name: name.to_owned(), baseline, ..WatchedSubject::default() };
        let mut job = WatchedJob { subjects: vec![named("tcp", None), named("sse", Some(0))], blocks: 0 };
        for Run { record, .. } in runs {
            let subject = name_of(record);
            for slice in record.slices.iter().filter(|slice| slice.block > 0) {
                let (mode, round) = (record.mode, record.round);
                job.block(&[BlockSlice { subject: &subject, mode, round, slice, scheduled: 1 }]);
            }
            job.run(record);
        }
        job
    }

    #[test]
    fn the_ratios_of_the_page_are_those_of_the_report() {
        let folder = invented::sliced(4, 20, 10);
        let job = watched(&folder.runs);
        let summary = report::summary(std::slice::from_ref(&folder));
        let subjects = &summary.jobs[0].points[0].subjects;
        let sse = subjects.iter().find(|subject| subject.transport.name() == "sse").unwrap();
        for metric in COMPARED {
            let ratio = job.ratio(&job.subjects[1], metric).unwrap();
            let reported = &sse.times_baseline[&metric];
            assert_eq!((ratio.value, ratio.interval), (reported.value, reported.interval), "{}", metric.name());
        }
        assert!(job.ratio(&job.subjects[0], COMPARED[0]).is_none());
    }

    #[test]
    fn blocks_of_a_run_that_does_not_count_are_forgotten() {
        let mut folder = invented::sliced(4, 20, 10);
        let is_dropped =
            |record: &RunRecord| (record.transport.name(), record.mode, record.round) == ("sse", Mode::Load, 1);
        let dropped = folder.runs.iter_mut().find(|run| is_dropped(&run.record)).unwrap();
        dropped.record.verdict.kind = VerdictKind::Invalid;
        let job = watched(&folder.runs);
        assert_eq!(job.ratio(&job.subjects[1], MetricId::ServerCpuPerMessage).unwrap().rounds, 3);
        assert_eq!(job.subjects[1].verdicts[&VerdictKind::Invalid], 1);
    }
}
