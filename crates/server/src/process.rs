//! What this process has used, as the kernel counts it.

use nix::sys::resource::{UsageWho, getrusage};
use wire::ProcessUsage;

/// CPU time, memory, context switches and allocations of this process so far. Memory is 0 where
/// there is no `/proc`.
pub(crate) fn process_usage() -> ProcessUsage {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return ProcessUsage::default();
    };
    let micros =
        |time: nix::sys::time::TimeVal| time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_usec().unsigned_abs();
    ProcessUsage {
        cpu_user_us: micros(usage.user_time()),
        cpu_system_us: micros(usage.system_time()),
        resident_bytes: resident_bytes().unwrap_or(0),
        switches_voluntary: usage.voluntary_context_switches().unsigned_abs(),
        switches_involuntary: usage.involuntary_context_switches().unsigned_abs(),
        allocations: allocations(),
    }
}

#[cfg(feature = "count-allocations")]
#[expect(clippy::unnecessary_wraps, reason = "None in builds without the feature")]
fn allocations() -> Option<u64> {
    Some(crate::allocations::count())
}

#[cfg(not(feature = "count-allocations"))]
const fn allocations() -> Option<u64> {
    None
}

/// Without the pages of files: the first connections load pages of the program, which are not theirs.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = |field| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(kilobytes("VmRSS:")?.saturating_sub(kilobytes("RssFile:").unwrap_or(0)) * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_running_process_has_used_cpu_and_memory() {
        let usage = super::process_usage();
        assert!(usage.cpu_user_us + usage.cpu_system_us > 0);
        assert!(usage.resident_bytes > 100_000, "{usage:?}");
    }
}
