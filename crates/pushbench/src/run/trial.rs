//! Two clients that exchange messages with a target, before it is measured.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use loadgen::{Attempt, RunConfig, try_messages};
use scenario::{ExternalServer, Job, Plan};
use wire::Transport;

use super::external_server::{folder, start_in};
use crate::precedence::Precedence;

/// Longest time of a step.
const STEP_MAX: Duration = Duration::from_secs(5);

/// Tries every target with a protocol of its own: a job that would deliver nothing is not begun.
pub(super) async fn try_targets(job: &Job) -> anyhow::Result<()> {
    let Some(plan) = job.plans.first() else { return Ok(()) };
    for server in plan.external_servers.iter().filter(|server| server.protocol.is_some()) {
        for transport in &server.transports {
            let (plan, folder) = (Arc::new(plan.clone()), folder(server, &job.file));
            let tried = try_target(&plan, server, &folder, *transport, &mut |_| ()).await;
            tried.with_context(|| {
                let (name, file) = (&server.name, &job.file);
                format!("{transport} @ {name} does not work (`pushbench try {file} {name}` shows each step)")
            })?;
        }
    }
    Ok(())
}

/// Starts a server and exchanges messages with it.
pub(crate) async fn try_target(
    plan: &Arc<Plan>,
    server: &ExternalServer,
    folder: &Path,
    transport: Transport,
    tell: &mut dyn FnMut(Attempt),
) -> anyhow::Result<()> {
    let mut process = start_in(server, folder, &[], Precedence::Equal).await?;
    let target = process.target.clone();
    let config = RunConfig { plan: Arc::clone(plan), transport, target, cores: Vec::new(), never_sleeps: false };
    let tried = try_messages(&config, STEP_MAX, tell).await;
    let crash = process.crashes_within(Duration::ZERO).await;
    process.stop().await;
    match (tried, crash) {
        (Ok(()), _) => Ok(()),
        (Err(error), None) => Err(error.into()),
        (Err(error), Some(crash)) => Err(anyhow::Error::from(error).context(format!("the server ended: {crash}"))),
    }
}
