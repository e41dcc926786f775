//! One run: a server, a crowd, the readings around the window, and the record of it all.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use loadgen::{Edge, Order, Progress, Recording, Target};
use report::stats;
use results::{
    Ended, Generator, Machine, Planned, RunRecord, SCHEMA, Series, ServerReadings, Verdict, VerdictKind, judge,
};
use scenario::Plan;
use tokio_util::sync::CancellationToken;
use wire::{Transport, Usage};

use super::control::Control;
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
            if spin >= self.spin_best * (1.0 - results::SPIN_LOSS_MAX) || self.stop.is_cancelled() {
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

#[derive(Default)]
struct Readings {
    usage: Vec<(Edge, Usage)>,
    resident: Vec<(Edge, u64)>,
    failed: Option<String>,
}

/// Who is measured: a server of ours, which ends with the run, or somebody else's.
pub(crate) enum Patient {
    Ours(ServerProcess),
    Theirs(Target),
}

impl Patient {
    fn target(&self) -> Target {
        match self {
            Self::Ours(server) => server.target.clone(),
            Self::Theirs(target) => target.clone(),
        }
    }

    /// Lets go of it; says so when it had ended by itself.
    async fn end(self) -> Option<String> {
        match self {
            Self::Ours(mut server) => {
                let ended = server.has_ended();
                server.stop().await;
                ended
            }
            Self::Theirs(_) => {
                tokio::time::sleep(FAREWELL).await;
                None
            }
        }
    }
}

/// A server that goes on is busy with thousands of goodbyes for a moment; the machine is not probed before they are over.
const FAREWELL: Duration = Duration::from_millis(500);

/// Runs `transport` against `patient` and writes the interval log to `log`.
pub(crate) async fn measure(
    bench: &mut Bench,
    plan: &Arc<Plan>,
    transport: Transport,
    patient: Patient,
    place: Place,
    log: &mut impl Write,
    on_progress: impl FnMut(Progress),
) -> anyhow::Result<RunRecord> {
    let target = patient.target();
    let control = Control::new(&target)?;
    let spin_before = bench.when_fit().await;
    let taken_before = machine::Taken::now();
    let order = Order {
        plan: Arc::clone(plan),
        transport,
        target,
        cores: bench.generator_cores.clone(),
        stop: bench.stop.clone(),
    };
    let readings = RefCell::new(Readings::default());
    let read_edge = async |edge| {
        let usage = control.usage().await;
        let mut readings = readings.borrow_mut();
        readings.resident.push((edge, machine::resident_bytes()));
        match usage {
            Ok(usage) => readings.usage.push((edge, usage)),
            Err(error) => drop(readings.failed.get_or_insert_with(|| format!("{error:#}"))),
        }
    };
    let recorded = loadgen::execute(order, log, on_progress, read_edge).await;
    let server_ended = patient.end().await;
    let mut recording = recorded?;
    if let Some(status) = server_ended {
        recording.ended = Ended::Failed(format!("the server ended during the run ({status})"));
    }
    let taken = machine::Taken::now().since(&taken_before);
    let spin_after = machine::spin(&bench.all_cores);
    bench.spin_best = bench.spin_best.max(spin_before).max(spin_after);
    let machine = Machine {
        spin_before,
        spin_after,
        spin_best: bench.spin_best,
        stolen_share: taken.stolen_share(),
        throttled_us: taken.throttled_us,
    };
    Ok(record(plan, transport, place, &recording, readings.into_inner(), machine))
}

fn record(
    plan: &Plan,
    transport: Transport,
    place: Place,
    recording: &Recording,
    readings: Readings,
    machine: Machine,
) -> RunRecord {
    if let Some(why) = &readings.failed {
        tracing::warn!(why, "a reading of the server failed");
    }
    let posts = plan.posts_in_window();
    let independent = |series| match series {
        Series::Delivery | Series::DeliveryUncorrected => posts,
        Series::Lateness | Series::Accepted | Series::Connect | Series::Spread | Series::Outage | Series::Upgrade => {
            u64::MAX
        }
    };
    let recorded = Series::ALL.into_iter().filter(|series| !recording.of(*series).is_empty());
    let latency = recorded.map(|series| (series, stats::latency(recording.of(series), independent(series)))).collect();
    let resident = |edge| readings.resident.iter().find(|(at, _)| *at == edge).map_or(0, |(_, bytes)| *bytes);
    let mut record = RunRecord {
        schema: SCHEMA,
        run: place.run,
        round: place.round,
        rerun: place.rerun,
        label: plan.label.clone(),
        transport,
        client: plan.client.name().to_owned(),
        encoding: plan.encoding(transport),
        verdict: Verdict { kind: VerdictKind::Invalid, reasons: Vec::new() },
        ended: recording.ended.clone(),
        planned: Planned {
            seats: plan.seats,
            rooms: plan.rooms,
            payload_bytes: plan.payload_bytes as u64,
            window_us: micros(plan.phases.window),
            posts_in_window: posts,
            left_in_window: recording.left_in_window,
            deliveries_in_window: plan.deliveries_in_window(),
        },
        latency,
        saturated: recording.saturated,
        negative: recording.negative,
        seconds: recording.seconds.clone(),
        set_up: recording.set_up,
        window: recording.window,
        total: recording.total,
        ledger: recording.ledger.clone(),
        faults: recording.faults.clone(),
        generator: Generator {
            cpu: recording.cpu,
            worker_busy_max: recording.worker_busy_max,
            window_us: recording.window_us,
            resident_bytes_crowd: resident(Edge::Settled).saturating_sub(resident(Edge::Begin)),
        },
        server: server_readings(readings.usage),
        kernel: None,
        machine,
    };
    record.verdict = judge(&record);
    record
}

fn server_readings(mut usage: Vec<(Edge, Usage)>) -> Option<ServerReadings> {
    let mut take = |edge| {
        let at = usage.iter().position(|(found, _)| *found == edge)?;
        Some(usage.swap_remove(at).1)
    };
    Some(ServerReadings {
        begin: take(Edge::Begin)?,
        settled: take(Edge::Settled)?,
        window_start: take(Edge::WindowStart)?,
        window_end: take(Edge::WindowEnd)?,
    })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
