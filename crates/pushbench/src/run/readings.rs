//! What is read around a run while it goes on: what the server says of itself and what its process shows from outside, this program's
//! memory, and what the kernel keeps for sockets.

use std::cell::RefCell;
use std::collections::BTreeMap;

use loadgen::{Checkpoint, Progress};
use results::{ServerSamples, ServerSecond, ServerWindowSamples};
use wire::ServerStats;

use super::control::Control;
use super::meter::Meter;
use crate::machine;

/// Reads, and keeps what it has read.
pub(crate) struct Readings {
    /// Whether the server was started for the run.
    started: bool,
    /// None for a server that has nothing to say of itself.
    control: Option<Control>,
    meter: Option<Meter>,
    read: RefCell<Read>,
}

#[derive(Default)]
struct Read {
    usage: Vec<(Checkpoint, ServerStats)>,
    /// Of the server, before the reading at the beginning.
    idle_resident_bytes: Option<u64>,
    resident_bytes: Vec<(Checkpoint, u64)>,
    socket_memory_bytes: Vec<(Checkpoint, u64)>,
    seconds: BTreeMap<u32, ServerSecond>,
    /// The second that goes on.
    second: Option<u32>,
    failed: Option<String>,
    /// It does not say what it costs.
    silent: bool,
}

impl Readings {
    pub(crate) fn new(control: Option<Control>, meter: Option<Meter>, started: bool) -> Self {
        let read = Read { silent: control.is_none(), ..Read::default() };
        Self { started, control, meter, read: RefCell::new(read) }
    }

    /// Reads everything.
    pub(crate) async fn edge(&self, edge: Checkpoint) {
        if edge == Checkpoint::Begin {
            let idle = self.usage(edge).await;
            self.read.borrow_mut().idle_resident_bytes = idle.map(|usage| usage.process.resident_bytes);
        }
        let usage = self.usage(edge).await;
        let mut read = self.read.borrow_mut();
        read.usage.extend(usage.map(|usage| (edge, usage)));
        read.resident_bytes.push((edge, machine::resident_bytes()));
        read.socket_memory_bytes.push((edge, machine::socket_memory_bytes()));
    }

    /// What the server says. One that does not say what it costs when it is first asked is not asked again: its process is read.
    async fn usage(&self, edge: Checkpoint) -> Option<ServerStats> {
        let silent = self.read.borrow().silent;
        let said = match &self.control {
            Some(control) if !silent => control.usage().await.map(Some),
            Some(_) | None => Ok(None),
        };
        let mut read = self.read.borrow_mut();
        if let Err(error) = &said {
            read.failed = Some(format!("{error:#}"));
            read.silent = edge == Checkpoint::Begin;
        }
        let from_outside = || self.meter.as_ref().filter(|_| read.silent).and_then(Meter::usage);
        said.ok().flatten().or_else(from_outside)
    }

    /// Reads the server's process whenever a second has ended.
    pub(crate) fn look(&self, progress: Progress) {
        let mut read = self.read.borrow_mut();
        let before = std::mem::replace(&mut read.second, progress.second);
        if let (Some(ended), Some(now), Some(meter)) = (before, progress.second, &self.meter)
            && ended < now
            && let Some(second) = meter.read()
        {
            read.seconds.insert(now - 1, second);
        }
    }

    /// What the server was at the edges, if it could be read at all of them.
    pub(crate) fn server(&self) -> Option<ServerSamples> {
        let read = self.read.borrow();
        let at = |edge| read.usage.iter().find(|(at, _)| *at == edge).map(|(_, usage)| usage.clone());
        Some(ServerSamples {
            started: self.started,
            idle_resident_bytes: read.idle_resident_bytes,
            begin: at(Checkpoint::Begin)?,
            settled: at(Checkpoint::Settled)?,
        })
    }

    /// The server's counters at both ends of the window, if both could be read.
    pub(crate) fn window(&self) -> Option<ServerWindowSamples> {
        let read = self.read.borrow();
        let at = |edge| read.usage.iter().find(|(at, _)| *at == edge).map(|(_, usage)| usage.clone());
        Some(ServerWindowSamples { start: at(Checkpoint::WindowStart)?, end: at(Checkpoint::WindowEnd)? })
    }

    /// What its process showed at the end of a second.
    pub(crate) fn second(&self, second: u32) -> Option<ServerSecond> {
        self.read.borrow().seconds.get(&second).copied()
    }

    /// Growth of this program while everybody connected.
    pub(crate) fn resident_bytes_crowd(&self) -> u64 {
        growth(&self.read.borrow().resident_bytes)
    }

    /// Growth of what the kernel keeps for sockets while everybody connected.
    pub(crate) fn socket_memory_bytes(&self) -> u64 {
        growth(&self.read.borrow().socket_memory_bytes)
    }

    /// Why the server could not be asked.
    pub(crate) fn failed(&self) -> Option<String> {
        self.read.borrow().failed.clone()
    }
}

fn growth(readings: &[(Checkpoint, u64)]) -> u64 {
    let at = |edge| readings.iter().find(|(at, _)| *at == edge).map_or(0, |(_, bytes)| *bytes);
    at(Checkpoint::Settled).saturating_sub(at(Checkpoint::Begin))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use loadgen::{Phase, Target};

    use super::*;

    fn readings(meter: Option<Meter>) -> Readings {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let target = Target { http: nobody, tcp: nobody, token: None, protocol: scenario::Protocol::Pushbench };
        Readings::new(Some(Control::new(&target).unwrap()), meter, false)
    }

    async fn all_edges(readings: &Readings) {
        for edge in [Checkpoint::Begin, Checkpoint::Settled, Checkpoint::WindowStart, Checkpoint::WindowEnd] {
            readings.edge(edge).await;
        }
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_read_by_its_pid_or_not_at_all() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let by_pid = readings(Some(Meter::attach(child.id()).unwrap()));
        all_edges(&by_pid).await;
        let server = by_pid.server().unwrap();
        let window = by_pid.window().unwrap();
        assert!(!server.begin.metered && window.end.process.resident_bytes > 0, "{window:?}");
        let at = |second| Progress {
            phase: Phase::Window,
            joined: 1,
            delivered: 0,
            faults: 0,
            second,
            delivery_us_p99: None,
        };
        [None, Some(0), Some(0), Some(1), Some(2)].into_iter().for_each(|second| by_pid.look(at(second)));
        drop(child.stdin.take());
        child.wait().unwrap();
        by_pid.look(at(Some(3)));
        let read: Vec<_> = (0..4).map(|second| by_pid.second(second).is_some()).collect();
        assert_eq!(read, [true, true, false, false], "the end of each second, until the process ended");
        let without = readings(None);
        all_edges(&without).await;
        assert!(without.server().is_none() && without.failed().is_some());
    }
}
