//! CPU clocks of processes, in nanoseconds. A reading is one system call.

use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// The CPU clocks of all processes of a server. The kernel brings the clock of a process that is
/// running on another core up to date when it sleeps and at the timer ticks, every 1 to 10 ms.
#[derive(Debug, Clone, Default)]
pub struct ServerClocks {
    clocks: Arc<[ClockId]>,
}

impl ServerClocks {
    /// The clocks of these processes; `None` if one of them cannot be read.
    pub fn of(pids: &[u32]) -> Option<Self> {
        let clocks = pids.iter().map(|pid| clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).ok());
        clocks.collect::<Option<Vec<_>>>().map(|clocks| Self { clocks: clocks.into() })
    }

    /// CPU time of all processes since their start; `None` without a process, or if one has ended.
    pub fn now_ns(&self) -> Option<u64> {
        let each = self.clocks.iter().map(|clock| Some(Duration::from(clock.now().ok()?).as_nanos() as u64));
        each.sum::<Option<u64>>().filter(|_| !self.clocks.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_process_counts_its_work() {
        let clocks = ServerClocks::of(&[std::process::id()]).unwrap();
        let before = clocks.now_ns().unwrap();
        let mut sum = 0_u64;
        while clocks.now_ns().unwrap() - before < 1_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert_eq!(ServerClocks::default().now_ns(), None);
    }
}
