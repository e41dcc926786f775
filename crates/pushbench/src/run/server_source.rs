//! Where the server of a subject comes from.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use futures_util::future::try_join_all;
use scenario::{ExternalServer, Log, Plan};
use wire::Transport;

use super::attached_server::AttachedServer;
use super::external_server::start_in;
use super::log_server::LogServer;
use super::server_process::{ServerCommand, ServerProcess};
use super::target_server::{StartedServers, TargetServer};
use crate::precedence::Precedence;

/// A server that can be started for every round, or that is running already.
#[derive(Debug, Clone)]
pub(crate) enum ServerSource {
    /// A build of pushbench: it gets its limits from the plan and prints the ports it chose.
    BuiltIn(ServerCommand),
    /// Any other server: `{port}` and `{tcp_port}` in its command line become free ports.
    External { server: Arc<ExternalServer>, folder: PathBuf },
    /// A server that is running and keeps running.
    Attached(AttachedServer),
}

impl ServerSource {
    /// Starts the server, or checks that it is listening.
    pub(crate) async fn start(
        &self,
        plan: &Plan,
        transport: Transport,
        cores: &[usize],
        precedence: Precedence,
    ) -> anyhow::Result<TargetServer> {
        let mut log = None;
        let nodes = match self {
            Self::BuiltIn(command) => {
                if plan.log == Log::Redis {
                    log = Some(LogServer::start(cores, precedence).await?);
                }
                let url = log.as_ref().map(LogServer::url);
                let launch = || ServerProcess::launch(command, plan, transport, (cores, precedence), url.as_deref());
                let nodes = try_join_all((0..plan.nodes).map(|_| launch())).await;
                nodes.with_context(|| {
                    let words = command.words.join(" ");
                    format!(
                        "cannot measure {words:?} as a build of pushbench (another server needs {{port}} in its command line)"
                    )
                })?
            }
            Self::External { server, folder } => {
                let started = start_in(server, folder, cores, precedence).await;
                vec![started.with_context(|| format!("target {}", server.name))?]
            }
            Self::Attached(attached) => {
                attached.accepts(transport).await?;
                return Ok(TargetServer::Attached(attached.clone()));
            }
        };
        Ok(TargetServer::Spawned(Box::new(StartedServers::new(nodes, log))))
    }

    /// Whether the server may bring a compiler or a garbage collector along, which need time to warm
    /// up.
    pub(crate) const fn is_foreign(&self) -> bool {
        matches!(self, Self::External { .. })
    }
}
