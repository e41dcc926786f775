//! Measures one run: probes the CPU, starts the load, reads the server around the window, and makes
//! the run's record.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use loadgen::{Progress, RunConfig, RunMeasurements, Target};
use report::stats;
use results::{
    Crash, GeneratorUsage, LatencySummary, MachineState, PlannedLoad, RunEnd, RunRecord, RunVerdict, SCHEMA, Series,
    Slice, Subject, TcpCounts, TcpUsage, VerdictKind, judge,
};
use scenario::Plan;
use tokio_util::sync::CancellationToken;
use wire::Transport;

use super::attached_server::AttachedServer;
use super::control::Control;
use super::process_usage::ProcessUsageReader;
use super::readings::Readings;
use super::server_process::ServerProcess;
use crate::machine;

/// Number of a run in its job, its round, and which attempt it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunId {
    /// Counted from 1, reruns included.
    pub(crate) run: u32,
    /// Counted from 1.
    pub(crate) round: u32,
    /// 0 for the first attempt.
    pub(crate) attempt: u32,
}

/// What all runs of a job share.
pub(crate) struct RunEnvironment {
    pub(crate) generator_cores: Vec<usize>,
    pub(crate) all_cores: Vec<usize>,
    pub(crate) stop: CancellationToken,
    /// Best probe probe so far.
    pub(crate) cpu_probe_best: f64,
}

impl RunEnvironment {
    /// Probes the CPU, and waits up to ten seconds while the probe is too low: a run started now
    /// would be invalid.
    async fn wait_until_cpu_available(&mut self) -> f64 {
        let mut probe = machine::cpu_probe(&self.all_cores);
        for _ in 0..CPU_PROBES_MAX {
            if probe >= self.cpu_probe_best * (1.0 - results::CPU_PROBE_LOSS_MAX) || self.stop.is_cancelled() {
                break;
            }
            tokio::time::sleep(CPU_PROBE_PAUSE).await;
            probe = machine::cpu_probe(&self.all_cores);
        }
        probe
    }
}

/// Probes before a run; with their pauses they take about ten seconds.
const CPU_PROBES_MAX: usize = 20;
const CPU_PROBE_PAUSE: Duration = Duration::from_millis(350);

/// The server under test.
pub(crate) enum TargetServer {
    /// Started for this run, built-in or external; stopped with the run.
    Spawned(Box<ServerProcess>),
    /// Was running already and keeps running.
    Attached(AttachedServer),
}

impl TargetServer {
    fn target(&self) -> Target {
        match self {
            Self::Spawned(server) => server.target.clone(),
            Self::Attached(attached) => attached.target.clone(),
        }
    }

    /// Where to read the server's own statistics; `None` for an external server that was started
    /// for the run.
    fn control(&self) -> anyhow::Result<Option<Control>> {
        match self {
            Self::Spawned(server) if !server.reports_stats => Ok(None),
            Self::Spawned(_) | Self::Attached(_) => Control::new(&self.target()).map(Some),
        }
    }

    fn process(&self) -> Option<ProcessUsageReader> {
        match self {
            Self::Spawned(server) => server.process.clone(),
            Self::Attached(attached) => attached.process.clone(),
        }
    }

    /// Returns when the server has ended by itself; `connected` is the number of clients connected
    /// now.
    async fn wait_for_crash(&mut self, transport: Transport, connected: &Cell<u32>) -> Crash {
        match self {
            Self::Spawned(server) => server.wait_for_crash().await,
            Self::Attached(attached) => attached.wait_for_crash(transport, connected).await,
        }
    }

    /// Stops a spawned server and detaches from an attached one; returns how it crashed, if it did.
    /// `broke`: there were faults.
    async fn end(self, transport: Transport, broke: bool) -> Option<Crash> {
        match self {
            Self::Spawned(mut server) => {
                let crash = server.crashes_within(Duration::ZERO).await;
                server.stop().await;
                crash
            }
            Self::Attached(attached) => {
                tokio::time::sleep(DISCONNECT_PAUSE).await;
                attached.has_crashed(transport, broke).await
            }
        }
    }
}

/// An attached server needs a moment to close thousands of connections; the CPU is not probed
/// before that.
const DISCONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Measures a subject on `server` and writes the interval log to `log`.
pub(crate) async fn measure(
    environment: &mut RunEnvironment,
    plan: &Arc<Plan>,
    subject: &Subject,
    mut server: TargetServer,
    run_id: RunId,
    log: &mut impl Write,
    mut on_progress: impl FnMut(Progress),
) -> anyhow::Result<RunRecord> {
    let target = server.target();
    let readings = Readings::new(server.control()?, server.process(), matches!(server, TargetServer::Spawned(_)));
    let probe_before = environment.wait_until_cpu_available().await;
    let steal_before = machine::CpuSteal::now();
    let order = RunConfig {
        plan: Arc::clone(plan),
        transport: subject.transport,
        target,
        cores: environment.generator_cores.clone(),
    };
    let connected = Cell::new(0);
    let stop = async {
        tokio::select! {
            biased;
            () = environment.stop.cancelled() => RunEnd::Interrupted,
            crash = server.wait_for_crash(subject.transport, &connected) => RunEnd::Crashed(crash),
        }
    };
    let show = |progress: Progress| {
        readings.read_process_each_second(progress);
        connected.set(progress.joined);
        on_progress(progress);
    };
    let recorded = loadgen::execute(order, stop, log, show, async |checkpoint| readings.sample(checkpoint).await).await;
    if let (Some(why), TargetServer::Spawned(_)) = (readings.failed(), &server) {
        tracing::warn!(why, "cannot read the statistics of the server");
    }
    let broke = recorded.as_ref().is_ok_and(|recording| recording.faults.total() > 0);
    let crash = server.end(subject.transport, broke).await;
    let mut recording = recorded?;
    // A crash of the server explains every other end except Ctrl-C.
    if let Some(crash) = crash.filter(|_| matches!(recording.ended, RunEnd::Complete | RunEnd::Failed(_))) {
        recording.ended = RunEnd::Crashed(crash);
    }
    let steal = machine::CpuSteal::now().since(&steal_before);
    let probe_after = machine::cpu_probe(&environment.all_cores);
    environment.cpu_probe_best = environment.cpu_probe_best.max(probe_before).max(probe_after);
    let machine = MachineState {
        cpu_probe_before: probe_before,
        cpu_probe_after: probe_after,
        cpu_probe_best: environment.cpu_probe_best,
        stolen_share: steal.stolen_share(),
        throttled_us: steal.throttled_us,
    };
    Ok(record(plan, subject, run_id, &recording, &readings, machine))
}

/// The record of a run whose server could not be started.
pub(crate) fn record_of_failed_start(
    environment: &RunEnvironment,
    plan: &Plan,
    subject: &Subject,
    run_id: RunId,
    crash: Crash,
) -> RunRecord {
    let probe = environment.cpu_probe_best;
    let machine = MachineState {
        cpu_probe_before: probe,
        cpu_probe_after: probe,
        cpu_probe_best: probe,
        stolen_share: 0.0,
        throttled_us: 0,
    };
    let recording = RunMeasurements::empty(RunEnd::Crashed(crash));
    record(plan, subject, run_id, &recording, &Readings::new(None, None, false), machine)
}

fn record(
    plan: &Plan,
    subject: &Subject,
    run_id: RunId,
    recording: &RunMeasurements,
    readings: &Readings,
    machine: MachineState,
) -> RunRecord {
    let mut seconds = recording.seconds.clone();
    seconds.iter_mut().for_each(|row| row.server = readings.second(row.second));
    let mut record = RunRecord {
        schema: SCHEMA,
        run: run_id.run,
        round: run_id.round,
        attempt: run_id.attempt,
        point: plan.label.clone(),
        transport: subject.transport,
        target: subject.target_name().to_owned(),
        http_client: plan.http_client.name().to_owned(),
        encoding: plan.encoding(subject.transport),
        verdict: RunVerdict { kind: VerdictKind::Invalid, reasons: Vec::new() },
        ended: recording.ended.clone(),
        planned: planned_load(plan, recording),
        latency: latency(recording, plan.posts_in_window()),
        saturated: recording.saturated,
        negative: recording.negative,
        seconds,
        set_up: recording.set_up,
        slices: slices(recording, readings, run_id),
        total: recording.total,
        ledger: recording.ledger.clone(),
        faults: recording.faults.clone(),
        generator: GeneratorUsage {
            core_usage_max: recording.core_usage_max,
            resident_bytes_clients: readings.resident_bytes_of_clients(),
        },
        server: readings.server(),
        tcp: recording.kernel_total.map(|sockets| TcpUsage {
            bytes_up: sockets.bytes_up,
            bytes_down: sockets.bytes_down,
            header_bytes_per_segment: sockets.header_bytes_per_segment,
            socket_memory_bytes: readings.socket_memory_bytes(),
        }),
        machine,
    };
    record.verdict = judge(&record);
    record
}

fn planned_load(plan: &Plan, recording: &RunMeasurements) -> PlannedLoad {
    PlannedLoad {
        clients: plan.clients,
        rooms: plan.rooms,
        payload_bytes: plan.payload_bytes as u64,
        window_us: micros(plan.phases.window()),
        posts_in_window: plan.posts_in_window(),
        posts_sent_in_window: recording.posts_sent_in_window,
        deliveries_in_window: plan.deliveries_in_window(),
    }
}

/// Every series that has samples. Deliveries of one post depend on each other: only the posts count
/// as independent there.
fn latency(recording: &RunMeasurements, posts: u64) -> BTreeMap<Series, LatencySummary> {
    let independent = |series| match series {
        Series::DeliveryLatency | Series::DeliveryLatencyFromSend => posts,
        Series::SendDelay
        | Series::AckLatency
        | Series::ConnectTime
        | Series::FanoutSpread
        | Series::ReconnectTime
        | Series::UpgradeTime => u64::MAX,
    };
    let recorded = Series::ALL.into_iter().filter(|series| !recording.of(*series).is_empty());
    recorded.map(|series| (series, stats::latency(recording.of(series), independent(series)))).collect()
}

/// The measured window of a run: one slice, in a block of its round.
fn slices(recording: &RunMeasurements, readings: &Readings, run_id: RunId) -> Vec<Slice> {
    let window = Slice {
        block: run_id.round,
        position: 1,
        window_us: recording.window_us,
        traffic: recording.window,
        generator_cpu: recording.cpu,
        server: readings.window(),
        tcp: recording.kernel_window.map(|sockets| TcpCounts {
            segments_up: sockets.segments_up,
            segments_down: sockets.segments_down,
            bytes_up: sockets.bytes_up,
            bytes_down: sockets.bytes_down,
        }),
    };
    if recording.window_us > 0 { vec![window] } else { Vec::new() }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
