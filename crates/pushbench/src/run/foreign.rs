//! A server that somebody else started: what the first client finds there, rooms that no other job uses, and whether it is still there.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use loadgen::{JoinError, RunConfig, Target, try_join};
use results::{Crash, FaultKind};
use scenario::Plan;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use wire::{RoomName, Transport};

use super::meter::Meter;
use crate::print;

/// A client that has not joined by then will not: with what comes before, a job that cannot begin has said so within two seconds.
const JOIN_WITHIN: Duration = Duration::from_millis(1_500);
/// A port that refuses for so long while no client is connected has lost its server.
const REFUSES_FOR: Duration = Duration::from_secs(2);
/// A server that is being started again is back by then.
const BACK_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Where it is, and its process where that is known.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    pub(crate) target: Target,
    pub(crate) meter: Option<Meter>,
}

/// A prefix for the rooms of a job: drawn anew by each, and always as long as the one that plans have.
pub(crate) fn room_prefix() -> RoomName {
    let bits = RandomState::new().hash_one(());
    let letter = |place: u32| char::from(LETTERS[(bits >> (16 * place)) as usize % LETTERS.len()]);
    (0..4).map(letter).collect::<String>().parse().expect("letters and digits are a room name")
}

impl Foreign {
    fn address(&self, transport: Transport) -> SocketAddr {
        if transport.is_http() { self.target.http } else { self.target.tcp }
    }

    fn url(&self, plan: &Plan, transport: Transport) -> String {
        let address = self.address(transport);
        match transport {
            Transport::Tcp => format!("tcp://{address}"),
            _ if transport.is_socketio() => format!("http://{address}/socket.io/"),
            _ => format!("http://{address}/rooms/{}/{transport}", plan.room_name(0)),
        }
    }

    /// Joins one client over each transport of a plan. Where only the floor, which nobody asked for, is not there, plans go without it.
    pub(crate) async fn check_joining(&self, plans: &mut [Plan]) -> anyhow::Result<()> {
        let Some(plan) = plans.first().cloned().map(Arc::new) else { return Ok(()) };
        let asked = plan.transports_asked();
        for transport in &asked {
            self.join_over(&plan, *transport).await?;
        }
        if !asked.contains(&Transport::Tcp)
            && let Err(error) = self.join_over(&plan, Transport::Tcp).await
        {
            print::note(&format!("runs have no floor: {error:#}"));
            plans.iter_mut().for_each(|plan| plan.transports.retain(|kept| *kept != Transport::Tcp));
        }
        Ok(())
    }

    async fn join_over(&self, plan: &Arc<Plan>, transport: Transport) -> anyhow::Result<()> {
        let order = RunConfig { plan: Arc::clone(plan), transport, target: self.target.clone(), cores: Vec::new() };
        try_join(&order, JOIN_WITHIN).await.map_err(|error| {
            let (url, advice) = (self.url(plan, transport), advice(&error, transport));
            anyhow!("no client can join over {transport} at {url}: {error}; {advice}")
        })
    }

    /// Comes back when it has ended: its process is gone, or nobody is connected any more and its port refuses.
    pub(super) async fn crashed(&self, transport: Transport, connected: &Cell<u32>) -> Crash {
        if let Some(meter) = &self.meter {
            meter.ended().await;
            return process_ended(meter);
        }
        while connected.get() == 0 {
            sleep(LOOK_EVERY).await;
        }
        let address = self.address(transport);
        let mut since = Instant::now();
        while since.elapsed() < REFUSES_FOR {
            sleep(LOOK_EVERY).await;
            if connected.get() > 0 || !refuses(address).await {
                since = Instant::now();
            }
        }
        port_refuses(address)
    }

    /// Whether it has ended by now. Where its process is not known, its port is only asked when something `broke`.
    pub(super) async fn has_crashed(&self, transport: Transport, broke: bool) -> Option<Crash> {
        match &self.meter {
            Some(meter) => meter.has_ended().then(|| process_ended(meter)),
            None => {
                let address = self.address(transport);
                (broke && refuses(address).await).then(|| port_refuses(address))
            }
        }
    }

    /// Whether it accepts again after it has ended, because something starts it again. Its pid would be another one.
    pub(crate) async fn is_restarted(&self, transport: Transport) -> bool {
        if self.meter.is_some() {
            return false;
        }
        let begun = Instant::now();
        while refuses(self.address(transport)).await {
            if begun.elapsed() > BACK_WITHIN {
                return false;
            }
            sleep(LOOK_EVERY).await;
        }
        true
    }
}

/// What to do about a client that could not join.
fn advice(error: &JoinError, transport: Transport) -> String {
    let target = if transport.is_http() { "--target" } else { "--target-tcp" };
    let without = "--set transports=… leaves a transport out";
    match error.kind {
        FaultKind::Refused => format!("start the server, or correct {target}"),
        FaultKind::BadStatus | FaultKind::Problem => format!("correct {target} or --token; {without}"),
        _ => format!("check that a server there speaks {transport}, or correct {target}; {without}"),
    }
}

async fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn process_ended(meter: &Meter) -> Crash {
    let how = format!("process {} ended during the run; its exit status is not known", meter.pid());
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
        let drawn: std::collections::BTreeSet<_> = (0..20).map(|_| room_prefix()).collect();
        assert_eq!(drawn.len(), 20, "{drawn:?}");
        let text = "name = \"t\"\nquestion = \"?\"\nclients = 1\nrooms = 1\n[posts]\nper_client_per_s = 1.0\n";
        let plan = scenario::parse("t.toml", text, &[]).unwrap().plans.remove(0);
        assert!(drawn.iter().all(|prefix| prefix.as_str().len() == plan.room_prefix.as_str().len()), "{drawn:?}");
    }
}
