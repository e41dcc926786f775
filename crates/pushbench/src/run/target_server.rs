//! The server under test of one subject in one round, or the servers of one chat.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use loadgen::Target;
use nix::sys::signal::Signal;
use results::Crash;
use scenario::Outage;
use tokio::time::Instant;
use wire::Transport;

use super::attached_server::AttachedServer;
use super::control::Control;
use super::log_server::{LogReader, LogServer};
use super::outages::{Outages, Part, Step};
use super::process_usage::ProcessUsageReader;
use super::readings::ServerReader;
use super::server_process::ServerProcess;

/// The server under test.
pub(crate) enum TargetServer {
    /// Started for this round, built-in or external; stopped with it.
    Spawned(Box<StartedServers>),
    /// Was running already and keeps running.
    Attached(AttachedServer),
}

/// Servers that were started for a round, and the log that they share.
pub(crate) struct StartedServers {
    nodes: Vec<ServerProcess>,
    log: Option<LogServer>,
    outages: Outages,
}

impl TargetServer {
    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Spawned(servers) => servers.target(),
            Self::Attached(attached) => attached.target.clone(),
        }
    }

    /// What can be read of each server. An external server that was started for the run has no
    /// statistics of its own.
    pub(super) fn readers(&self) -> anyhow::Result<Vec<ServerReader>> {
        match self {
            Self::Spawned(servers) => servers.nodes.iter().map(reader).collect(),
            Self::Attached(attached) => {
                let reader = |node| {
                    let target = Target { nodes: vec![node], ..attached.target.clone() };
                    Ok(ServerReader { control: Some(Control::new(&target)?), process: attached.process.clone() })
                };
                attached.target.nodes.iter().copied().map(reader).collect()
            }
        }
    }

    /// Reads the shared log; `None` without one.
    pub(crate) fn log_reader(&self) -> anyhow::Result<Option<LogReader>> {
        match self {
            Self::Spawned(servers) => match &servers.log {
                Some(log) => Ok(Some(log.reader()?)),
                None => Ok(None),
            },
            Self::Attached(_) => Ok(None),
        }
    }

    /// All processes of the servers, where they are known.
    pub(super) fn pids(&self) -> Vec<u32> {
        match self {
            Self::Spawned(servers) => {
                let each = servers.nodes.iter().map(|node| node.process.as_ref().map(ProcessUsageReader::pids));
                each.collect::<Option<Vec<_>>>().unwrap_or_default().concat()
            }
            Self::Attached(attached) => attached.process.as_ref().map(ProcessUsageReader::pids).unwrap_or_default(),
        }
    }

    /// The window begins at this instant: outages happen from now on, while the server is watched.
    pub(super) fn begin_outages(&mut self, outages: &[Outage], window: Instant) {
        if let Self::Spawned(servers) = self {
            servers.outages.begin(outages, window);
        }
    }

    /// Ends the outages that are to end by now. One that was to end while nobody waited for a crash has
    /// not ended.
    pub(super) async fn end_outages(&mut self) {
        if let Self::Spawned(servers) = self {
            while let Some(step) = servers.outages.due() {
                servers.take(step).await;
            }
        }
    }

    /// Returns when the server has ended by itself; `connected` is the number of clients connected
    /// now.
    pub(crate) async fn wait_for_crash(&mut self, transport: Transport, connected: &Cell<u32>) -> Crash {
        match self {
            Self::Spawned(servers) => servers.wait_for_crash().await,
            Self::Attached(attached) => attached.wait_for_crash(transport, connected).await,
        }
    }

    /// Stops a spawned server and detaches from an attached one; returns how it crashed, if it did.
    /// `broke`: there were faults.
    pub(crate) async fn end(self, transport: Transport, broke: bool) -> Option<Crash> {
        match self {
            Self::Spawned(servers) => servers.stop().await,
            Self::Attached(attached) => {
                tokio::time::sleep(DISCONNECT_PAUSE).await;
                attached.has_crashed(transport, broke).await
            }
        }
    }
}

fn reader(server: &ServerProcess) -> anyhow::Result<ServerReader> {
    let control = server.reports_stats.then(|| Control::new(&server.target)).transpose()?;
    Ok(ServerReader { control, process: server.process.clone() })
}

impl StartedServers {
    pub(crate) fn new(nodes: Vec<ServerProcess>, log: Option<LogServer>) -> Self {
        Self { nodes, log, outages: Outages::default() }
    }

    fn target(&self) -> Target {
        let nodes = self.nodes.iter().flat_map(|node| node.target.nodes.clone()).collect();
        Target { nodes, ..self.nodes[0].target.clone() }
    }

    /// Lets the outages happen, and returns when a server has ended by itself.
    async fn wait_for_crash(&mut self) -> Crash {
        loop {
            let (nodes, outages) = (&mut self.nodes, &self.outages);
            let alive = nodes.iter_mut().enumerate().filter(|(at, _)| !outages.has_killed(*at));
            let waiting: Vec<_> = alive.map(|(_, node)| Box::pin(node.wait_for_crash())).collect();
            let crash = async {
                if waiting.is_empty() {
                    return std::future::pending().await;
                }
                select_all(waiting).await.0
            };
            tokio::select! {
                biased;
                crash = crash => return crash,
                step = outages.next() => self.take(step).await,
            }
        }
    }

    /// A step of an outage happens.
    async fn take(&mut self, step: Step) {
        match (step.part, &mut self.log) {
            (Part::Node(at), _) => self.nodes[at].signal(step.signal),
            (Part::Log, Some(log)) => log.signal(step.signal),
            (Part::LogAgain | Part::EmptyLog, Some(log)) => {
                if let Err(error) = log.start_again(step.part == Part::EmptyLog).await {
                    tracing::warn!("the shared log does not start again: {error:#}");
                }
            }
            (Part::Log | Part::LogAgain | Part::EmptyLog, None) => {}
        }
        self.outages.taken();
    }

    /// Stops the servers and then the log; returns how the first one crashed that did.
    async fn stop(mut self) -> Option<Crash> {
        let mut crash = None;
        for (at, node) in self.nodes.iter_mut().enumerate() {
            // A process that is stopped does not end.
            node.signal(Signal::SIGCONT);
            if !self.outages.has_killed(at) {
                crash = crash.or(node.crashes_within(Duration::ZERO).await);
            }
        }
        join_all(self.nodes.into_iter().map(ServerProcess::stop)).await;
        if let Some(log) = self.log {
            log.signal(Signal::SIGCONT);
            log.stop().await;
        }
        crash
    }
}

/// An attached server needs a moment to close thousands of connections; the CPU is not probed
/// before that.
const DISCONNECT_PAUSE: Duration = Duration::from_millis(500);
