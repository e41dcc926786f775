//! The machine: its cores, how fast they are right now, and the limits of a process.

use std::fmt::Display;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// A CPU probe is the median of its samples: a short interruption affects a few of them, a slower
/// CPU affects all.
const PROBE_SAMPLES: usize = 30;
/// Samples between two rounds, which are short.
const PROBE_SAMPLES_OF_ROUND: usize = 5;
const PROBE_SAMPLE: Duration = Duration::from_millis(5);
/// Loop iterations between two readings of the clock.
const ITERATIONS: u64 = 2_000;

/// Cores that this process may use.
pub(crate) fn cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return vec![0] };
    (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect()
}

/// Pins this thread, and all threads and processes it starts from now on, to these cores.
pub(crate) fn pin(cores: &[usize]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// The cores on which the load generator need not sleep: those without a server. None with a CPU quota,
/// which it would use up.
pub(crate) fn awake_cores(server_cores: &[usize], generator_cores: &[usize]) -> Vec<usize> {
    let alone = generator_cores.iter().filter(|core| !server_cores.contains(core)).copied();
    if quota_cpus().is_some() { Vec::new() } else { alone.collect() }
}

/// Loop iterations per microsecond of wall time on the slowest core, with all cores busy at once. Some
/// virtual machines give two busy cores the CPU time of one for minutes without reporting it as
/// steal; this probe shows it.
pub(crate) fn cpu_probe(cores: &[usize]) -> f64 {
    probe(cores, PROBE_SAMPLES)
}

/// A probe that takes as little time as a round can give.
pub(crate) fn cpu_probe_of_round(cores: &[usize]) -> f64 {
    probe(cores, PROBE_SAMPLES_OF_ROUND)
}

fn probe(cores: &[usize], samples: usize) -> f64 {
    let together = Barrier::new(cores.len());
    let rates = std::thread::scope(|scope| {
        let threads: Vec<_> = cores
            .iter()
            .map(|core| {
                let together = &together;
                scope.spawn(move || {
                    pin(&[*core]).ok();
                    together.wait();
                    probe_this_core(samples)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0.0)).collect::<Vec<_>>()
    });
    rates.into_iter().fold(f64::MAX, f64::min)
}

fn probe_this_core(samples: usize) -> f64 {
    let mut rates: Vec<f64> = (0..samples).map(|_| probe_sample()).collect();
    rates.sort_by(f64::total_cmp);
    rates[samples / 2]
}

fn probe_sample() -> f64 {
    let begun = Instant::now();
    let (mut iterations, mut state) = (0_u64, 1_u64);
    while begun.elapsed() < PROBE_SAMPLE {
        for _ in 0..ITERATIONS {
            state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        iterations += ITERATIONS;
    }
    iterations as f64 / begun.elapsed().as_micros() as f64
}

/// Name of the machine.
pub(crate) fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "host".to_owned(), |name| name.trim().to_owned())
}

/// Raises the limit of open files to its maximum and returns it.
pub(crate) fn raise_open_files() -> nix::Result<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// Local ports of one source address.
pub(crate) fn ports_per_source() -> u64 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u64>().ok());
    match (ends.next(), ends.next()) {
        (Some(low), Some(high)) if high >= low => high - low + 1,
        _ => 28_232,
    }
}

/// CPU time that the host or a quota took away, since the machine started.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CpuSteal {
    stolen_ticks: u64,
    all_ticks: u64,
    /// Time for which a quota stopped this control group.
    pub(crate) throttled_us: u64,
}

impl CpuSteal {
    /// Reads the counters; zeros where the system has none.
    pub(crate) fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = first.split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect();
        let group = std::fs::read_to_string("/sys/fs/cgroup/cpu.stat").unwrap_or_default();
        let throttled = group.lines().find_map(|line| line.strip_prefix("throttled_usec "));
        Self {
            stolen_ticks: ticks.get(7).copied().unwrap_or(0),
            all_ticks: ticks.iter().sum(),
            throttled_us: throttled.and_then(|us| us.trim().parse().ok()).unwrap_or(0),
        }
    }

    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            stolen_ticks: self.stolen_ticks.saturating_sub(earlier.stolen_ticks),
            all_ticks: self.all_ticks.saturating_sub(earlier.all_ticks),
            throttled_us: self.throttled_us.saturating_sub(earlier.throttled_us),
        }
    }

    /// Stolen share of all CPU time.
    pub(crate) fn stolen_share(&self) -> f64 {
        self.stolen_ticks as f64 / self.all_ticks.max(1) as f64
    }
}

/// CPUs that the quota of the control group allows, if it has one.
pub(crate) fn quota_cpus() -> Option<f64> {
    let text = std::fs::read_to_string("/sys/fs/cgroup/cpu.max").ok()?;
    let mut parts = text.split_whitespace().map(str::parse::<f64>);
    match (parts.next()?, parts.next()?) {
        (Ok(quota), Ok(period)) if period > 0.0 => Some(quota / period),
        _ => None,
    }
}

/// Whether a program exists: at its path, or by its name in a folder of `PATH`.
pub(crate) fn is_program(word: &str) -> bool {
    let here = |path: &Path| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if word.contains('/') {
        return here(Path::new(word));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| here(&folder.join(word)))
}

/// Model name of the processor.
pub(crate) fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |line: &str| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned());
    text.lines().find_map(value).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// Memory of the machine in bytes.
pub(crate) fn memory_bytes() -> u64 {
    kilobytes("/proc/meminfo", "MemTotal:").unwrap_or(0) * 1024
}

/// Release of the kernel, such as `6.1.0`.
pub(crate) fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// Resident memory of a process in bytes, without the pages of files: its first connections load
/// pages of the program, which are not theirs.
pub(crate) fn resident_bytes(process: impl Display) -> Option<u64> {
    let path = format!("/proc/{process}/status");
    Some(kilobytes(&path, "VmRSS:")?.saturating_sub(kilobytes(&path, "RssFile:").unwrap_or(0)) * 1024)
}

/// A field of a file in `/proc`.
fn kilobytes(path: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix("kB"))?;
    value.trim().parse().ok()
}

/// Memory of all TCP sockets' buffers on this machine in bytes; 0 where the kernel does not report
/// it.
pub(crate) fn socket_memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let tcp = text.lines().find_map(|line| line.strip_prefix("TCP:"));
    let pages =
        tcp.and_then(|tcp| tcp.split_whitespace().skip_while(|word| *word != "mem").nth(1)?.parse::<u64>().ok());
    let page_bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4_096);
    pages.unwrap_or(0) * page_bytes.unsigned_abs()
}

/// Cores of the server and of the generator: the first and the second half unless the plan names
/// them. A single core is shared.
pub(crate) fn share_cores(plan: Option<&scenario::Cores>, available: &[usize]) -> (Vec<usize>, Vec<usize>) {
    match plan {
        Some(cores) => (cores.server.clone(), cores.generator.clone()),
        None => match available.split_at(available.len().div_ceil(2)) {
            (all, []) => (all.to_vec(), all.to_vec()),
            (server, generator) => (server.to_vec(), generator.to_vec()),
        },
    }
}
