//! Checks of the machine before a job, each with its meaning and what to do about it.

use std::borrow::Cow;
use std::time::Duration;

use scenario::{Job, Log};

use super::{external_server, log_server};
use crate::machine;
use crate::precedence::Precedence;

const CLOCK_READS: u32 = 10_000;
/// Longest reading of the clock; a good clock takes a third of it.
const CLOCK_READ_MAX: Duration = Duration::from_nanos(150);

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Good,
    /// Results may suffer; the verdict of each run says whether they did.
    Doubtful,
    /// The job cannot be measured.
    Fatal,
}

/// The result of one check.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    pub(crate) what: &'static str,
    pub(crate) found: String,
    pub(crate) advice: Cow<'static, str>,
}

/// Open files that a process needs besides the clients' sockets.
const SPARE_FILES: u64 = 64;
/// Loopback source addresses that the clients use, at most.
const SOURCES_MAX: u64 = 64;
/// Load average before a job; anything above it comes from other programs.
const LOAD_MAX: f64 = 0.5;
const CPU_PROBES: usize = 5;
/// Relative spread of CPU probes; the verdict of a run uses the same limit.
const CPU_PROBE_SPREAD_MAX: f64 = 0.25;
const TIMER_ROUNDS: usize = 200;
const TIMER_LATE_MAX: Duration = Duration::from_micros(500);

/// Checks the machine, and its limits against the needs of `job`.
/// `attached`: the servers of the job are running already, and not its to start.
pub(crate) fn findings(job: Option<&Job>, attached: bool) -> Vec<Finding> {
    let cores = machine::cores();
    let mut found = vec![
        cores_finding(&cores),
        load_finding(),
        precedence_finding(),
        cpu_probe_finding(&cores),
        timer_finding(),
        clock_finding(),
        steal_finding(),
    ];
    found.extend(quota_finding(&cores));
    if let Some(job) = job {
        let of_server = if attached { 0 } else { job.sockets_per_server_max() };
        found.push(files_finding(job.sockets_per_generator_max().max(of_server)));
        found.push(ports_finding(job.sockets_max()));
        found.extend(pinning_finding(job, &cores));
        found.extend(target_findings(job));
        found.extend(log_finding(job));
    }
    found
}

fn finding(level: Level, what: &'static str, found: String, advice: &'static str) -> Finding {
    Finding { level, what, found, advice: advice.into() }
}

fn cores_finding(cores: &[usize]) -> Finding {
    let level = if cores.len() > 1 { Level::Good } else { Level::Doubtful };
    let advice = "server and generator share the core, so that latencies include waiting for it; use two or more cores";
    finding(level, "cores", format!("{} ({cores:?})", cores.len()), advice)
}

fn load_finding() -> Finding {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
    let level = if load <= LOAD_MAX { Level::Good } else { Level::Doubtful };
    finding(
        level,
        "other load",
        format!("{load:.2} over the last minute"),
        "end other programs, or wait for them to end",
    )
}

fn precedence_finding() -> Finding {
    let found = match Precedence::is_allowed() {
        true => "servers and load generators run before other programs",
        false => "none: other programs disturb more; run as root, or allow a niceness of -20 (ulimit -e 40)",
    };
    finding(Level::Good, "precedence", found.to_owned(), "")
}

fn cpu_probe_finding(cores: &[usize]) -> Finding {
    let rates: Vec<f64> = (0..CPU_PROBES).map(|_| machine::cpu_probe(cores)).collect();
    let (least, most) =
        rates.iter().fold((f64::MAX, 0.0_f64), |(least, most), rate| (least.min(*rate), most.max(*rate)));
    let level = if least >= most * (1.0 - CPU_PROBE_SPREAD_MAX) { Level::Good } else { Level::Doubtful };
    let found = format!("{least:.0}–{most:.0} iterations/µs on all cores at once, {CPU_PROBES} probes");
    finding(level, "CPU probe", found, "CPU speed varies between probes; affected runs are marked invalid and repeated")
}

fn timer_finding() -> Finding {
    let mut late: Vec<_> = (0..TIMER_ROUNDS)
        .map(|_| {
            let begun = std::time::Instant::now();
            // The kernel's sleep: a timer of tokio has a resolution of one millisecond.
            std::thread::sleep(Duration::from_micros(500));
            begun.elapsed().saturating_sub(Duration::from_micros(500))
        })
        .collect();
    late.sort();
    let p99 = late[TIMER_ROUNDS * 99 / 100];
    let level = if p99 <= TIMER_LATE_MAX { Level::Good } else { Level::Doubtful };
    let found =
        format!("a sleep ends {} µs late (median), {} µs (p99)", late[TIMER_ROUNDS / 2].as_micros(), p99.as_micros());
    finding(level, "timer", found, "posts will be sent late; virtual machines on a busy host show this")
}

/// CPU time that the host took from this machine since it started, where the kernel reports it.
fn steal_finding() -> Finding {
    let share = machine::CpuSteal::now().stolen_share();
    let level = if share < 0.01 { Level::Good } else { Level::Doubtful };
    let advice = "other virtual machines on the host take CPU time; use a dedicated machine, or a larger --budget";
    finding(level, "steal", format!("{:.2} % since start", share * 100.0), advice)
}

fn quota_finding(cores: &[usize]) -> Option<Finding> {
    let cpus = machine::quota_cpus()?;
    let level = if cpus >= cores.len() as f64 { Level::Good } else { Level::Doubtful };
    let advice = "the container is stopped when its quota is used up; raise the quota, or name fewer cores in [cores]";
    Some(finding(level, "quota", format!("{cpus:.1} CPUs for {} cores", cores.len()), advice))
}

fn clock_finding() -> Finding {
    let begun = std::time::Instant::now();
    for _ in 0..CLOCK_READS {
        std::hint::black_box(std::time::Instant::now());
    }
    let each = begun.elapsed() / CLOCK_READS;
    let source = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let source = source.map_or_else(|_| "unknown".to_owned(), |source| source.trim().to_owned());
    let level = if each <= CLOCK_READ_MAX { Level::Good } else { Level::Doubtful };
    let advice = "the clock is read for every message, and this clock source is slow; tsc and kvm-clock are fast";
    finding(level, "clock", format!("{source}, {} ns a reading", each.as_nanos()), advice)
}

fn files_finding(sockets: u64) -> Finding {
    let (needed, limit) = (sockets + SPARE_FILES, machine::raise_open_files().unwrap_or(0));
    let level = if needed <= limit { Level::Good } else { Level::Fatal };
    let advice = "raise the limit (ulimit -n, LimitNOFILE=), set fewer clients, or share them (--agents, nodes)";
    finding(level, "open files", format!("{needed} needed, {limit} allowed"), advice)
}

fn ports_finding(sockets: u64) -> Finding {
    let each = machine::ports_per_source();
    let level = if sockets <= each * SOURCES_MAX { Level::Good } else { Level::Fatal };
    let found = format!("{sockets} needed, {each} for each loopback source address");
    finding(level, "ports", found, "widen net.ipv4.ip_local_port_range, or set fewer clients")
}

/// External servers whose files are missing.
fn target_findings(job: &Job) -> Vec<Finding> {
    let servers = job.plans.first().map_or(&[][..], |plan| &plan.external_servers);
    let missing = servers.iter().filter_map(|server| Some((server, external_server::missing(server, &job.file)?)));
    let told = missing.map(|(server, (found, advice))| Finding {
        level: Level::Fatal,
        what: "target",
        found: format!("{}: {found}", server.name),
        advice: advice.into(),
    });
    told.collect()
}

/// A Redis that is needed and cannot be started.
fn log_finding(job: &Job) -> Option<Finding> {
    let is_needed = job.plans.iter().any(|plan| plan.log == Log::Redis);
    let found = format!("{} is not installed", log_server::PROGRAM);
    let advice = "install Redis 7 or later (apt-get install redis-server), or write log = \"memory\"";
    (is_needed && !machine::is_program(log_server::PROGRAM)).then(|| finding(Level::Fatal, "log", found, advice))
}

fn pinning_finding(job: &Job, cores: &[usize]) -> Option<Finding> {
    let missing = job.plans.iter().find_map(|plan| {
        let (server, generator) = machine::share_cores(plan.cores.as_ref(), cores);
        server.into_iter().chain(generator).find(|core| !cores.contains(core))
    })?;
    Some(finding(
        Level::Fatal,
        "pinning",
        format!("this process may not use core {missing}"),
        "name cores of this machine in [cores]",
    ))
}
