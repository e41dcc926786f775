//! One run: a server, a crowd, the readings around the window, and the record of it all.

use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use loadgen::{Order, Progress, Recording, Target};
use report::stats;
use results::{
    Crash, GeneratorUsage, MachineState, PlannedLoad, RunEnd, RunRecord, RunVerdict, SCHEMA, Series, Subject, TcpBytes,
    TcpCounts, VerdictKind, judge,
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

/// Which run this is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunId {
    pub(crate) run: u32,
    pub(crate) round: u32,
    pub(crate) rerun: u32,
}

/// What does not change over a job.
pub(crate) struct RunEnvironment {
    pub(crate) generator_cores: Vec<usize>,
    pub(crate) all_cores: Vec<usize>,
    pub(crate) stop: CancellationToken,
    /// Best probe probe so far.
    pub(crate) cpu_probe_best: f64,
}

impl RunEnvironment {
    /// Probes the machine, and waits a while for a better moment when it gives too little: a run begun now would be invalid.
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

/// Together with their pauses about ten seconds.
const CPU_PROBES_MAX: usize = 20;
const CPU_PROBE_PAUSE: Duration = Duration::from_millis(350);

/// Who is measured: a server we started, ours or somebody else's, which ends with the run, or one we found.
pub(crate) enum TargetServer {
    Spawned(Box<ServerProcess>),
    Attached(AttachedServer),
}

impl TargetServer {
    fn target(&self) -> Target {
        match self {
            Self::Spawned(server) => server.target.clone(),
            Self::Attached(attached) => attached.target.clone(),
        }
    }

    /// Whom to ask what it costs, where that is known to somebody.
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

    /// Comes back when it has ended by itself; `connected` are the clients that are connected now.
    async fn wait_for_crash(&mut self, transport: Transport, connected: &Cell<u32>) -> Crash {
        match self {
            Self::Spawned(server) => server.wait_for_crash().await,
            Self::Attached(attached) => attached.wait_for_crash(transport, connected).await,
        }
    }

    /// Lets go of it; says so when it had ended by itself. `broke` says that there were faults.
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

/// A server that goes on is busy with thousands of goodbyes for a moment; the machine is not probed before they are over.
const DISCONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Runs a subject against `server` and writes the interval log to `log`.
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
    let order = Order {
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
    let recorded = loadgen::execute(order, stop, log, show, async |edge| readings.edge(edge).await).await;
    if let (Some(why), TargetServer::Spawned(_)) = (readings.failed(), &server) {
        tracing::warn!(why, "a reading of the server failed");
    }
    let broke = recorded.as_ref().is_ok_and(|recording| recording.faults.total() > 0);
    let crash = server.end(subject.transport, broke).await;
    let mut recording = recorded?;
    // Whatever else ended the run, Ctrl-C excepted, a server that has ended is why.
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
    let recording = Recording::empty(RunEnd::Crashed(crash));
    record(plan, subject, run_id, &recording, &Readings::new(None, None, false), machine)
}

fn record(
    plan: &Plan,
    subject: &Subject,
    run_id: RunId,
    recording: &Recording,
    readings: &Readings,
    machine: MachineState,
) -> RunRecord {
    let mut seconds = recording.seconds.clone();
    seconds.iter_mut().for_each(|row| row.server = readings.second(row.second));
    let posts = plan.posts_in_window();
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
    let latency = recorded.map(|series| (series, stats::latency(recording.of(series), independent(series)))).collect();
    let mut record = RunRecord {
        schema: SCHEMA,
        run: run_id.run,
        round: run_id.round,
        attempt: run_id.rerun,
        point: plan.label.clone(),
        transport: subject.transport,
        target: subject.target_name().to_owned(),
        http_client: plan.http_client.name().to_owned(),
        encoding: plan.encoding(subject.transport),
        verdict: RunVerdict { kind: VerdictKind::Invalid, reasons: Vec::new() },
        ended: recording.ended.clone(),
        planned: PlannedLoad {
            clients: plan.clients,
            rooms: plan.rooms,
            payload_bytes: plan.payload_bytes as u64,
            window_us: micros(plan.phases.window()),
            posts_in_window: posts,
            posts_sent_in_window: recording.left_in_window,
            deliveries_in_window: plan.deliveries_in_window(),
        },
        latency,
        saturated: recording.saturated,
        negative: recording.negative,
        seconds,
        set_up: recording.set_up,
        window: recording.window,
        total: recording.total,
        ledger: recording.ledger.clone(),
        faults: recording.faults.clone(),
        generator: GeneratorUsage {
            cpu: recording.cpu,
            core_usage_max: recording.worker_busy_max,
            window_us: recording.window_us,
            resident_bytes_clients: readings.resident_bytes_of_clients(),
        },
        server: readings.server(),
        tcp: recording.kernel_window.map(|sockets| TcpCounts {
            segments_up: sockets.segments_up,
            segments_down: sockets.segments_down,
            bytes_up: sockets.bytes_up,
            bytes_down: sockets.bytes_down,
            header_bytes_per_segment: sockets.header_bytes_per_segment,
            socket_memory_bytes: readings.socket_memory_bytes(),
        }),
        tcp_total: recording
            .kernel_total
            .map(|sockets| TcpBytes { bytes_up: sockets.bytes_up, bytes_down: sockets.bytes_down }),
        machine,
    };
    record.verdict = judge(&record);
    record
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
