//! The blocks: for every transport base, head and base again, each in a fresh process, in an order that is drawn anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use report::gate::{Block, Comparison, GateVerdict, InconclusiveReason, Look, MetricBlocks, Rule, judge, value};
use report::stats::Chance;
use results::{MachineState, MetricId, RunEnd, RunRecord, Series, Subject, VerdictKind};
use scenario::{Override, Plan};
use tokio_util::sync::CancellationToken;
use wire::Transport;

use super::arms::Arm;
use crate::machine;
use crate::run::{Bench, Place, Shown, measure};

/// Times an arm is measured anew when the instrument failed; then its block is given up.
const RERUNS_MAX: u32 = 1;
/// How much longer than its budget a job may take before it is cut short.
const BUDGET_SLACK: f64 = 1.2;
/// No run of a gate takes longer over these than this: it has many.
const SHORT_S: [(&str, f64); 4] =
    [("phases.ramp_up_s", 0.5), ("phases.settle_s", 0.2), ("phases.warm_up_s", 0.5), ("phases.drain_idle_s", 1.0)];
const ARMS: [&str; 3] = ["base", "head", "base again"];

/// Everything decided.
#[derive(Clone)]
pub(crate) struct GateJob {
    pub(crate) scenario: String,
    pub(crate) plan: Plan,
    pub(crate) transports: Vec<Transport>,
    pub(crate) base: Arm,
    pub(crate) head: Arm,
    pub(crate) blocks: usize,
    pub(crate) budget: Duration,
    pub(crate) overhead: Duration,
    pub(crate) metrics: Vec<MetricId>,
    /// The metrics were asked for by name: one that is not there is an error.
    pub(crate) insist: bool,
    pub(crate) seed: u64,
    /// Cores that this process may use, as long as nothing has pinned it.
    pub(crate) cores: Vec<usize>,
    /// What a reader must know of the machine.
    pub(crate) notes: Vec<String>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    Interrupted,
    NoFigures,
}

/// The scenario's phases, made short where nobody asked for them on the command line.
pub(crate) fn short_phases(plan: &Plan, set: &[Override]) -> Vec<Override> {
    let phases = &plan.phases;
    let asked = |key: &str| set.iter().any(|set| set.path() == key);
    let lengths = [phases.ramp_up(), phases.settle(), phases.warm_up(), phases.drain_idle()];
    let short = SHORT_S.into_iter().zip(lengths).filter(|((key, short), length)| {
        // A poller hears nothing for as long as its interval.
        let needed = if *key == "phases.drain_idle_s" { plan.tuning.polling.interval_ms as f64 * 1.5e-3 } else { 0.0 };
        !asked(key) && length.as_secs_f64() > short.max(needed)
    });
    short.map(|((key, short), _)| seconds(key, Duration::from_secs_f64(short))).collect()
}

/// A key of the scenario that is a time.
pub(crate) fn seconds(key: &str, value: Duration) -> Override {
    format!("{key}={:?}", value.as_secs_f64()).parse().expect("a key and a number")
}

/// Measures until all is decided, or all blocks are made, or the time is up, or it is stopped.
pub(crate) async fn measure_all(job: GateJob, stop: CancellationToken) -> anyhow::Result<(Comparison, Ending)> {
    let mut gate = Gate::new(job, stop);
    let (look, interrupted) = gate.blocks().await?;
    let ending = match (interrupted, gate.values.iter().any(Vec::is_empty)) {
        (true, _) => Ending::Interrupted,
        (false, true) => Ending::NoFigures,
        (false, false) => Ending::Complete,
    };
    match ending {
        Ending::Complete => gate.check_metrics()?,
        Ending::NoFigures => gate.name_what_has_no_figures(),
        Ending::Interrupted => {}
    }
    let cells = gate.cells();
    let mut rows = judge(&cells, &look);
    if interrupted {
        // Whoever stopped it has not waited for the verdict: the figures are kept, and called open.
        rows.iter_mut().for_each(|row| {
            row.verdict = row.verdict.map(|_| GateVerdict::Inconclusive(InconclusiveReason::Interrupted))
        });
        gate.notes.push(gate.partial_note(look.blocks));
    }
    let counted = gate.values.iter().flatten().flatten();
    let excused = counted.clone().filter(|run| run.excused).count();
    gate.notes.extend(excused_note(excused, counted.count()));
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

/// A metric of a job each, in its order.
type Values = Vec<Option<f64>>;

/// What a run gave, and whether it counts here alone.
struct Counted {
    values: Values,
    excused: bool,
}

struct Gate {
    job: GateJob,
    plan: Arc<Plan>,
    bench: Bench,
    shown: Shown,
    server_cores: Vec<usize>,
    chance: Chance,
    runs: u32,
    /// By transport: base, head and base again of every block that is whole.
    values: Vec<Vec<[Counted; 3]>>,
    notes: Vec<String>,
}

impl Gate {
    fn new(job: GateJob, stop: CancellationToken) -> Self {
        let (server_cores, generator_cores) = machine::share_cores(job.plan.cores.as_ref(), &job.cores);
        machine::pin(&generator_cores).ok();
        let runs = job.blocks * job.transports.len() * ARMS.len();
        let estimate = (job.plan.phases.window() + job.overhead) * u32::try_from(runs).unwrap_or(u32::MAX);
        Self {
            plan: Arc::new(job.plan.clone()),
            bench: Bench { generator_cores, all_cores: job.cores.clone(), stop, spin_best: 0.0 },
            shown: Shown::new(runs as u64, estimate),
            server_cores,
            chance: Chance::new(job.seed, 0),
            runs: 0,
            values: job.transports.iter().map(|_| Vec::new()).collect(),
            notes: job.notes.clone(),
            job,
        }
    }

    /// The blocks, with a look whenever one is due. Gives the last look, over all blocks that were made, and whether it was stopped.
    async fn blocks(&mut self) -> anyhow::Result<(Look, bool)> {
        let rule = Rule::of(self.job.blocks);
        let begun = Instant::now();
        let (mut done, mut interrupted) = (0, false);
        let mut look = rule.cut_short(0);
        while done < self.job.blocks {
            if begun.elapsed() > self.job.budget.mul_f64(BUDGET_SLACK) {
                self.notes.push(format!("the time was up after {done} of {} blocks", self.job.blocks));
                break;
            }
            self.block(done).await?;
            interrupted = self.bench.stop.is_cancelled();
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

    /// Says that it was stopped, and what is missing for it.
    fn partial_note(&self, done: usize) -> String {
        let empty = self.job.transports.iter().zip(&self.values).filter(|(_, blocks)| blocks.is_empty());
        let names: Vec<_> = empty.map(|(transport, _)| transport.name()).collect();
        let missing = if names.is_empty() { String::new() } else { format!("; not measured: {}", names.join(", ")) };
        format!("partial: interrupted after {done} of {} blocks{missing}", self.job.blocks)
    }

    /// One block of every transport. A transport whose arm stays invalid has none this time.
    async fn block(&mut self, block: usize) -> anyhow::Result<()> {
        for (at, transport) in self.job.transports.clone().into_iter().enumerate() {
            let mut order = [0, 1, 2];
            self.chance.shuffle(&mut order);
            let mut values = [const { None }; 3];
            for arm in order {
                values[arm] = self.arm(block, arm, transport).await?;
                if values[arm].is_none() {
                    break;
                }
            }
            match values {
                [Some(base), Some(head), Some(again)] => self.values[at].push([base, head, again]),
                _ if self.bench.stop.is_cancelled() => return Ok(()),
                _ => self.notes.push(format!("block {} of {transport} was given up: its runs were invalid", block + 1)),
            }
        }
        Ok(())
    }

    /// One arm's figures; `None` when every try was invalid, or it was stopped.
    async fn arm(&mut self, block: usize, arm: usize, transport: Transport) -> anyhow::Result<Option<Counted>> {
        for rerun in 0..=RERUNS_MAX {
            let record = self.one(block, arm, transport, rerun).await?;
            if self.bench.stop.is_cancelled() {
                return Ok(None);
            }
            let verdict = but_for_the_machine(&record);
            let (name, reasons) = (ARMS[arm], verdict.reasons.join("; "));
            match (&record.ended, verdict.kind) {
                (RunEnd::Crashed(crash), _) => bail!("{name} over {transport}: {crash}"),
                (RunEnd::Failed(why), _) => bail!("{name} over {transport}: {why}{}", faults(&record)),
                (_, VerdictKind::Wrong) => bail!("{name} over {transport} is no chat to be compared: {reasons}"),
                (_, VerdictKind::Crashed | VerdictKind::Invalid) => {}
                (_, VerdictKind::Valid | VerdictKind::Overloaded) => {
                    let values = self.job.metrics.iter().map(|metric| value(*metric, &record)).collect();
                    return Ok(Some(Counted { values, excused: record.verdict.kind == VerdictKind::Invalid }));
                }
            }
        }
        Ok(None)
    }

    async fn one(&mut self, block: usize, arm: usize, transport: Transport, rerun: u32) -> anyhow::Result<RunRecord> {
        self.runs += 1;
        let place = Place { run: self.runs, round: u32::try_from(block).unwrap_or(u32::MAX) + 1, rerun };
        self.shown.begin(self.runs, &format!("block {} {transport} {}", block + 1, ARMS[arm]));
        let side = if arm == 1 { &self.job.head } else { &self.job.base };
        let patient = side.patient(&self.plan, transport, &self.server_cores).await?;
        let shown = &mut self.shown;
        let show = |progress| shown.show(progress);
        let log = &mut std::io::sink();
        // No waiting for a better moment: what the machine does is the same chance for every arm.
        self.bench.spin_best = 0.0;
        let subject = Subject::builtin(transport);
        let record = measure(&mut self.bench, &self.plan, &subject, patient, place, log, show).await?;
        let verdict = but_for_the_machine(&record);
        let reasons = verdict.reasons.join("; ");
        self.shown.end(&format!("{}{}{reasons}", verdict.kind, if reasons.is_empty() { "" } else { ": " }));
        Ok(record)
    }

    /// A cell for every metric that was asked for, with the blocks in which all three arms have it.
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

    fn name_what_has_no_figures(&mut self) {
        let without = self.job.transports.iter().zip(&self.values).filter(|(_, blocks)| blocks.is_empty());
        let names: Vec<_> = without.map(|(transport, _)| transport.name()).collect();
        self.notes.push(format!("no figures for {}: it has no block without an invalid run", names.join(", ")));
    }

    /// Says which metrics were not there.
    fn check_metrics(&mut self) -> anyhow::Result<()> {
        let cells = self.cells();
        for transport in &self.job.transports {
            for metric in &self.job.metrics {
                if cells.iter().any(|cell| cell.transport == transport.name() && cell.metric == *metric) {
                    continue;
                }
                let why = "the runs do not carry it: a longer --budget, more posts, or a server that is started for each run and says what it costs";
                if self.job.insist {
                    bail!("{} of {transport} was not measured; {why}", metric.name());
                }
                self.notes.push(format!("{} of {transport} was not measured; {why}", metric.info().label));
            }
        }
        Ok(())
    }
}

/// A machine that gives less CPU than it can, and posts that left late for it, spoil a figure, but not a comparison in blocks of random
/// order: that is noise like any other, and every arm has the same chance of it.
fn but_for_the_machine(record: &RunRecord) -> results::RunVerdict {
    let spin = record.machine.cpu_probe_best;
    let machine = MachineState {
        cpu_probe_before: spin,
        cpu_probe_after: spin,
        cpu_probe_best: spin,
        stolen_share: 0.0,
        throttled_us: 0,
    };
    let mut kept = RunRecord { machine, ..record.clone() };
    kept.latency.remove(&Series::SendDelay);
    results::judge(&kept)
}

/// Says that there were such runs.
fn excused_note(excused: usize, runs: usize) -> Option<String> {
    (excused > 0).then(|| {
        format!(
            "{excused} of {runs} runs would not be shown as results of their own (late posts or a slow machine); they count here, because every \
             arm has the same chance of it"
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
    fn late_posts_and_a_slow_machine_are_excused_and_said_and_nothing_else_is() {
        let mut record = results::invented::results_folder(&[10]).runs.remove(0).record;
        record.machine.cpu_probe_after = record.machine.cpu_probe_best / 2.0;
        record.machine.throttled_us = 1_000;
        assert_eq!(results::judge(&record).kind, VerdictKind::Invalid);
        assert_eq!(but_for_the_machine(&record).kind, VerdictKind::Valid);
        record.generator.core_usage_max = 1.0;
        assert_eq!(but_for_the_machine(&record).kind, VerdictKind::Invalid);
        assert_eq!(excused_note(0, 48), None);
        assert!(excused_note(3, 48).is_some_and(|note| note.starts_with("3 of 48 runs would not be shown")));
    }
}
