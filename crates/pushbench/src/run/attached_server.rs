//! A server that was running already: whether clients can join it, rooms that no other job uses,
//! and whether it has crashed.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use loadgen::{JoinError, Node, RunConfig, Target, try_join};
use results::{Crash, FaultKind};
use scenario::Plan;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use wire::{RoomName, Transport};

use super::process_usage::ProcessUsageReader;
use crate::print;

/// Time for the first client to join, so that a job that cannot start fails within two seconds.
const JOIN_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The server counts as crashed when its port refuses connections for this long while no client is
/// connected.
const REFUSES_FOR: Duration = Duration::from_secs(2);
/// Time for a crashed server to be restarted by its supervisor.
const RESTART_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A running server, and its process where it is known.
#[derive(Debug, Clone)]
pub(crate) struct AttachedServer {
    pub(crate) target: Target,
    pub(crate) process: Option<ProcessUsageReader>,
}

/// A random prefix for the rooms of a job, as long as the prefix of plans: byte counts must not
/// depend on it.
pub(crate) fn random_room_prefix() -> RoomName {
    let bits = RandomState::new().hash_one(());
    let letter = |place: u32| char::from(LETTERS[(bits >> (16 * place)) as usize % LETTERS.len()]);
    (0..4).map(letter).collect::<String>().parse().expect("letters and digits are a room name")
}

impl AttachedServer {
    fn address(&self, transport: Transport) -> SocketAddr {
        let Node { http, tcp } = self.target.first();
        if transport.is_http() { http } else { tcp }
    }

    fn url(&self, plan: &Plan, transport: Transport) -> String {
        let address = self.address(transport);
        match transport {
            Transport::Tcp => format!("tcp://{address}"),
            _ if transport.is_socketio() => format!("http://{address}/socket.io/"),
            _ => format!("http://{address}/rooms/{}/{transport}", plan.room_name(0)),
        }
    }

    /// Joins one client over each transport of the plans. When only raw TCP fails, which is the
    /// baseline and was not asked for, it is left out of the plans.
    pub(crate) async fn check_joining(&self, plans: &mut [Plan]) -> anyhow::Result<()> {
        let Some(plan) = plans.first().cloned().map(Arc::new) else { return Ok(()) };
        let asked = plan.transports_asked();
        for transport in &asked {
            self.join_over(&plan, *transport).await?;
        }
        if !asked.contains(&Transport::Tcp)
            && let Err(error) = self.join_over(&plan, Transport::Tcp).await
        {
            print::warn(&format!("the baseline, raw TCP, is not measured: {error:#}"));
            plans.iter_mut().for_each(|plan| plan.transports.retain(|kept| *kept != Transport::Tcp));
        }
        Ok(())
    }

    async fn join_over(&self, plan: &Arc<Plan>, transport: Transport) -> anyhow::Result<()> {
        let order = RunConfig {
            plan: Arc::clone(plan),
            transport,
            target: self.target.clone(),
            cores: Vec::new(),
            never_sleeps: false,
        };
        try_join(&order, JOIN_TIMEOUT).await.map_err(|error| {
            let (url, advice) = (self.url(plan, transport), advice(&error, transport));
            anyhow!("no client can join over {transport} at {url}: {error}; {advice}")
        })
    }

    /// Returns when the server has crashed: its process has ended, or no client is connected and
    /// its port refuses connections.
    pub(super) async fn wait_for_crash(&self, transport: Transport, connected: &Cell<u32>) -> Crash {
        if let Some(process) = &self.process {
            process.ended().await;
            return process_ended(process);
        }
        while connected.get() == 0 {
            sleep(POLL_INTERVAL).await;
        }
        let address = self.address(transport);
        let mut since = Instant::now();
        while since.elapsed() < REFUSES_FOR {
            sleep(POLL_INTERVAL).await;
            if connected.get() > 0 || !refuses(address).await {
                since = Instant::now();
            }
        }
        port_refuses(address)
    }

    /// How it has crashed, if it has. Without a known process, the port is only tried when there
    /// were faults (`broke`).
    pub(super) async fn has_crashed(&self, transport: Transport, broke: bool) -> Option<Crash> {
        match &self.process {
            Some(process) => process.has_ended().then(|| process_ended(process)),
            None => {
                let address = self.address(transport);
                (broke && refuses(address).await).then(|| port_refuses(address))
            }
        }
    }

    /// Fails unless a server listens.
    pub(super) async fn accepts(&self, transport: Transport) -> anyhow::Result<()> {
        let address = self.address(transport);
        TcpStream::connect(address).await.map(drop).with_context(|| format!("no server is listening on {address}"))
    }

    /// Whether a supervisor restarted the crashed server. With `--pid` it does not matter: the new
    /// process has another id.
    pub(crate) async fn accepts_again(&self, transport: Transport) -> bool {
        if self.process.is_some() {
            return false;
        }
        let begun = Instant::now();
        while refuses(self.address(transport)).await {
            if begun.elapsed() > RESTART_TIMEOUT {
                return false;
            }
            sleep(POLL_INTERVAL).await;
        }
        true
    }
}

/// Advice for a client that could not join.
fn advice(error: &JoinError, transport: Transport) -> String {
    let target = if transport.is_http() { "--target" } else { "--target-tcp" };
    let without = "--set transports=… leaves a transport out";
    match error.kind {
        FaultKind::Refused => format!("start the server, or correct {target}"),
        FaultKind::BadStatus | FaultKind::Problem => format!("correct {target} or --token; {without}"),
        _ => format!("check that the server supports {transport}, or correct {target}; {without}"),
    }
}

async fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn process_ended(process: &ProcessUsageReader) -> Crash {
    let how = format!("process {} ended during the run; its exit status is not known", process.pid());
    Crash { how, last_output: Vec::new() }
}

fn port_refuses(address: SocketAddr) -> Crash {
    let how = format!("the server ended during the run: {address} refuses every connection");
    Crash { how, last_output: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_has_rooms_of_its_own_and_all_prefixes_have_one_length() {
        let drawn: std::collections::BTreeSet<_> = (0..20).map(|_| random_room_prefix()).collect();
        assert_eq!(drawn.len(), 20, "{drawn:?}");
        let text = "name = \"t\"\nquestion = \"?\"\nclients = 1\nrooms = 1\n[posts]\nper_client_per_s = 1.0\n";
        let plan = scenario::parse("t.toml", text, &[]).unwrap().plans.remove(0);
        assert!(drawn.iter().all(|prefix| prefix.as_str().len() == plan.room_prefix.as_str().len()), "{drawn:?}");
    }
}
