//! Readings before, between and after the slices: the servers' statistics, their processes, the log
//! that they share, and the kernel's socket memory.

use std::cell::RefCell;
use std::collections::BTreeMap;

use loadgen::Progress;
use results::{LogUsage, ServerSamples, ServerSecond};
use wire::{ServerStats, TransportUsage};

use super::control::Control;
use super::log_server::{LogReader, LogReading};
use super::process_usage::ProcessUsageReader;
use crate::machine;

/// When a reading is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checkpoint {
    /// Before the first connection.
    Begin,
    /// All clients are connected, and nothing is sent.
    Settled,
    /// Before the first slice.
    Start,
    /// After the last slice.
    End,
}

/// What can be read of a server.
pub(crate) struct ServerReader {
    /// `None` for a server without statistics of its own.
    pub(crate) control: Option<Control>,
    pub(crate) process: Option<ProcessUsageReader>,
}

/// Takes readings and keeps them.
pub(crate) struct Readings {
    /// Whether the servers were started for the run.
    started: bool,
    servers: Vec<ServerReader>,
    log: Option<LogReader>,
    read: RefCell<ReadingsState>,
}

#[derive(Default)]
struct ReadingsState {
    usage: Vec<(Checkpoint, ServerStats)>,
    log: Vec<(Checkpoint, LogReading)>,
    /// Of the server, before the first reading.
    idle_resident_bytes: Option<u64>,
    socket_memory_bytes: Vec<(Checkpoint, u64)>,
    seconds: BTreeMap<u32, ServerSecond>,
    /// The current second.
    second: Option<u32>,
    failed: Option<String>,
    /// The servers have no statistics; their processes are read instead.
    without_stats: bool,
}

impl Readings {
    pub(crate) fn new(servers: Vec<ServerReader>, log: Option<LogReader>, started: bool) -> Self {
        let without_stats = servers.iter().any(|server| server.control.is_none());
        let read = ReadingsState { without_stats, ..ReadingsState::default() };
        Self { started, servers, log, read: RefCell::new(read) }
    }

    /// Takes all readings at a checkpoint.
    pub(crate) async fn sample(&self, checkpoint: Checkpoint) {
        if checkpoint == Checkpoint::Begin {
            let idle = self.usage(checkpoint).await;
            self.read.borrow_mut().idle_resident_bytes = idle.map(|usage| usage.process.resident_bytes);
        }
        let usage = self.usage(checkpoint).await;
        let log = match &self.log {
            Some(log) => log.read().await.inspect_err(|error| tracing::debug!("the shared log: {error:#}")).ok(),
            None => None,
        };
        let mut read = self.read.borrow_mut();
        read.log.extend(log.map(|reading| (checkpoint, reading)));
        read.usage.extend(usage.map(|usage| (checkpoint, usage)));
        read.socket_memory_bytes.push((checkpoint, machine::socket_memory_bytes()));
    }

    /// The statistics of all servers together, without transports that nobody used.
    async fn usage(&self, checkpoint: Checkpoint) -> Option<ServerStats> {
        let mut sum: Option<ServerStats> = None;
        for server in &self.servers {
            let stats = self.usage_of(server, checkpoint).await?;
            match &mut sum {
                Some(sum) => sum.add(&stats),
                None => sum = Some(stats),
            }
        }
        let mut sum = sum?;
        sum.transports.retain(|_, used| *used != TransportUsage::default());
        Some(sum)
    }

    /// The statistics of one server. When the first request fails, no further ones are made, and its
    /// process is read instead.
    async fn usage_of(&self, server: &ServerReader, checkpoint: Checkpoint) -> Option<ServerStats> {
        let silent = self.read.borrow().without_stats;
        let said = match &server.control {
            Some(control) if !silent => control.usage().await.map(Some),
            Some(_) | None => Ok(None),
        };
        let mut read = self.read.borrow_mut();
        if let Err(error) = &said {
            read.failed = Some(format!("{error:#}"));
            read.without_stats = checkpoint == Checkpoint::Begin;
        }
        let from_outside =
            || server.process.as_ref().filter(|_| read.without_stats).and_then(ProcessUsageReader::usage);
        said.ok().flatten().or_else(from_outside)
    }

    /// Reads the processes of the servers at the end of every second.
    pub(crate) fn read_process_each_second(&self, progress: Progress) {
        let mut read = self.read.borrow_mut();
        let before = std::mem::replace(&mut read.second, progress.second);
        if let (Some(ended), Some(now)) = (before, progress.second)
            && ended < now
            && let Some(second) = self.processes()
        {
            read.seconds.insert(now - 1, second);
        }
    }

    /// All processes of the servers together.
    fn processes(&self) -> Option<ServerSecond> {
        let each = self.servers.iter().map(|server| server.process.as_ref()?.read());
        each.collect::<Option<Vec<_>>>()?.into_iter().reduce(ServerSecond::plus)
    }

    /// Use of the shared log from the first slice to the last; `None` if it was started again, because
    /// it counts from its start.
    pub(crate) fn log(&self) -> Option<LogUsage> {
        let read = self.read.borrow();
        let (start, end) = (log_at(&read, Checkpoint::Start)?, log_at(&read, Checkpoint::End)?);
        (start.process == end.process).then(|| end.usage.since(&start.usage))
    }

    /// Messages that the shared log no longer knows, of so many that servers have accepted.
    pub(crate) fn forgotten(&self, accepted: u64) -> u64 {
        let read = self.read.borrow();
        log_at(&read, Checkpoint::End).map_or(0, |end| accepted.saturating_sub(end.messages))
    }

    /// The server at the checkpoints; `None` without the readings before the slices.
    pub(crate) fn server(&self) -> Option<ServerSamples> {
        let read = self.read.borrow();
        let at = |wanted| read.usage.iter().find(|(at, _)| *at == wanted).map(|(_, usage)| usage.clone());
        Some(ServerSamples {
            started: self.started,
            idle_resident_bytes: read.idle_resident_bytes,
            begin: at(Checkpoint::Begin)?,
            settled: at(Checkpoint::Settled)?,
            start: at(Checkpoint::Start),
            end: at(Checkpoint::End),
        })
    }

    /// The server's process at the end of a second.
    pub(crate) fn second(&self, second: u32) -> Option<ServerSecond> {
        self.read.borrow().seconds.get(&second).copied()
    }

    /// Growth of the kernel's socket memory while the clients connected.
    pub(crate) fn socket_memory_bytes(&self) -> u64 {
        growth(&self.read.borrow().socket_memory_bytes)
    }

    /// Why the server's statistics could not be read.
    pub(crate) fn failed(&self) -> Option<String> {
        self.read.borrow().failed.clone()
    }
}

fn log_at(read: &ReadingsState, wanted: Checkpoint) -> Option<&LogReading> {
    read.log.iter().find(|(at, _)| *at == wanted).map(|(_, reading)| reading)
}

fn growth(readings: &[(Checkpoint, u64)]) -> u64 {
    let at = |wanted| readings.iter().find(|(at, _)| *at == wanted).map_or(0, |(_, bytes)| *bytes);
    at(Checkpoint::Settled).saturating_sub(at(Checkpoint::Begin))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use loadgen::{Node, Target};

    use super::*;

    fn readings(process: Option<ProcessUsageReader>) -> Readings {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let target = Target::of(Node { http: unused, tcp: unused });
        let server = ServerReader { control: Some(Control::new(&target).unwrap()), process };
        Readings::new(vec![server], None, false)
    }

    async fn all_checkpoints(readings: &Readings) {
        for checkpoint in [Checkpoint::Begin, Checkpoint::Settled, Checkpoint::Start, Checkpoint::End] {
            readings.sample(checkpoint).await;
        }
    }

    #[tokio::test]
    async fn a_server_without_stats_is_read_by_its_pid_or_not_at_all() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Until it answers it may not have any memory of its own.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let by_pid = readings(Some(ProcessUsageReader::attach(child.id()).unwrap()));
        all_checkpoints(&by_pid).await;
        let server = by_pid.server().unwrap();
        assert!(!server.begin.metered && server.end.as_ref().unwrap().process.resident_bytes > 0, "{server:?}");
        let at = |second| Progress { joined: 1, delivered: 0, faults: 0, second, delivery_us_p99: None };
        [None, Some(0), Some(0), Some(1), Some(2)]
            .into_iter()
            .for_each(|second| by_pid.read_process_each_second(at(second)));
        drop(child.stdin.take());
        child.wait().unwrap();
        by_pid.read_process_each_second(at(Some(3)));
        let read: Vec<_> = (0..4).map(|second| by_pid.second(second).is_some()).collect();
        assert_eq!(read, [true, true, false, false], "the end of each second, until the process ended");
        let without = readings(None);
        all_checkpoints(&without).await;
        assert!(without.server().is_none() && without.failed().is_some());
    }
}
