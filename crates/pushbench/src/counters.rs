//! `pushbench counters`: exact counts per message and per connection, compared with a lock file.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use loadgen::{Checkpoint, RunConfig, StepCounts, Target, Until, lock_step};
use report::counters::{Check, Counted, LOCK_SCHEMA, Lock, Outcome, table};
use results::{ByteClass, Direction, TrafficCounts, TrafficKind};
use scenario::{Log, Override, Plan};
use tokio_util::sync::CancellationToken;
use wire::{ServerStats, Transport};

use crate::exit::{INTERRUPTED, REGRESSION, USAGE};
use crate::precedence::Precedence;
use crate::run::{Control, ServerCommand, ServerSource, TargetServer};
use crate::signals::stoppable;
use crate::{machine, print, scenarios};

/// Most deliveries of a scenario; more would take minutes.
const DELIVERIES_MAX: u64 = 200_000;
/// Ports have five digits: a shorter one shortens the `host` header of every request.
const PORT_MIN: u16 = 10_000;
const PORT_TRIES: usize = 20;
/// Time between the connections of a crashing server closing and its process ending.
const CRASH_WITHIN: Duration = Duration::from_millis(500);
const COMPILER: &str = concat!(env!("PUSHBENCH_PROFILE"), " ", env!("PUSHBENCH_RUSTC"));

/// Count requests, frames, writes and bytes per message on every transport, exactly: one message at
/// a time, no timing
#[derive(Parser)]
#[command(after_help = "\
Examples:
  pushbench counters counters
  pushbench counters counters --check counters.lock.json --bless
  pushbench counters counters --check counters.lock.json

Allocations need a server built with --features count-allocations;
instructions need valgrind.")]
pub(crate) struct Args {
    /// Name of a shipped scenario or path of a TOML file; its clients, rooms and posts are used,
    /// its times are not
    scenario: PathBuf,

    /// Set a key of the scenario, such as clients=3; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Override>,

    /// Compare with this lock file: counts must be equal, allocations and instructions within 1 %.
    /// What the server or the compiler does not allow to compare is reported as skipped
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,

    /// Write the lock file instead of comparing with it
    #[arg(long, requires = "check")]
    bless: bool,

    /// Command line of another build of the server, or of the built-in one with other settings
    #[arg(long, value_name = "CMD", value_parser = ServerCommand::parse)]
    server: Option<ServerCommand>,

    /// Count the server's instructions too, under valgrind; takes about a minute
    #[arg(long)]
    instructions: bool,

    /// Print the table with all columns; without it the table fits 80 columns
    #[arg(long)]
    wide: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let job = match scenarios::load(&args.scenario, &args.set) {
        Ok(job) => job,
        Err(error) => return usage(&error),
    };
    let [plan] = job.plans.as_slice() else {
        return usage(&anyhow::anyhow!(
            "{} has a sweep, but counters take one point; give the swept key one value with --set",
            job.name
        ));
    };
    let deliveries = plan.deliveries_in_window();
    if deliveries == 0 || deliveries > DELIVERIES_MAX {
        return usage(&anyhow::anyhow!(
            "{} has {deliveries} deliveries, 1 to {DELIVERIES_MAX} can be counted; change clients or posts.per_client_per_s",
            job.name
        ));
    }
    let locked = match args.check.as_deref().map(read_lock).transpose() {
        Ok(locked) => locked.flatten(),
        Err(error) => return usage(&error),
    };
    let valgrind = args.instructions && has_valgrind();
    if args.instructions && !valgrind {
        print::warn("instructions are not counted: valgrind is not installed");
    }
    let command = args.server.clone().map_or_else(ServerCommand::own, Ok)?;
    let found = stoppable(async |stop| count(&command, &job.name, plan, valgrind, stop).await)?;
    print::out(&table(&found, args.wide))?;
    let (counted, asked) = (found.transports.len(), plan.transports.len());
    if counted < asked {
        print::warn(&format!("interrupted after {counted} of {asked} transports; nothing was compared or locked"));
        return Ok(INTERRUPTED.into());
    }
    let near = if args.instructions { &["allocations", "instructions"][..] } else { &["allocations"] };
    match (&args.check, locked) {
        (None, _) => Ok(ExitCode::SUCCESS),
        (Some(path), locked) if args.bless => bless(path, locked, found),
        (Some(path), None) => {
            usage(&anyhow::anyhow!("the lock file {} does not exist; --bless writes it", path.display()))
        }
        (Some(path), Some(locked)) if !locked.same_question(&found) => usage(&anyhow::anyhow!(
            "the lock file {} is of another scenario or other settings; --bless writes it again",
            path.display()
        )),
        (Some(_), Some(locked)) => compare(&locked, &found, near),
    }
}

fn usage(error: &anyhow::Error) -> anyhow::Result<ExitCode> {
    print::error(error);
    Ok(USAGE.into())
}

fn read_lock(path: &Path) -> anyhow::Result<Option<Lock>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lock: Lock = serde_json::from_str(&text).with_context(|| format!("{} is not a lock file", path.display()))?;
    if lock.schema != LOCK_SCHEMA {
        bail!(
            "{} has schema {}, but this pushbench reads only {LOCK_SCHEMA}; --bless writes it again",
            path.display(),
            lock.schema
        );
    }
    Ok(Some(lock))
}

fn bless(path: &Path, locked: Option<Lock>, found: Lock) -> anyhow::Result<ExitCode> {
    let lock = match locked {
        Some(locked) => locked.blessed(found),
        None => found,
    };
    let text = serde_json::to_string_pretty(&lock).context("cannot write the lock as JSON")? + "\n";
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    print::out(&format!("\nlocked in {}\n", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a line for each difference and each reason for skipping, and a last line that test
/// scripts add up.
fn compare(locked: &Lock, found: &Lock, near: &[&str]) -> anyhow::Result<ExitCode> {
    let checks = locked.checks(found, near);
    let (mut failed, mut skipped) = (0, BTreeMap::<_, usize>::new());
    for Check { transport, outcome } in &checks {
        match outcome {
            Outcome::Passed => {}
            Outcome::Failed(differences) => {
                failed += 1;
                differences.iter().try_for_each(|difference| print::out(&format!("{transport} {difference}\n")))?;
            }
            Outcome::Skipped(why) => *skipped.entry(why).or_default() += 1,
        }
    }
    skipped.iter().try_for_each(|(why, transports)| print::out(&format!("{transports} transports: {why}\n")))?;
    if failed > 0 {
        print::out("If the change is intended, update the lock file with --bless\n")?;
    }
    let skipped: usize = skipped.values().sum();
    print::out(&format!("\n{} passed, {failed} failed, {skipped} skipped\n", checks.len() - failed - skipped))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { REGRESSION.into() })
}

/// Counts one transport after the other; when stopped, returns those that are done.
async fn count(
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

fn has_valgrind() -> bool {
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
