//! Where the server of a subject comes from.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use scenario::{ExternalServer, Plan};
use wire::Transport;

use super::attached_server::AttachedServer;
use super::external_server::start_in;
use super::server_process::{ServerCommand, ServerProcess};
use super::target_server::TargetServer;
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
        let started = match self {
            Self::BuiltIn(command) => {
                let launched = ServerProcess::launch(command, plan, transport, cores, precedence).await;
                launched.with_context(|| {
                    let words = command.words.join(" ");
                    format!(
                        "cannot measure {words:?} as a build of pushbench (another server needs {{port}} in its command line)"
                    )
                })?
            }
            Self::External { server, folder } => {
                start_in(server, folder, cores, precedence).await.with_context(|| format!("target {}", server.name))?
            }
            Self::Attached(attached) => {
                attached.accepts(transport).await?;
                return Ok(TargetServer::Attached(attached.clone()));
            }
        };
        Ok(TargetServer::Spawned(Box::new(started)))
    }

    /// Whether the server may bring a compiler or a garbage collector along, which need time to warm
    /// up.
    pub(crate) const fn is_foreign(&self) -> bool {
        matches!(self, Self::External { .. })
    }
}
