//! The machine under the measurement: its cores, how fast they are right now, and what limits a process.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Length of one spin probe.
const SPIN: Duration = Duration::from_millis(60);
/// Turns between two looks at the clock.
const TURNS: u64 = 2_000;

/// Cores this process may use.
pub(crate) fn cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return vec![0] };
    (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect()
}

/// Keeps this thread, and those it starts from now on, on these cores.
pub(crate) fn pin(cores: &[usize]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Turns of a loop per microsecond of wall time, the slowest of all cores, all spinning at once. Some machines give two busy cores the
/// CPU of one for minutes and say so nowhere: this shows it.
pub(crate) fn spin(cores: &[usize]) -> f64 {
    let together = Barrier::new(cores.len());
    let rates = std::thread::scope(|scope| {
        let threads: Vec<_> = cores
            .iter()
            .map(|core| {
                let together = &together;
                scope.spawn(move || {
                    pin(&[*core]).ok();
                    together.wait();
                    spin_here()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0.0)).collect::<Vec<_>>()
    });
    rates.into_iter().fold(f64::MAX, f64::min)
}

fn spin_here() -> f64 {
    let begun = Instant::now();
    let (mut turns, mut state) = (0_u64, 1_u64);
    while begun.elapsed() < SPIN {
        for _ in 0..TURNS {
            state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
        turns += TURNS;
    }
    turns as f64 / begun.elapsed().as_micros() as f64
}

/// Open files this process may have, after taking all it may take.
pub(crate) fn raise_open_files() -> nix::Result<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// Local ports one source address has.
pub(crate) fn ports_per_source() -> u64 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u64>().ok());
    match (ends.next(), ends.next()) {
        (Some(low), Some(high)) if high >= low => high - low + 1,
        _ => 28_232,
    }
}

/// Resident memory of this process.
pub(crate) fn resident_bytes() -> u64 {
    server::process_usage().resident_bytes
}

/// Who serves and who loads: the first half of the cores and the second. A single core is shared.
pub(crate) fn share_cores(plan: &scenario::Cores, available: &[usize]) -> (Vec<usize>, Vec<usize>) {
    match plan {
        scenario::Cores::Fixed { server, generator } => (server.clone(), generator.clone()),
        scenario::Cores::Auto => match available.split_at(available.len().div_ceil(2)) {
            (all, []) => (all.to_vec(), all.to_vec()),
            (server, generator) => (server.to_vec(), generator.to_vec()),
        },
    }
}
