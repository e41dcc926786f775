//! Measures a gate: base, head and base again of every transport in rounds whose slices take turns.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use loadgen::Progress;
use report::gate::{Block, Comparison, GateVerdict, InconclusiveReason, Look, MetricBlocks, Rule, judge, value};
use results::{MetricId, Mode, RunEnd, RunRecord, Series, VerdictKind};
use scenario::Job;
use tokio_util::sync::CancellationToken;
use wire::Transport;

use crate::machine;
use crate::run::{
    BlockSlice, ProgressLine, RoundObserver, RoundPlan, RoundSubject, RunEnvironment, Timetable, round_of_slices,
};

pub(crate) const SIDES: [&str; 3] = ["base", "head", "base again"];

/// A decided gate.
#[derive(Clone)]
pub(crate) struct GateJob {
    pub(crate) job: Job,
    pub(crate) transports: Vec<Transport>,
    /// Base, head and base again of every transport.
    pub(crate) subjects: Vec<RoundSubject>,
    /// Base and head as written on the command line.
    pub(crate) sides: [String; 2],
    /// The metrics, each with the smallest change that matters.
    pub(crate) metrics: Vec<(MetricId, f64)>,
    /// The metrics were named on the command line: a missing one is an error.
    pub(crate) metrics_required: bool,
    /// Cores that this process may use before it is pinned.
    pub(crate) cores: Vec<usize>,
    /// Notes on the machine for the reader.
    pub(crate) notes: Vec<String>,
}

/// How a gate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    Interrupted,
    WithoutMetrics,
}

impl GateJob {
    /// The rounds that fit the time until `deadline`.
    pub(crate) fn timetable(&self, deadline: Instant) -> Timetable {
        let subjects = |mode| if self.has(mode) { self.subjects.len() } else { 0 };
        let connect = self.subjects.iter().map(RoundSubject::connect_estimate).sum();
        let load = (subjects(Mode::Load), connect);
        let least = |mode| Rule::rounds_min(mode, self.metrics.len());
        let rounds_min = (least(Mode::Load), least(Mode::LockStep));
        let connect_stepped = self.subjects.iter().map(RoundSubject::start_in_lock_step).sum();
        let lock_step = (subjects(Mode::LockStep), connect_stepped);
        Timetable::fit(deadline, load, lock_step, rounds_min)
    }

    /// Whether a metric needs rounds of this mode.
    pub(crate) fn has(&self, mode: Mode) -> bool {
        self.metrics.iter().any(|(metric, _)| metric.mode() == mode)
    }

    /// The rounds that the rule counts: those under load, if there are any.
    fn counted_mode(&self) -> Mode {
        if self.has(Mode::Load) { Mode::Load } else { Mode::LockStep }
    }
}

/// Measures until every metric is decided, all rounds are made, or `stop` is cancelled.
pub(crate) async fn measure_all(job: GateJob, stop: CancellationToken) -> anyhow::Result<(Comparison, Ending)> {
    let mut gate = Gate::new(job, stop);
    let (look, interrupted) = gate.run_rounds().await?;
    let ending = match (interrupted, gate.transports_without_metrics().is_empty()) {
        (true, _) => Ending::Interrupted,
        (false, false) => Ending::WithoutMetrics,
        (false, true) => Ending::Complete,
    };
    match ending {
        Ending::Complete => gate.check_metrics()?,
        Ending::WithoutMetrics => {
            let names = gate.transports_without_metrics().join(", ");
            gate.notes.push(format!("no metrics for {names}: every round had an invalid run"));
        }
        Ending::Interrupted => {}
    }
    let mut rows = judge(&gate.cells, &look);
    if interrupted {
        // The metrics are kept, but an interrupted gate gives no verdict.
        rows.iter_mut().for_each(|row| {
            row.verdict = row.verdict.map(|_| GateVerdict::Inconclusive(InconclusiveReason::Interrupted))
        });
        let (done, planned) = (look.rounds, gate.rounds_planned);
        gate.notes.push(format!("partial: interrupted after {done} of {planned} rounds"));
    }
    if gate.late_runs > 0 {
        gate.notes.push(format!(
            "in {} of {} runs posts were sent late; they count here, because base and head are affected with equal probability",
            gate.late_runs, gate.runs
        ));
    }
    let [base, head] = gate.job.sides.clone();
    let comparison = Comparison {
        scenario: gate.job.job.name.clone(),
        base,
        head,
        seed: gate.job.job.seed,
        rounds_planned: gate.rounds_planned,
        rounds: look.rounds,
        paired: true,
        notes: gate.notes,
        rows,
        cells: gate.cells,
    };
    Ok((comparison, ending))
}

struct Gate {
    job: GateJob,
    environment: RunEnvironment,
    timetable: Timetable,
    rounds_planned: u32,
    progress: ProgressLine,
    runs: usize,
    late_runs: usize,
    cells: Vec<MetricBlocks>,
    notes: Vec<String>,
}

impl Gate {
    fn new(job: GateJob, stop: CancellationToken) -> Self {
        let first = job.job.plans.first().and_then(|plan| plan.cores.as_ref());
        let (server_cores, generator_cores) = machine::share_cores(first, &job.cores);
        machine::pin(&generator_cores).ok();
        let timetable = job.timetable(Instant::now() + job.job.budget);
        let (load, lock_step) = timetable.planned();
        let all_cores = job.cores.clone();
        Self {
            environment: RunEnvironment::new(server_cores, generator_cores, all_cores, stop, 0.0),
            rounds_planned: if job.counted_mode() == Mode::Load { load } else { lock_step },
            timetable,
            progress: ProgressLine::new(job.job.budget),
            runs: 0,
            late_runs: 0,
            cells: Vec::new(),
            notes: job.notes.clone(),
            job,
        }
    }

    /// Makes the rounds and judges after some of them. Returns the last look, over all rounds made,
    /// and whether it was interrupted.
    async fn run_rounds(&mut self) -> anyhow::Result<(Look, bool)> {
        let rule = Rule::of(self.rounds_planned, self.job.counted_mode());
        let (mut done, mut look) = (0, rule.cut_short(0));
        let (load, lock_step) = self.timetable.planned();
        while let Some((mode, round, deadline)) = self.timetable.next() {
            let of = if mode == Mode::Load { load } else { lock_step };
            let kind = if mode == Mode::Load { "under load" } else { "in lock-step" };
            self.progress.begin(&format!("round {round} of {of} {kind}"));
            self.run_round(mode, round, deadline).await?;
            if self.environment.stop.is_cancelled() {
                return Ok((rule.cut_short(done), true));
            }
            if mode != self.job.counted_mode() {
                continue;
            }
            done = round;
            let Some(due) = rule.look_after(done) else { continue };
            look = due;
            let rows = judge(&self.cells, &look);
            let open = rows.iter().filter_map(|row| row.verdict).any(|verdict| !verdict.is_decided());
            if !rows.is_empty() && !open && done < self.rounds_planned {
                self.notes.push(format!("decided after {done} of {} rounds", self.rounds_planned));
                break;
            }
        }
        Ok((if look.rounds == done { look } else { rule.cut_short(done) }, false))
    }

    async fn run_round(&mut self, mode: Mode, round: u32, deadline: Instant) -> anyhow::Result<()> {
        // Base, head and base again of one transport take turns, and then those of the next.
        let groups: Vec<Vec<usize>> = (0..self.job.transports.len()).map(|at| (3 * at..3 * at + 3).collect()).collect();
        let plan = RoundPlan {
            job: &self.job.job,
            subjects: &self.job.subjects,
            mode,
            round,
            first_run: 1,
            deadline,
            groups: &groups,
        };
        let mut observer = GateObserver { progress: &mut self.progress, blocks: 0 };
        let records = round_of_slices(&mut self.environment, &plan, &mut observer).await?;
        let blocks = observer.blocks;
        if self.environment.stop.is_cancelled() {
            return Ok(());
        }
        let mut lost = Vec::new();
        for (at, sides) in records.chunks(SIDES.len()).enumerate() {
            let usable = self.usable(sides)?;
            if usable {
                self.add(at, mode, round, sides);
            } else {
                lost.push(self.job.transports[at].name());
            }
        }
        let without = if lost.is_empty() { String::new() } else { format!(", without {}", lost.join(", ")) };
        self.progress.end(&format!("{blocks} blocks{without}"));
        if !lost.is_empty() {
            self.notes.push(format!(
                "round {round} ({}) does not count for {}: a run was invalid",
                mode.name(),
                lost.join(", ")
            ));
        }
        Ok(())
    }

    /// Whether the runs of base, head and base again count; an error for a server that crashed or
    /// sent wrong messages.
    fn usable(&mut self, sides: &[RunRecord]) -> anyhow::Result<bool> {
        let mut usable = true;
        for (record, name) in sides.iter().zip(SIDES) {
            self.runs += 1;
            let verdict = verdict_ignoring_lateness(record);
            self.late_runs +=
                usize::from(record.verdict.kind == VerdictKind::Invalid && verdict.kind != VerdictKind::Invalid);
            let (transport, reasons) = (record.transport, verdict.reasons.join("; "));
            match (&record.ended, verdict.kind) {
                (RunEnd::Crashed(crash), _) => bail!("{name} ({transport}): {crash}"),
                (RunEnd::Failed(why), _) => bail!("{name} ({transport}): {why}{}", faults(record)),
                (_, VerdictKind::Wrong) => {
                    bail!("{name} ({transport}): {reasons}; a run with wrong messages cannot be compared")
                }
                (_, VerdictKind::Crashed | VerdictKind::Invalid) => usable = false,
                (_, VerdictKind::Valid | VerdictKind::Overloaded) => {}
            }
        }
        Ok(usable)
    }

    /// Adds the values of a round of one transport.
    fn add(&mut self, at: usize, mode: Mode, round: u32, sides: &[RunRecord]) {
        let [base, head, again] = sides else { return };
        for (metric, threshold) in self.job.metrics.clone() {
            if metric.mode() != mode {
                continue;
            }
            let mut blocks = blocks(metric, round, [base, head, again]);
            if blocks.is_empty() {
                let whole = value(metric, base).zip(value(metric, head)).zip(value(metric, again));
                blocks.extend(whole.map(|((base, head), again)| Block { round, base, head, again }));
            }
            if blocks.is_empty() {
                continue;
            }
            let transport = self.job.transports[at].name();
            let known = self.cells.iter().position(|cell| cell.transport == transport && cell.metric == metric);
            let cell = known.unwrap_or_else(|| {
                let transport = transport.to_owned();
                self.cells.push(MetricBlocks { transport, metric, threshold: Some(threshold), blocks: Vec::new() });
                self.cells.len() - 1
            });
            self.cells[cell].blocks.extend(blocks);
        }
    }

    fn transports_without_metrics(&self) -> Vec<&'static str> {
        let names = self.job.transports.iter().map(|transport| transport.name());
        names.filter(|name| self.cells.iter().all(|cell| cell.transport != *name)).collect()
    }

    /// Notes the metrics that no round has; fails when they were named on the command line.
    fn check_metrics(&mut self) -> anyhow::Result<()> {
        for transport in &self.job.transports {
            for (metric, _) in &self.job.metrics {
                if self.cells.iter().any(|cell| cell.transport == transport.name() && cell.metric == *metric) {
                    continue;
                }
                if metric.info().is_count && !self.job.metrics_required {
                    // WebSocket has no requests.
                    continue;
                }
                let why =
                    "no run has it; it may need a longer --budget, more posts, or a server whose process can be read";
                if self.job.metrics_required {
                    bail!("{} of {transport} was not measured: {why}", metric.name());
                }
                self.notes.push(format!("{} of {transport} was not measured: {why}", metric.info().label));
            }
        }
        Ok(())
    }
}

/// The blocks in which the slices of all three count and have the metric.
fn blocks(metric: MetricId, round: u32, sides: [&RunRecord; 3]) -> Vec<Block> {
    let of = |side: &RunRecord, block: u32| {
        let slice = side.kept().find(|slice| slice.block == block)?;
        metric.in_slice(slice).filter(|value| value.is_finite() && *value > 0.0)
    };
    let [base, head, again] = sides;
    let whole =
        |block: u32| Some(Block { round, base: of(base, block)?, head: of(head, block)?, again: of(again, block)? });
    base.kept().filter_map(|slice| whole(slice.block)).collect()
}

/// Shows the rounds of a gate, which keeps no files.
struct GateObserver<'a> {
    progress: &'a mut ProgressLine,
    blocks: u32,
}

impl RoundObserver for GateObserver<'_> {
    fn log_path(&mut self, _: u32) -> anyhow::Result<Option<PathBuf>> {
        Ok(None)
    }

    fn subject(&mut self, name: &str, doing: &str, _: Option<Progress>) {
        self.progress.show(&format!("{name} {doing}"), &[]);
    }

    fn block(&mut self, block: u32, _: &[BlockSlice<'_>]) {
        self.blocks = block;
        self.progress.show(&format!("block {block}"), &[]);
    }

    fn run(&mut self, _: &RunRecord) {}
}

/// The verdict without the check of the send delay. It invalidates a result of its own, but not a
/// comparison in blocks of random order: base and head are affected with equal probability.
fn verdict_ignoring_lateness(record: &RunRecord) -> results::RunVerdict {
    let mut kept = record.clone();
    kept.latency.remove(&Series::SendDelay);
    results::judge(&kept)
}

fn faults(record: &RunRecord) -> String {
    let texts: Vec<_> = record.faults.texts.values().flatten().take(2).cloned().collect();
    if texts.is_empty() { String::new() } else { format!(" ({})", texts.join("; ")) }
}

/// The least budget with which every metric can get a verdict.
pub(crate) fn least_budget(gate: &GateJob) -> Duration {
    let metrics = gate.metrics.len();
    let enough = |seconds: &u64| {
        let (load, lock_step) = gate.timetable(Instant::now() + Duration::from_secs(*seconds)).planned();
        let has = |mode, rounds| !gate.has(mode) || rounds >= Rule::rounds_min(mode, metrics);
        has(Mode::Load, load) && has(Mode::LockStep, lock_step)
    };
    Duration::from_secs((1..=1_440).map(|step| 5 * step).find(enough).unwrap_or(7_200))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_late_posts_are_ignored() {
        let mut record = results::invented::results_folder(&[10]).runs.remove(0).record;
        let late = results::LatencySummary { ..record.latency[&Series::DeliveryLatency].clone() };
        record.latency.insert(Series::SendDelay, late);
        record.latency.get_mut(&Series::SendDelay).unwrap().quantiles.get_mut("p99").unwrap().us = 50_000;
        assert_eq!(results::judge(&record).kind, VerdictKind::Invalid);
        assert_eq!(verdict_ignoring_lateness(&record).kind, VerdictKind::Valid);
        record.generator.core_usage_max = 1.0;
        assert_eq!(verdict_ignoring_lateness(&record).kind, VerdictKind::Invalid);
    }

    #[test]
    fn a_block_counts_only_if_all_three_slices_do() {
        let folder = results::invented::sliced(1, 5, 1);
        let mut sides: Vec<_> = folder.runs[..3].iter().map(|run| run.record.clone()).collect();
        sides[1].slices[2].dropped = Some("stolen".to_owned());
        let found = blocks(MetricId::ServerCpuPerMessage, 7, [&sides[0], &sides[1], &sides[2]]);
        assert!(found.len() == 4 && found.iter().all(|block| block.round == 7));
        assert_eq!(blocks(MetricId::ServerBytesPerClient, 7, [&sides[0], &sides[1], &sides[2]]), []);
    }
}
