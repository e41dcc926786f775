//! One run: a server, a crowd, the readings around the window, and the record of it all.

use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use loadgen::{Progress, RunConfig, RunMeasurements, Target};
use report::stats;
use results::{
    Crash, GeneratorUsage, MachineState, PlannedLoad, RunEnd, RunRecord, RunVerdict, SCHEMA, Series, Slice, Subject,
    TcpCounts, TcpUsage, VerdictKind, judge,
};
use scenario::Plan;
use tokio_util::sync::CancellationToken;
use wire::Transport;

use super::control::Control;
use super::foreign::Foreign;
use super::meter::Meter;
use super::readings::Readings;
use super::server_process::ServerProcess;
use crate::machine;

/// Which run this is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) run: u32,
    pub(crate) round: u32,
    pub(crate) rerun: u32,
}

/// What does not change over a job.
pub(crate) struct Bench {
    pub(crate) generator_cores: Vec<usize>,
    pub(crate) all_cores: Vec<usize>,
    pub(crate) stop: CancellationToken,
    /// Best spin probe so far.
    pub(crate) spin_best: f64,
}

impl Bench {
    /// Probes the machine, and waits a while for a better moment when it gives too little: a run begun now would be invalid.
    async fn when_fit(&mut self) -> f64 {
        let mut spin = machine::spin(&self.all_cores);
        for _ in 0..FIT_PROBES_MAX {
            if spin >= self.spin_best * (1.0 - results::CPU_PROBE_LOSS_MAX) || self.stop.is_cancelled() {
                break;
            }
            tokio::time::sleep(FIT_PAUSE).await;
            spin = machine::spin(&self.all_cores);
        }
        spin
    }
}

/// Together with their pauses about ten seconds.
const FIT_PROBES_MAX: usize = 20;
const FIT_PAUSE: Duration = Duration::from_millis(350);

/// Who is measured: a server we started, ours or somebody else's, which ends with the run, or one we found.
pub(crate) enum Patient {
    Started(Box<ServerProcess>),
    Found(Foreign),
}

impl Patient {
    fn target(&self) -> Target {
        match self {
            Self::Started(server) => server.target.clone(),
            Self::Found(foreign) => foreign.target.clone(),
        }
    }

    /// Whom to ask what it costs, where that is known to somebody.
    fn control(&self) -> anyhow::Result<Option<Control>> {
        match self {
            Self::Started(server) if !server.speaks_of_itself => Ok(None),
            Self::Started(_) | Self::Found(_) => Control::new(&self.target()).map(Some),
        }
    }

    fn meter(&self) -> Option<Meter> {
        match self {
            Self::Started(server) => server.meter.clone(),
            Self::Found(foreign) => foreign.meter.clone(),
        }
    }

    /// Comes back when it has ended by itself; `connected` are the clients that are connected now.
    async fn crashed(&mut self, transport: Transport, connected: &Cell<u32>) -> Crash {
        match self {
            Self::Started(server) => server.crashed().await,
            Self::Found(foreign) => foreign.crashed(transport, connected).await,
        }
    }

    /// Lets go of it; says so when it had ended by itself. `broke` says that there were faults.
    async fn end(self, transport: Transport, broke: bool) -> Option<Crash> {
        match self {
            Self::Started(mut server) => {
                let crash = server.crashes_within(Duration::ZERO).await;
                server.stop().await;
                crash
            }
            Self::Found(foreign) => {
                tokio::time::sleep(FAREWELL).await;
                foreign.has_crashed(transport, broke).await
            }
        }
    }
}

/// A server that goes on is busy with thousands of goodbyes for a moment; the machine is not probed before they are over.
const FAREWELL: Duration = Duration::from_millis(500);

/// Runs a subject against `patient` and writes the interval log to `log`.
pub(crate) async fn measure(
    bench: &mut Bench,
    plan: &Arc<Plan>,
    subject: &Subject,
    mut patient: Patient,
    place: Place,
    log: &mut impl Write,
    mut on_progress: impl FnMut(Progress),
) -> anyhow::Result<RunRecord> {
    let target = patient.target();
    let readings = Readings::new(patient.control()?, patient.meter(), matches!(patient, Patient::Started(_)));
    let spin_before = bench.when_fit().await;
    let taken_before = machine::Taken::now();
    let order = RunConfig {
        plan: Arc::clone(plan),
        transport: subject.transport,
        target,
        cores: bench.generator_cores.clone(),
    };
    let connected = Cell::new(0);
    let stop = async {
        tokio::select! {
            biased;
            () = bench.stop.cancelled() => RunEnd::Interrupted,
            crash = patient.crashed(subject.transport, &connected) => RunEnd::Crashed(crash),
        }
    };
    let show = |progress: Progress| {
        readings.look(progress);
        connected.set(progress.joined);
        on_progress(progress);
    };
    let recorded = loadgen::execute(order, stop, log, show, async |edge| readings.edge(edge).await).await;
    if let (Some(why), Patient::Started(_)) = (readings.failed(), &patient) {
        tracing::warn!(why, "a reading of the server failed");
    }
    let broke = recorded.as_ref().is_ok_and(|recording| recording.faults.total() > 0);
    let crash = patient.end(subject.transport, broke).await;
    let mut recording = recorded?;
    // Whatever else ended the run, Ctrl-C excepted, a server that has ended is why.
    if let Some(crash) = crash.filter(|_| matches!(recording.ended, RunEnd::Complete | RunEnd::Failed(_))) {
        recording.ended = RunEnd::Crashed(crash);
    }
    let taken = machine::Taken::now().since(&taken_before);
    let spin_after = machine::spin(&bench.all_cores);
    bench.spin_best = bench.spin_best.max(spin_before).max(spin_after);
    let machine = MachineState {
        cpu_probe_before: spin_before,
        cpu_probe_after: spin_after,
        cpu_probe_best: bench.spin_best,
        stolen_share: taken.stolen_share(),
        throttled_us: taken.throttled_us,
    };
    Ok(record(plan, subject, place, &recording, &readings, machine))
}

/// The record of a run whose server could not be started.
pub(crate) fn not_begun(bench: &Bench, plan: &Plan, subject: &Subject, place: Place, crash: Crash) -> RunRecord {
    let spin = bench.spin_best;
    let machine = MachineState {
        cpu_probe_before: spin,
        cpu_probe_after: spin,
        cpu_probe_best: spin,
        stolen_share: 0.0,
        throttled_us: 0,
    };
    let recording = RunMeasurements::empty(RunEnd::Crashed(crash));
    record(plan, subject, place, &recording, &Readings::new(None, None, false), machine)
}

fn record(
    plan: &Plan,
    subject: &Subject,
    place: Place,
    recording: &RunMeasurements,
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
        run: place.run,
        round: place.round,
        attempt: place.rerun,
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
            posts_sent_in_window: recording.posts_sent_in_window,
            deliveries_in_window: plan.deliveries_in_window(),
        },
        latency,
        saturated: recording.saturated,
        negative: recording.negative,
        seconds,
        set_up: recording.set_up,
        slices: slices(recording, readings, place),
        total: recording.total,
        ledger: recording.ledger.clone(),
        faults: recording.faults.clone(),
        generator: GeneratorUsage {
            core_usage_max: recording.core_usage_max,
            resident_bytes_clients: readings.resident_bytes_crowd(),
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

/// The measured window of a run: one slice, in a block of its round.
fn slices(recording: &RunMeasurements, readings: &Readings, place: Place) -> Vec<Slice> {
    let window = Slice {
        block: place.round,
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
