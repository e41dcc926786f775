//! An invented job for tests: every transport, a sweep over the number of clients, three rounds
//! with one slice each; [`sliced`] is one with rounds of short slices and lock-step rounds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde_json::json;
use wire::{Delivery, Encoding, ProcessUsage, ServerStats, Transport, TransportUsage};

use crate::{
    ByteClass, Cpu, Direction, Distribution, Faults, Folder, GeneratorUsage, Host, Interval, LatencySummary,
    LedgerSummary, MachineState, Manifest, Mode, PlannedLoad, PlannedSubject, Point, Program, Quantile, ResultsFolder,
    Rounds, Run, RunEnd, RunRecord, RunVerdict, SCHEMA, ScenarioSource, Second, Series, ServerSamples, ServerSecond,
    Slice, State, TcpUsage, TrafficCounts, TrafficKind, VerdictKind,
};

/// Saves a results folder as a job does. Panics on errors, because it is for tests.
pub fn save(parent: &Path, job: &ResultsFolder) -> Folder {
    let folder = Folder::create(parent, &job.manifest.started, &job.manifest.scenario.name);
    let folder = folder.expect("the folder can be created");
    folder.save_manifest(&job.manifest).expect("the folder can be written");
    for run in &job.runs {
        let path = folder.log_path(run.record.run).expect("the folder can be written");
        write_log(&mut File::create(path).expect("the log can be written"), run);
        folder.save_run(&run.record).expect("the folder can be written");
    }
    let records: Vec<_> = job.runs.iter().map(|run| run.record.clone()).collect();
    folder.save_tables(&records).expect("the folder can be written");
    folder
}

fn write_log(log: &mut impl Write, run: &Run) {
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.with_start_time(SystemTime::UNIX_EPOCH).with_max_value_divisor(1000.0);
    let mut log = builder.begin_log_with(log, &mut serializer).expect("the log can be written");
    for (series, interval) in run.intervals.iter().flat_map(|(series, all)| all.iter().map(move |one| (series, one))) {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid");
        interval.distribution.counts().iter().for_each(|(value, count)| histogram.saturating_record_n(*value, *count));
        let start = Duration::from_secs(u64::try_from(interval.second + 1).unwrap_or(0));
        let written = log.write_histogram(&histogram, start, Duration::from_secs(1), Tag::new(series.name()));
        written.expect("the log can be written");
    }
}

const SECONDS: u32 = 10;
const ROUNDS: u32 = 3;

/// The job with one sweep point per number of clients. A single number is no sweep.
pub fn results_folder(clients: &[u32]) -> ResultsFolder {
    let label = |count: u32| if clients.len() > 1 { format!("clients={count}") } else { String::new() };
    let mut runs = Vec::new();
    for round in 1..=ROUNDS {
        for count in clients {
            for transport in Transport::ALL {
                let number = u32::try_from(runs.len() + 1).unwrap_or(u32::MAX);
                runs.push(run(number, round, label(*count), *count, transport));
            }
        }
    }
    let points = clients.iter().map(|count| Point {
        name: label(*count),
        swept: if clients.len() > 1 { vec!["clients".to_owned()] } else { Vec::new() },
        settings: settings(*count),
    });
    let name = "20260101T000000Z-invented".to_owned();
    ResultsFolder { name, manifest: manifest(points.collect(), &runs), runs }
}

fn manifest(points: Vec<Point>, runs: &[Run]) -> Manifest {
    let subjects = runs.iter().filter(|run| run.record.round == 1).map(|run| PlannedSubject {
        point: run.record.point.clone(),
        transport: run.record.transport.name().to_owned(),
        target: run.record.target.clone(),
    });
    Manifest {
        schema: SCHEMA,
        started: "20260101T000000Z".to_owned(),
        state: State::Complete,
        scenario: ScenarioSource {
            name: "invented".to_owned(),
            question: "What if <everything> were \"invented\" & nothing ran?".to_owned(),
            file: "scenarios/invented.toml".to_owned(),
            text: "name = \"invented\"\n".to_owned(),
            set: Vec::new(),
        },
        points,
        rounds: Rounds { budget_s: 60.0, load: ROUNDS, lock_step: 0, window_us: u64::from(SECONDS) * 1_000_000 },
        generators: 1,
        seed: 1,
        room_prefix: "room".to_owned(),
        subjects: subjects.collect(),
        command: vec!["pushbench".to_owned(), "run".to_owned(), "scenarios/invented.toml".to_owned()],
        program: Program {
            version: "0.1.0".to_owned(),
            commit: Some("0123456789ab".to_owned()),
            profile: "release".to_owned(),
            rustc: "1.90.0".to_owned(),
            dependencies: BTreeMap::from([("tokio".to_owned(), "1.48.0".to_owned())]),
        },
        host: Host {
            cpu_model: "Invented CPU".to_owned(),
            cores: vec![0, 1],
            server_cores: vec![0],
            generator_cores: vec![1],
            awake_cores: vec![1],
            precedence: true,
            cpu_quota: None,
            memory_bytes: 8 << 30,
            kernel: "6.0.0".to_owned(),
            open_files_max: 1 << 20,
            ports_per_source: 28_232,
        },
        findings: Vec::new(),
    }
}

/// Adds the same rounds again, for tests that need more than three.
pub fn repeat(job: &mut ResultsFolder) {
    let again = job.runs.clone().into_iter().map(|mut run| {
        run.record.round += ROUNDS;
        run
    });
    job.runs.extend(again);
}

fn settings(clients: u32) -> BTreeMap<String, serde_json::Value> {
    BTreeMap::from([
        ("clients".to_owned(), json!(clients)),
        ("rooms".to_owned(), json!(clients / 10)),
        ("posts.per_client_per_s".to_owned(), json!(1.0)),
        ("posts.arrivals".to_owned(), json!("poisson")),
        ("posts.payload_bytes".to_owned(), json!(120)),
        ("tuning.polling.interval_ms".to_owned(), json!(500)),
        ("tuning.long-polling.hold_ms".to_owned(), json!(25_000)),
        ("prices.vcpu_hour".to_owned(), json!(0.04)),
        ("prices.gb_hour".to_owned(), json!(0.005)),
        ("prices.gb_out".to_owned(), json!(0.09)),
        ("prices.currency".to_owned(), json!("EUR")),
    ])
}

/// A factor near 1 that differs from run to run.
fn variation(number: u32) -> f64 {
    1.0 + f64::from(number * 7 % 11) / 100.0
}

fn run(number: u32, round: u32, label: String, clients: u32, transport: Transport) -> Run {
    let scale = variation(number) * (1.0 + f64::from(clients) / 10_000.0);
    let posts = u64::from(clients) * u64::from(SECONDS);
    let delivered = posts * 10;
    let cpu_us = ((3.0 + transport as usize as f64) * scale * delivered as f64) as u64;
    let window = traffic(transport, posts, delivered);
    let intervals = intervals(transport, scale, delivered);
    let latency = intervals.iter().map(|(series, all)| (*series, latency(&Interval::whole(all), posts))).collect();
    let record = RunRecord {
        schema: SCHEMA,
        run: number,
        round,
        mode: Mode::Load,
        point: label,
        transport,
        target: wire::BUILTIN_SERVER.to_owned(),
        http_client: "built-in".to_owned(),
        encoding: Encoding::Json,
        verdict: RunVerdict { kind: VerdictKind::Valid, reasons: Vec::new() },
        ended: RunEnd::Complete,
        planned: PlannedLoad {
            clients,
            rooms: clients / 10,
            payload_bytes: 120,
            slices: 1,
            window_us: u64::from(SECONDS) * 1_000_000,
            posts_in_window: posts,
            posts_sent_in_window: posts,
            deliveries_in_window: delivered,
            outages: 0,
        },
        latency,
        saturated: 0,
        negative: 0,
        seconds: seconds(&intervals[&Series::DeliveryLatency], clients, posts, &window, cpu_us),
        set_up: TrafficCounts::default(),
        slices: vec![slice(&window, cpu_us, middle_us(transport, scale))],
        total: window,
        ledger: LedgerSummary { scheduled: delivered, received: delivered, ..LedgerSummary::default() },
        faults: Faults::default(),
        generator: GeneratorUsage { core_usage_max: 0.3, resident_bytes_clients: u64::from(clients) * 3_100 },
        server: Some(ServerSamples {
            started: true,
            idle_resident_bytes: None,
            begin: usage(transport, 0, 0, 0),
            settled: usage(transport, 0, 0, u64::from(clients)),
            start: Some(usage(transport, 0, 0, u64::from(clients))),
            end: Some(usage(transport, cpu_us, delivered, u64::from(clients))),
        }),
        tcp: Some(tcp(&window, clients, delivered)),
        log: None,
        machine: machine(),
    };
    Run { record, intervals }
}

fn tcp(window: &TrafficCounts, clients: u32, delivered: u64) -> TcpUsage {
    TcpUsage {
        bytes_up: window.total(Direction::Up),
        bytes_down: window.total(Direction::Down),
        segments_up: delivered,
        segments_down: delivered,
        header_bytes_per_segment: 52,
        socket_memory_bytes: u64::from(clients) * 4_096,
    }
}

fn slice(window: &TrafficCounts, cpu_us: u64, p50_us: f64) -> Slice {
    Slice {
        block: 1,
        position: 1,
        dropped: None,
        window_us: u64::from(SECONDS) * 1_000_000,
        traffic: *window,
        generator_cpu: Cpu { user_us: cpu_us / 4, system_us: cpu_us / 2 },
        server_cpu_ns: Some(cpu_us * 1_000),
        delivery_p50_us: Some(p50_us as u64),
        drain_us: 1_000,
        drained: true,
    }
}

/// The job without a sweep, with rounds of short slices and lock-step rounds.
pub fn sliced(rounds: u32, blocks: u32, lock_step_rounds: u32) -> ResultsFolder {
    let mut job = results_folder(&[100]);
    let template: Vec<_> = job.runs.iter().filter(|run| run.record.round == 1).cloned().collect();
    job.runs.clear();
    let modes = [(Mode::Load, rounds), (Mode::LockStep, lock_step_rounds)];
    for (mode, round) in modes.into_iter().flat_map(|(mode, rounds)| (1..=rounds).map(move |round| (mode, round))) {
        for run in &template {
            let mut run = run.clone();
            let record = &mut run.record;
            record.run = u32::try_from(job.runs.len() + 1).unwrap_or(u32::MAX);
            (record.mode, record.round, record.planned.slices) = (mode, round, blocks);
            let whole = record.slices.remove(0);
            record.slices = (1..=blocks).map(|block| short_slice(&whole, mode, round, block)).collect();
            if mode == Mode::LockStep {
                record.latency.clear();
                record.seconds.clear();
                run.intervals.clear();
            }
            job.runs.push(run);
        }
    }
    let window_us = 100_000;
    job.manifest.rounds = Rounds { budget_s: 75.0, load: rounds, lock_step: lock_step_rounds, window_us };
    job
}

/// A tenth of a second of a slice. The machine's speed varies from block to block and little from
/// slice to slice.
fn short_slice(whole: &Slice, mode: Mode, round: u32, block: u32) -> Slice {
    let machine = variation(13 * round + 5 * block);
    let own = 1.0 + (variation(whole.traffic.requests as u32 % 97 + 3 * block + round) - 1.05) / 10.0;
    let mut traffic = TrafficCounts::default();
    traffic.delivered = whole.traffic.delivered / 100;
    traffic.posted = whole.traffic.posted / 100;
    let of = |whole: u64| (whole as f64 / 100.0 * machine * own) as u64;
    Slice {
        block,
        window_us: 100_000,
        traffic,
        generator_cpu: Cpu { user_us: of(whole.generator_cpu.user_us), system_us: of(whole.generator_cpu.system_us) },
        server_cpu_ns: whole.server_cpu_ns.map(of),
        delivery_p50_us: whole
            .delivery_p50_us
            .filter(|_| mode == Mode::Load)
            .map(|us| (us as f64 * machine * own) as u64),
        ..whole.clone()
    }
}

fn machine() -> MachineState {
    MachineState {
        cpu_probe_before: 880.0,
        cpu_probe_after: 870.0,
        cpu_probe_best: 900.0,
        stolen_share: 0.0,
        throttled_us: 0,
    }
}

fn traffic(transport: Transport, posts: u64, delivered: u64) -> TrafficCounts {
    let mut counts = TrafficCounts::default();
    (counts.delivered, counts.posted, counts.accepted, counts.batches) = (delivered, posts, posts, delivered);
    counts.requests =
        if transport.has_room_url() && transport.info().delivery != Delivery::Streamed { delivered } else { 0 };
    counts.empty_answers = if transport == Transport::Polling { delivered / 3 } else { 0 };
    counts.add(Direction::Down, TrafficKind::Delivery, ByteClass::Payload, delivered as usize * 120);
    counts.add(Direction::Down, TrafficKind::Delivery, ByteClass::Envelope, delivered as usize * 40);
    counts.add(Direction::Down, TrafficKind::Delivery, ByteClass::Framing, delivered as usize * 4);
    counts.add(Direction::Down, TrafficKind::Empty, ByteClass::Headers, counts.empty_answers as usize * 90);
    counts.add(Direction::Up, TrafficKind::Delivery, ByteClass::Headers, counts.requests as usize * 110);
    counts.add(Direction::Up, TrafficKind::Posting, ByteClass::Payload, posts as usize * 120);
    counts
}

fn middle_us(transport: Transport, scale: f64) -> f64 {
    let unscaled = if transport == Transport::Polling { 250_000.0 } else { 150.0 + 40.0 * transport as usize as f64 };
    unscaled * scale
}

fn intervals(transport: Transport, scale: f64, delivered: u64) -> BTreeMap<Series, Vec<Interval>> {
    let middle_us = middle_us(transport, scale);
    let per_second = delivered / u64::from(SECONDS);
    let second = |shift: f64| {
        let at = |place: u64| (middle_us * shift * (0.2 + place as f64 / 50.0 + (place as f64 / 90.0).powi(40))) as u64;
        Distribution::new((0..100).map(|place| (at(place).max(1), per_second / 100)).collect())
    };
    let of = |series: Series, shift: f64| {
        let intervals = (0..i64::from(SECONDS)).map(|second_of| Interval {
            second: second_of,
            distribution: second(shift * variation(u32::try_from(second_of).unwrap_or(0))),
        });
        (series, intervals.collect())
    };
    BTreeMap::from([
        of(Series::DeliveryLatency, 1.0),
        of(Series::DeliveryLatencyFromSend, 0.9),
        of(Series::SendDelay, 60.0 / middle_us),
    ])
}

fn seconds(delivery: &[Interval], clients: u32, posts: u64, window: &TrafficCounts, cpu_us: u64) -> Vec<Second> {
    let cpu = |second: u32| Cpu {
        user_us: cpu_us / 3 * u64::from(second) / u64::from(SECONDS),
        system_us: cpu_us * 2 / 3 * u64::from(second) / u64::from(SECONDS),
    };
    let rows = delivery.iter().map(|interval| {
        let number = u32::try_from(interval.second).unwrap_or(0);
        Second {
            second: number,
            delivered: interval.distribution.len(),
            posted: posts / u64::from(SECONDS),
            requests: window.requests / u64::from(SECONDS),
            connected: clients,
            faults: 0,
            delivery_p50_us: interval.distribution.quantile(0.5),
            delivery_p99_us: interval.distribution.quantile(0.99),
            delivery_max_us: interval.distribution.max(),
            server: Some(ServerSecond { cpu: cpu(number + 1), resident_bytes: 20 << 20 }),
        }
    });
    rows.collect()
}

fn latency(distribution: &Distribution, independent: u64) -> LatencySummary {
    let shares = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)];
    let quantile = |share: f64| {
        let us = distribution.quantile(share).unwrap_or(0);
        Quantile { us, low_us: us * 95 / 100, high_us: us * 106 / 100 }
    };
    LatencySummary {
        samples: distribution.len(),
        independent,
        quantiles: shares.into_iter().map(|(name, share)| (name.to_owned(), quantile(share))).collect(),
        max_us: distribution.max().unwrap_or(0),
        mean_us: distribution.mean().unwrap_or(0.0),
    }
}

fn usage(transport: Transport, cpu_us: u64, messages: u64, connections: u64) -> ServerStats {
    let used = TransportUsage {
        connections_opened: connections,
        connections_open: connections,
        messages,
        batches: messages,
        socket_writes: messages,
        ..TransportUsage::default()
    };
    ServerStats {
        version: "0.1.0".to_owned(),
        pid: 1,
        uptime_us: 1,
        metered: true,
        connections_open: connections,
        accept_errors: 0,
        process: ProcessUsage {
            cpu_user_us: cpu_us / 3,
            cpu_system_us: cpu_us - cpu_us / 3,
            resident_bytes: (4 << 20) + connections * 4_000,
            ..ProcessUsage::default()
        },
        hub: wire::HubUsage::default(),
        transports: BTreeMap::from([(transport.name().to_owned(), used)]),
    }
}
