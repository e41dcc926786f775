//! Counting: the steps of a scenario on a server of its own for each transport, between readings of
//! its statistics.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use loadgen::{Checkpoint, RunConfig, StepCounts, Target, Until, lock_step};
use report::counters::{Counted, LOCK_SCHEMA, Lock};
use results::{ByteClass, Direction, TrafficCounts, TrafficKind};
use scenario::{Log, Plan};
use tokio_util::sync::CancellationToken;
use wire::{ServerStats, Transport};

use crate::machine;
use crate::precedence::Precedence;
use crate::run::{Control, ServerCommand, ServerSource, TargetServer};

/// Ports have five digits: a shorter one shortens the `host` header of every request.
const PORT_MIN: u16 = 10_000;
const PORT_TRIES: usize = 20;
/// Time between the connections of a crashing server closing and its process ending.
const CRASH_WITHIN: Duration = Duration::from_millis(500);
const COMPILER: &str = concat!(env!("PUSHBENCH_PROFILE"), " ", env!("PUSHBENCH_RUSTC"));

/// Counts one transport after the other; when stopped, returns those that are done.
pub(super) async fn count(
    command: &ServerCommand,
    scenario: &str,
    plan: &Plan,
    valgrind: bool,
    stop: CancellationToken,
) -> anyhow::Result<Lock> {
    let plan = Arc::new(plan.clone());
    let asked = [
        ("clients", u64::from(plan.clients)),
        ("rooms", u64::from(plan.rooms)),
        ("authors", u64::from(plan.authors)),
        ("payload_bytes", plan.payload_bytes as u64),
        ("posts", plan.posts_in_window()),
        ("deliveries", plan.deliveries_in_window()),
        ("seed", plan.seed),
    ];
    let mut transports = BTreeMap::new();
    for transport in plan.transports.iter().copied() {
        let counted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            counted = count_transport(command, &plan, transport, valgrind) => counted?,
        };
        transports.insert(transport.name().to_owned(), counted);
    }
    let nodes = (plan.log == Log::Redis).then_some(("nodes", u64::from(plan.nodes)));
    let plan = asked.into_iter().chain(nodes).map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Lock { schema: LOCK_SCHEMA, scenario: scenario.to_owned(), plan, transports })
}

/// Starts servers until one has a port of five digits; nearly all have.
async fn start(command: &ServerCommand, plan: &Plan, transport: Transport) -> anyhow::Result<TargetServer> {
    // On one core the server has one thread, which serves requests in the order of their arrival.
    let core = machine::cores().into_iter().take(1).collect::<Vec<_>>();
    let source = ServerSource::BuiltIn(command.clone());
    for _ in 0..PORT_TRIES {
        let server = source.start(plan, transport, &core, Precedence::Equal).await?;
        if server.target().nodes.iter().all(|node| node.http.port() >= PORT_MIN) {
            return Ok(server);
        }
        server.end(transport, false).await;
    }
    bail!("{PORT_TRIES} servers in a row had ports of fewer than five digits; raise net.ipv4.ip_local_port_range")
}

async fn count_transport(
    command: &ServerCommand,
    plan: &Arc<Plan>,
    transport: Transport,
    valgrind: bool,
) -> anyhow::Result<Counted> {
    let server = start(command, plan, transport).await?;
    let (steps, usage) = run_steps_and_stop(plan, transport, server, Until::End).await?;
    let [begin, settled, _, start, end, after] = usage.as_slice() else {
        bail!("{} readings of the server, six were expected", usage.len());
    };
    let mut exact = BTreeMap::new();
    server_counts("connecting.server", &begin.servers, &settled.servers, transport, &mut exact)?;
    server_counts("window.server", &start.servers, &end.servers, transport, &mut exact)?;
    log_counts([start, end, after].map(|reading| &reading.log), &mut exact);
    client_counts("connecting.client", &steps.connecting, &mut exact);
    client_counts("window.client", &steps.window, &mut exact);
    exact.retain(|_, count| *count > 0);
    let mut counted =
        Counted { deliveries: steps.window.delivered, clients: plan.clients.into(), exact, near: BTreeMap::new() };
    let allocations = |reading: &Reading| reading.servers.process.allocations;
    if let (Some(start), Some(end), Some(after)) = (allocations(start), allocations(end), allocations(after)) {
        // A reading allocates too: the difference of two consecutive readings is subtracted.
        let window = (end - start).saturating_sub(after - end);
        let each = window as f64 / counted.deliveries as f64;
        insert_near(&mut counted, "allocations", each);
    }
    if valgrind {
        let instructions = instructions(command, plan, transport).await? / counted.deliveries as f64;
        insert_near(&mut counted, "instructions", instructions);
    }
    Ok(counted)
}

fn insert_near(counted: &mut Counted, what: &str, value: f64) {
    // Further digits are noise and would change the file every time.
    let rounded = (value * 100.0).round() / 100.0;
    counted.near.entry(what.to_owned()).or_default().insert(COMPILER.to_owned(), rounded);
}

/// What the servers, and the log that they share, have counted.
struct Reading {
    servers: ServerStats,
    log: BTreeMap<String, u64>,
}

/// Runs the steps and stops the server; reports a crash of the server as the cause of a failure.
async fn run_steps_and_stop(
    plan: &Arc<Plan>,
    transport: Transport,
    mut server: TargetServer,
    until: Until,
) -> anyhow::Result<(StepCounts, Vec<Reading>)> {
    let walked = run_steps(plan, transport, &server, until).await;
    if walked.is_err() {
        let nobody = Cell::new(0);
        let crash = tokio::time::timeout(CRASH_WITHIN, server.wait_for_crash(transport, &nobody)).await;
        if let Ok(crash) = crash {
            bail!("{transport}: {crash}");
        }
    }
    server.end(transport, false).await;
    walked
}

/// Runs the steps and reads the statistics of the servers and their log before and after each phase.
async fn run_steps(
    plan: &Arc<Plan>,
    transport: Transport,
    server: &TargetServer,
    until: Until,
) -> anyhow::Result<(StepCounts, Vec<Reading>)> {
    let (target, log) = (server.target(), server.log_reader()?);
    let controls = target.nodes.iter().map(|node| Control::new(&Target::of(*node)));
    let controls = controls.collect::<anyhow::Result<Vec<_>>>()?;
    let reading = async || {
        let mut servers = controls[0].usage().await?;
        for control in &controls[1..] {
            servers.add(&control.usage().await?);
        }
        let log = match &log {
            Some(log) => log.counts().await?,
            None => BTreeMap::new(),
        };
        anyhow::Ok(Reading { servers, log })
    };
    let order = RunConfig { plan: Arc::clone(plan), transport, target, cores: Vec::new(), never_sleeps: false };
    let readings = RefCell::new(Vec::new());
    let read = async |edge| {
        // The first reading may have to open its connection; allocations are taken from the second.
        let times = if matches!(edge, Checkpoint::WindowStart | Checkpoint::WindowEnd) { 2 } else { 1 };
        for _ in 0..times {
            let reading = reading().await;
            readings.borrow_mut().push(reading);
        }
    };
    let steps = lock_step(&order, until, read).await?;
    let usage = readings.into_inner().into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    Ok((steps, usage))
}

/// Counts of the log in the window, between the first two readings. What a reading itself costs is the
/// difference of the last two.
fn log_counts([start, end, after]: [&BTreeMap<String, u64>; 3], out: &mut BTreeMap<String, u64>) {
    let of = |reading: &BTreeMap<String, u64>, name: &str| reading.get(name).copied().unwrap_or(0);
    for name in after.keys() {
        let own = of(after, name).saturating_sub(of(end, name));
        let count = of(end, name).saturating_sub(of(start, name)).saturating_sub(own);
        out.insert(format!("window.log.{name}"), count);
    }
}

fn server_counts(
    prefix: &str,
    from: &ServerStats,
    to: &ServerStats,
    transport: Transport,
    out: &mut BTreeMap<String, u64>,
) -> anyhow::Result<()> {
    let of =
        |usage: &ServerStats| serde_json::to_value(usage.transports.get(transport.name()).copied().unwrap_or_default());
    difference(prefix, &of(from)?, &of(to)?, out);
    Ok(())
}

/// Differences of two readings by dotted name; `connections_open` is a state and not a count.
fn difference(name: &str, from: &serde_json::Value, to: &serde_json::Value, out: &mut BTreeMap<String, u64>) {
    if let Some(fields) = to.as_object() {
        for (field, value) in fields.iter().filter(|(field, _)| *field != "connections_open") {
            difference(&format!("{name}.{field}"), &from[field], value, out);
        }
    } else if let (Some(from), Some(to)) = (from.as_u64(), to.as_u64()) {
        out.insert(name.to_owned(), to.saturating_sub(from));
    }
}

/// Counts of the clients. Socket reads are left out: how many bytes one returns depends on the
/// kernel.
fn client_counts(prefix: &str, tally: &TrafficCounts, out: &mut BTreeMap<String, u64>) {
    let counts = [
        ("delivered", tally.delivered),
        ("accepted", tally.accepted),
        ("requests", tally.requests),
        ("empty_answers", tally.empty_answers),
        ("batches", tally.batches),
        ("connections", tally.connections),
        ("socket_writes", tally.socket_writes),
    ];
    out.extend(counts.map(|(name, count)| (format!("{prefix}.{name}"), count)));
    for (direction, way) in [(Direction::Up, "up"), (Direction::Down, "down")] {
        for (purpose, class) in TrafficKind::ALL.into_iter().flat_map(|p| ByteClass::ALL.map(|class| (p, class))) {
            let name = format!("{prefix}.{way}.{}.{}", purpose.name(), class.name());
            out.insert(name, tally.bytes(direction, purpose, class));
        }
    }
}

pub(super) fn has_valgrind() -> bool {
    let mut command = std::process::Command::new("valgrind");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Instructions of the window: those of a server that runs the whole scenario, less those of one
/// that stops before the window.
async fn instructions(command: &ServerCommand, plan: &Arc<Plan>, transport: Transport) -> anyhow::Result<f64> {
    let (with, without) = (
        instructions_of_server(command, plan, transport, Until::End).await?,
        instructions_of_server(command, plan, transport, Until::Window).await?,
    );
    Ok(with as f64 - without as f64)
}

async fn instructions_of_server(
    command: &ServerCommand,
    plan: &Arc<Plan>,
    transport: Transport,
    until: Until,
) -> anyhow::Result<u64> {
    let file = std::env::temp_dir().join(format!("pushbench-{}.callgrind", std::process::id()));
    let mut command = command.clone();
    let valgrind = ["valgrind", "--tool=callgrind", "--quiet"].map(str::to_owned);
    let out = format!("--callgrind-out-file={}", file.display());
    command.words.splice(0..0, valgrind.into_iter().chain([out]));
    let server = start(&command, plan, transport).await?;
    run_steps_and_stop(plan, transport, server, until).await?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("callgrind did not write {}", file.display()))?;
    std::fs::remove_file(&file).ok();
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    total.and_then(|total| total.trim().parse().ok()).context("callgrind's file has no totals")
}
