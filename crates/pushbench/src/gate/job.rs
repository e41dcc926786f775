//! Measures the blocks of a gate: for every transport base, head and base again in random order,
//! each on a fresh server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use report::gate::{Block, Comparison, GateVerdict, InconclusiveReason, Look, MetricBlocks, Rule, judge, value};
use report::stats::Chance;
use results::{MachineState, MetricId, RunEnd, RunRecord, Series, Subject, VerdictKind};
use scenario::{Override, Plan};
use tokio_util::sync::CancellationToken;
use wire::Transport;

use super::server::GateServer;
use crate::machine;
use crate::run::{ProgressLine, RunEnvironment, RunId, measure};

/// Reruns of an invalid run; after that its block is dropped.
const RERUNS_MAX: u32 = 1;
/// A gate that takes this many times its budget stops with the blocks it has.
const BUDGET_SLACK: f64 = 1.2;
/// Phases are shortened to these lengths, because a gate has many runs.
const SHORT_S: [(&str, f64); 4] =
    [("phases.ramp_up_s", 0.5), ("phases.settle_s", 0.2), ("phases.warm_up_s", 0.5), ("phases.drain_idle_s", 1.0)];
const SIDES: [&str; 3] = ["base", "head", "base again"];

/// A decided gate.
#[derive(Clone)]
pub(crate) struct GateJob {
    pub(crate) scenario: String,
    pub(crate) plan: Plan,
    pub(crate) transports: Vec<Transport>,
    pub(crate) base: GateServer,
    pub(crate) head: GateServer,
    pub(crate) blocks: usize,
    pub(crate) budget: Duration,
    pub(crate) overhead: Duration,
    pub(crate) metrics: Vec<MetricId>,
    /// The metrics were named on the command line: a missing one is an error.
    pub(crate) metrics_required: bool,
    pub(crate) seed: u64,
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

/// Overrides that shorten the scenario's phases, except those that `set` gives.
pub(crate) fn shortened_phases(plan: &Plan, set: &[Override]) -> Vec<Override> {
    let phases = &plan.phases;
    let asked = |key: &str| set.iter().any(|set| set.path() == key);
    let lengths = [phases.ramp_up(), phases.settle(), phases.warm_up(), phases.drain_idle()];
    let short = SHORT_S.into_iter().zip(lengths).filter(|((key, short), length)| {
        // A polling client receives nothing for up to one interval.
        let needed = if *key == "phases.drain_idle_s" { plan.tuning.polling.interval_ms as f64 * 1.5e-3 } else { 0.0 };
        !asked(key) && length.as_secs_f64() > short.max(needed)
    });
    short.map(|((key, short), _)| set_seconds(key, Duration::from_secs_f64(short))).collect()
}

/// An override that sets a time.
pub(crate) fn set_seconds(key: &str, value: Duration) -> Override {
    format!("{key}={:?}", value.as_secs_f64()).parse().expect("a key and a number")
}

/// Measures until every metric is decided, all blocks are done, the time is up, or `stop` is
/// cancelled.
pub(crate) async fn measure_all(job: GateJob, stop: CancellationToken) -> anyhow::Result<(Comparison, Ending)> {
    let mut gate = Gate::new(job, stop);
    let (look, interrupted) = gate.run_blocks().await?;
    let ending = match (interrupted, gate.values.iter().any(Vec::is_empty)) {
        (true, _) => Ending::Interrupted,
        (false, true) => Ending::WithoutMetrics,
        (false, false) => Ending::Complete,
    };
    match ending {
        Ending::Complete => gate.check_metrics()?,
        Ending::WithoutMetrics => gate.note_missing_metrics(),
        Ending::Interrupted => {}
    }
    let cells = gate.cells();
    let mut rows = judge(&cells, &look);
    if interrupted {
        // The metrics are kept, but an interrupted gate gives no verdict.
        rows.iter_mut().for_each(|row| {
            row.verdict = row.verdict.map(|_| GateVerdict::Inconclusive(InconclusiveReason::Interrupted))
        });
        gate.notes.push(gate.partial_note(look.blocks));
    }
    let counted = gate.values.iter().flatten().flatten();
    let ignored = counted.clone().filter(|run| run.ignored_machine_noise).count();
    gate.notes.extend(machine_noise_note(ignored, counted.count()));
    let Gate { job, notes, .. } = gate;
    let comparison = Comparison {
        scenario: job.scenario,
        base: job.base.text,
        head: job.head.text,
        seed: job.seed,
        blocks_planned: job.blocks,
        blocks: look.blocks,
        paired: true,
        notes,
        rows,
        cells,
    };
    Ok((comparison, ending))
}

/// Values of a run, one for each metric of the gate in its order.
type Values = Vec<Option<f64>>;

/// Values of a run, and whether it is valid only because noise of the machine is ignored.
struct RunValues {
    values: Values,
    ignored_machine_noise: bool,
}

struct Gate {
    job: GateJob,
    plan: Arc<Plan>,
    environment: RunEnvironment,
    progress: ProgressLine,
    server_cores: Vec<usize>,
    chance: Chance,
    runs: u32,
    /// For each transport base, head and base again of every complete block.
    values: Vec<Vec<[RunValues; 3]>>,
    notes: Vec<String>,
}

impl Gate {
    fn new(job: GateJob, stop: CancellationToken) -> Self {
        let (server_cores, generator_cores) = machine::share_cores(job.plan.cores.as_ref(), &job.cores);
        machine::pin(&generator_cores).ok();
        let runs = job.blocks * job.transports.len() * SIDES.len();
        let estimate = (job.plan.phases.window() + job.overhead) * u32::try_from(runs).unwrap_or(u32::MAX);
        Self {
            plan: Arc::new(job.plan.clone()),
            environment: RunEnvironment { generator_cores, all_cores: job.cores.clone(), stop, cpu_probe_best: 0.0 },
            progress: ProgressLine::new(runs as u64, estimate),
            server_cores,
            chance: Chance::new(job.seed, 0),
            runs: 0,
            values: job.transports.iter().map(|_| Vec::new()).collect(),
            notes: job.notes.clone(),
            job,
        }
    }

    /// Measures the blocks and judges after some of them. Returns the last look, over all complete
    /// blocks, and whether it was interrupted.
    async fn run_blocks(&mut self) -> anyhow::Result<(Look, bool)> {
        let rule = Rule::of(self.job.blocks);
        let begun = Instant::now();
        let (mut done, mut interrupted) = (0, false);
        let mut look = rule.cut_short(0);
        while done < self.job.blocks {
            if begun.elapsed() > self.job.budget.mul_f64(BUDGET_SLACK) {
                self.notes.push(format!("the time was up after {done} of {} blocks", self.job.blocks));
                break;
            }
            self.run_block(done).await?;
            interrupted = self.environment.stop.is_cancelled();
            if interrupted {
                break;
            }
            done += 1;
            let Some(due) = rule.look_after(done) else { continue };
            look = due;
            let rows = judge(&self.cells(), &look);
            let open = rows.iter().filter_map(|row| row.verdict).any(|verdict| !verdict.is_decided());
            if !rows.is_empty() && !open && done < self.job.blocks {
                self.notes.push(format!("decided after {done} of {} blocks", self.job.blocks));
                break;
            }
        }
        Ok((if look.blocks == done { look } else { rule.cut_short(done) }, interrupted))
    }

    /// The note of an interrupted gate.
    fn partial_note(&self, done: usize) -> String {
        let empty = self.job.transports.iter().zip(&self.values).filter(|(_, blocks)| blocks.is_empty());
        let names: Vec<_> = empty.map(|(transport, _)| transport.name()).collect();
        let missing = if names.is_empty() { String::new() } else { format!("; not measured: {}", names.join(", ")) };
        format!("partial: interrupted after {done} of {} blocks{missing}", self.job.blocks)
    }

    /// Measures one block of every transport; a block with a run that stays invalid is dropped.
    async fn run_block(&mut self, block: usize) -> anyhow::Result<()> {
        for (at, transport) in self.job.transports.clone().into_iter().enumerate() {
            let mut order = [0, 1, 2];
            self.chance.shuffle(&mut order);
            let mut values = [const { None }; 3];
            for side in order {
                values[side] = self.measure_side(block, side, transport).await?;
                if values[side].is_none() {
                    break;
                }
            }
            match values {
                [Some(base), Some(head), Some(again)] => self.values[at].push([base, head, again]),
                _ if self.environment.stop.is_cancelled() => return Ok(()),
                _ => self.notes.push(format!("block {} of {transport} was dropped: a run stayed invalid", block + 1)),
            }
        }
        Ok(())
    }

    /// Values of one side; `None` when every attempt was invalid, or the gate was interrupted.
    async fn measure_side(
        &mut self,
        block: usize,
        side: usize,
        transport: Transport,
    ) -> anyhow::Result<Option<RunValues>> {
        for rerun in 0..=RERUNS_MAX {
            let record = self.run_once(block, side, transport, rerun).await?;
            if self.environment.stop.is_cancelled() {
                return Ok(None);
            }
            let verdict = verdict_ignoring_machine(&record);
            let (name, reasons) = (SIDES[side], verdict.reasons.join("; "));
            match (&record.ended, verdict.kind) {
                (RunEnd::Crashed(crash), _) => bail!("{name} ({transport}): {crash}"),
                (RunEnd::Failed(why), _) => bail!("{name} ({transport}): {why}{}", faults(&record)),
                (_, VerdictKind::Wrong) => {
                    bail!("{name} ({transport}): {reasons}; a run with wrong messages cannot be compared")
                }
                (_, VerdictKind::Crashed | VerdictKind::Invalid) => {}
                (_, VerdictKind::Valid | VerdictKind::Overloaded) => {
                    let values = self.job.metrics.iter().map(|metric| value(*metric, &record)).collect();
                    return Ok(Some(RunValues {
                        values,
                        ignored_machine_noise: record.verdict.kind == VerdictKind::Invalid,
                    }));
                }
            }
        }
        Ok(None)
    }

    async fn run_once(
        &mut self,
        block: usize,
        side: usize,
        transport: Transport,
        rerun: u32,
    ) -> anyhow::Result<RunRecord> {
        self.runs += 1;
        let run_id = RunId { run: self.runs, round: u32::try_from(block).unwrap_or(u32::MAX) + 1, attempt: rerun };
        self.progress.begin(rerun, &format!("block {} {transport} {}", block + 1, SIDES[side]));
        let server = if side == 1 { &self.job.head } else { &self.job.base };
        let server = server.start_or_attach(&self.plan, transport, &self.server_cores).await?;
        let line = &mut self.progress;
        let show = |progress| line.show(progress);
        let log = &mut std::io::sink();
        // No waiting for a better CPU probe: noise of the machine hits base and head with equal
        // probability.
        self.environment.cpu_probe_best = 0.0;
        let subject = Subject::builtin(transport);
        let record = measure(&mut self.environment, &self.plan, &subject, server, run_id, log, show).await?;
        let verdict = verdict_ignoring_machine(&record);
        let reasons = verdict.reasons.join("; ");
        self.progress.end(&format!("{}{}{reasons}", verdict.kind, if reasons.is_empty() { "" } else { ": " }));
        Ok(record)
    }

    /// The blocks of every transport and metric in which all three runs have a value.
    fn cells(&self) -> Vec<MetricBlocks> {
        let mut cells = Vec::new();
        for (transport, blocks) in self.job.transports.iter().zip(&self.values) {
            for (at, metric) in self.job.metrics.iter().enumerate() {
                let whole = blocks.iter().filter_map(|[base, head, again]| {
                    Some(Block { base: base.values[at]?, head: head.values[at]?, again: again.values[at]? })
                });
                let cell =
                    MetricBlocks { transport: transport.name().to_owned(), metric: *metric, blocks: whole.collect() };
                cells.extend((!cell.blocks.is_empty()).then_some(cell));
            }
        }
        cells
    }

    fn note_missing_metrics(&mut self) {
        let without = self.job.transports.iter().zip(&self.values).filter(|(_, blocks)| blocks.is_empty());
        let names: Vec<_> = without.map(|(transport, _)| transport.name()).collect();
        self.notes.push(format!("no metrics for {}: every block had an invalid run", names.join(", ")));
    }

    /// Notes the metrics that no run has; fails when they were named on the command line.
    fn check_metrics(&mut self) -> anyhow::Result<()> {
        let cells = self.cells();
        for transport in &self.job.transports {
            for metric in &self.job.metrics {
                if cells.iter().any(|cell| cell.transport == transport.name() && cell.metric == *metric) {
                    continue;
                }
                let why = "no run has it; it may need a longer --budget, more posts, or a server that is started for each run and reports its statistics";
                if self.job.metrics_required {
                    bail!("{} of {transport} was not measured: {why}", metric.name());
                }
                self.notes.push(format!("{} of {transport} was not measured: {why}", metric.info().label));
            }
        }
        Ok(())
    }
}

/// The verdict without the checks of the machine and of the send delay. Both invalidate a result of
/// its own, but not a comparison in blocks of random order: base and head are affected with equal
/// probability.
fn verdict_ignoring_machine(record: &RunRecord) -> results::RunVerdict {
    let best = record.machine.cpu_probe_best;
    let machine = MachineState {
        cpu_probe_before: best,
        cpu_probe_after: best,
        cpu_probe_best: best,
        stolen_share: 0.0,
        throttled_us: 0,
    };
    let mut kept = RunRecord { machine, ..record.clone() };
    kept.latency.remove(&Series::SendDelay);
    results::judge(&kept)
}

/// The note on runs that are valid only because noise of the machine is ignored.
fn machine_noise_note(ignored: usize, runs: usize) -> Option<String> {
    (ignored > 0).then(|| {
        format!(
            "{ignored} of {runs} runs had late posts or too little CPU; they count here, because base and head are affected with equal \
             probability"
        )
    })
}

fn faults(record: &RunRecord) -> String {
    let texts: Vec<_> = record.faults.texts.values().flatten().take(2).cloned().collect();
    if texts.is_empty() { String::new() } else { format!(" ({})", texts.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_late_posts_and_a_slow_machine_are_ignored_and_noted() {
        let mut record = results::invented::results_folder(&[10]).runs.remove(0).record;
        record.machine.cpu_probe_after = record.machine.cpu_probe_best / 2.0;
        record.machine.throttled_us = 1_000;
        assert_eq!(results::judge(&record).kind, VerdictKind::Invalid);
        assert_eq!(verdict_ignoring_machine(&record).kind, VerdictKind::Valid);
        record.generator.core_usage_max = 1.0;
        assert_eq!(verdict_ignoring_machine(&record).kind, VerdictKind::Invalid);
        assert_eq!(machine_noise_note(0, 48), None);
        assert!(machine_noise_note(3, 48).is_some_and(|note| note.starts_with("3 of 48 runs had late posts")));
    }
}
