//! CPU time and memory of a process and its descendants, as the kernel counts them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::{machine, process_tree};
use anyhow::{Context, bail};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::{Pid, SysconfVar, sysconf};
use results::{Cpu, ServerSecond};
use wire::{HubUsage, ProcessUsage, ServerStats};

const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Version of a server without statistics of its own.
const UNKNOWN_VERSION: &str = "unknown";

/// Reads one process, identified by its pid and its start time.
#[derive(Debug, Clone)]
pub(crate) struct ProcessUsageReader {
    pid: u32,
    /// Start time in ticks since the machine started.
    started: u64,
    clock: ClockId,
    tick_us: u64,
    attached: Instant,
}

/// The fields of `/proc/PID/stat` that are used.
struct Stat {
    state: char,
    system_ticks: u64,
    ended_user_ticks: u64,
    ended_system_ticks: u64,
    started: u64,
}

impl ProcessUsageReader {
    /// Finds a process and checks that it can be read.
    pub(crate) fn attach(pid: u32) -> anyhow::Result<Self> {
        if pid == std::process::id() {
            bail!("pid {pid} is this program; give the pid of the server, which `pgrep` or `ss -ltnp` show");
        }
        let advice = || format!("there is no process {pid}; `ss -ltnp` shows the pids of listening processes");
        let stat = Stat::of(pid).with_context(advice)?;
        if stat.has_ended() {
            bail!("process {pid} has ended; `ss -ltnp` shows the pids of listening processes");
        }
        let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))
            .with_context(|| format!("the CPU clock of process {pid} cannot be read"))?;
        let ticks_per_s = sysconf(SysconfVar::CLK_TCK)?.filter(|ticks| *ticks > 0).unwrap_or(100);
        let tick_us = 1_000_000 / ticks_per_s.unsigned_abs();
        let reader = Self { pid, started: stat.started, clock, tick_us, attached: Instant::now() };
        reader.read().with_context(|| format!("the memory of process {pid} cannot be read; run as its user"))?;
        Ok(reader)
    }

    /// CPU time since the start and memory now, with all descendants; `None` once the process has
    /// ended.
    pub(crate) fn read(&self) -> Option<ServerSecond> {
        let stat = self.stat()?;
        let own = self.of(self.pid, self.clock, &stat)?;
        let children = process_tree::descendants(self.pid).into_iter().filter_map(|pid| {
            let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).ok()?;
            self.of(pid, clock, &Stat::of(pid)?)
        });
        Some(children.fold(own, ServerSecond::plus))
    }

    /// CPU time and memory of one process, with the CPU time of its children that have ended.
    fn of(&self, pid: u32, clock: ClockId, stat: &Stat) -> Option<ServerSecond> {
        let own_us = u64::try_from(Duration::from(clock.now().ok()?).as_micros()).ok()?;
        // The clock is exact, the split into user and system time has the resolution of ticks.
        let system_us = (stat.system_ticks * self.tick_us).min(own_us);
        Some(ServerSecond {
            cpu: Cpu {
                user_us: own_us - system_us + stat.ended_user_ticks * self.tick_us,
                system_us: system_us + stat.ended_system_ticks * self.tick_us,
            },
            resident_bytes: machine::resident_bytes(pid)?,
        })
    }

    /// A reading in the form of a server's own statistics, for servers that have none.
    pub(crate) fn usage(&self) -> Option<ServerStats> {
        let read = self.read()?;
        Some(ServerStats {
            version: UNKNOWN_VERSION.to_owned(),
            pid: self.pid,
            uptime_us: u64::try_from(self.attached.elapsed().as_micros()).unwrap_or(u64::MAX),
            metered: false,
            connections_open: 0,
            accept_errors: 0,
            process: ProcessUsage {
                cpu_user_us: read.cpu.user_us,
                cpu_system_us: read.cpu.system_us,
                resident_bytes: read.resident_bytes,
                ..ProcessUsage::default()
            },
            hub: HubUsage::default(),
            transports: BTreeMap::new(),
        })
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// The process and all its descendants.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.pid];
        pids.extend(process_tree::descendants(self.pid));
        pids
    }

    /// Returns when the process has ended.
    pub(crate) async fn ended(&self) {
        while !self.has_ended() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.stat().is_none()
    }

    /// `None` once the process has ended; another one may have its pid then.
    fn stat(&self) -> Option<Stat> {
        Stat::of(self.pid).filter(|stat| stat.started == self.started && !stat.has_ended())
    }
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name, in brackets, may contain anything; the state after it is field 3.
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            system_ticks: number(15)?,
            ended_user_ticks: number(16)?,
            ended_system_ticks: number(17)?,
            started: number(22)?,
        })
    }

    const fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_name_may_contain_anything() {
        let text = "7 (a) b) (c) S 1 7 7 0 -1 4194560 90 0 0 0 31 42 0 0 20 0 3 0 12345 1000 50";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.state, stat.system_ticks, stat.started), ('S', 42, 12_345));
        assert!(Stat::parse("7 (a").is_none() && Stat::parse("7 (a) S 1").is_none());
    }

    #[tokio::test]
    async fn a_process_is_read_until_it_ends() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let reader = ProcessUsageReader::attach(child.id()).unwrap();
        let usage = reader.usage().unwrap();
        assert!(!usage.metered && usage.pid == child.id() && usage.process.resident_bytes > 0, "{usage:?}");
        assert!(reader.read().unwrap().cpu.total_us() >= usage.process.cpu_user_us + usage.process.cpu_system_us);
        drop(child.stdin.take());
        // The child is a zombie now, which counts as ended.
        reader.ended().await;
        assert!(reader.read().is_none());
        let error = ProcessUsageReader::attach(child.id()).unwrap_err().to_string();
        assert!(error.ends_with("has ended; `ss -ltnp` shows the pids of listening processes"), "{error}");
        child.wait().unwrap();
    }

    #[test]
    fn an_unused_pid_is_an_error() {
        // Larger than any pid of the kernel.
        let error = ProcessUsageReader::attach(0x7fff_ffff).unwrap_err().to_string();
        assert_eq!(error, "there is no process 2147483647; `ss -ltnp` shows the pids of listening processes");
        assert!(ProcessUsageReader::attach(std::process::id()).unwrap_err().to_string().contains("is this program"));
    }
}
