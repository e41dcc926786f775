//! The server under test of one subject in one round.

use std::cell::Cell;
use std::time::Duration;

use loadgen::Target;
use results::Crash;
use wire::Transport;

use super::attached_server::AttachedServer;
use super::control::Control;
use super::process_usage::ProcessUsageReader;
use super::server_process::ServerProcess;

/// The server under test.
pub(crate) enum TargetServer {
    /// Started for this round, built-in or external; stopped with it.
    Spawned(Box<ServerProcess>),
    /// Was running already and keeps running.
    Attached(AttachedServer),
}

impl TargetServer {
    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Spawned(server) => server.target.clone(),
            Self::Attached(attached) => attached.target.clone(),
        }
    }

    /// Where to read the server's own statistics; `None` for an external server that was started
    /// for the run.
    pub(super) fn control(&self) -> anyhow::Result<Option<Control>> {
        match self {
            Self::Spawned(server) if !server.reports_stats => Ok(None),
            Self::Spawned(_) | Self::Attached(_) => Control::new(&self.target()).map(Some),
        }
    }

    pub(super) fn process(&self) -> Option<ProcessUsageReader> {
        match self {
            Self::Spawned(server) => server.process.clone(),
            Self::Attached(attached) => attached.process.clone(),
        }
    }

    /// All its processes, where they are known.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.process().map(|process| process.pids()).unwrap_or_default()
    }

    /// Returns when the server has ended by itself; `connected` is the number of clients connected
    /// now.
    pub(super) async fn wait_for_crash(&mut self, transport: Transport, connected: &Cell<u32>) -> Crash {
        match self {
            Self::Spawned(server) => server.wait_for_crash().await,
            Self::Attached(attached) => attached.wait_for_crash(transport, connected).await,
        }
    }

    /// Stops a spawned server and detaches from an attached one; returns how it crashed, if it did.
    /// `broke`: there were faults.
    pub(super) async fn end(self, transport: Transport, broke: bool) -> Option<Crash> {
        match self {
            Self::Spawned(mut server) => {
                let crash = server.crashes_within(Duration::ZERO).await;
                server.stop().await;
                crash
            }
            Self::Attached(attached) => {
                tokio::time::sleep(DISCONNECT_PAUSE).await;
                attached.has_crashed(transport, broke).await
            }
        }
    }
}

/// An attached server needs a moment to close thousands of connections; the CPU is not probed
/// before that.
const DISCONNECT_PAUSE: Duration = Duration::from_millis(500);
