//! Workers and sessions for tests.

use std::net::SocketAddr;
use std::sync::Arc;

use scenario::{Plan, TargetProtocol};
use tokio::net::TcpListener;
use wire::Transport;

use crate::config::{Node, RunConfig, Target};
use crate::run_context::{WorkerConfig, WorkerIndex};
use crate::session::Session;
use crate::worker::Worker;

pub(crate) fn plan(clients: u32, rooms: u32, more: &str) -> Plan {
    let text = format!(
        "name = \"t\"\nquestion = \"?\"\nclients = {clients}\nrooms = {rooms}\ntransports = [\"tcp\"]\n[posts]\n\
         per_client_per_s = 5.0\n{more}"
    );
    scenario::parse("t.toml", &text, &[]).unwrap().plans.remove(0)
}

/// A worker with all clients of a plan. Nothing listens at its target.
pub(crate) fn worker(clients: u32, rooms: u32, more: &str) -> Worker {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    worker_of(&Arc::new(plan(clients, rooms, more)), closed, Transport::Tcp)
}

/// A worker with all clients of a plan, over a transport to a target.
pub(crate) fn worker_of(plan: &Arc<Plan>, to: SocketAddr, transport: Transport) -> Worker {
    worker_with(plan, to, transport, None)
}

/// A worker with one client, over a transport to a listener.
pub(crate) fn worker_to(listener: &TcpListener, transport: Transport) -> Worker {
    worker_of(&Arc::new(plan(1, 1, "")), listener.local_addr().unwrap(), transport)
}

/// The session of the first client of [`worker`].
pub(crate) fn session(clients: u32, rooms: u32, more: &str) -> Session {
    worker(clients, rooms, more).session(0)
}

/// A listener on a free port.
pub(crate) fn listener() -> TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    TcpListener::from_std(listener).unwrap()
}

/// The same for a target with a protocol of its own.
pub(crate) fn worker_with(
    plan: &Arc<Plan>,
    to: SocketAddr,
    transport: Transport,
    protocol: Option<TargetProtocol>,
) -> Worker {
    let target = Target { protocol: protocol.map(Box::new), ..target(to) };
    let config = RunConfig { plan: Arc::clone(plan), transport, target, cores: Vec::new(), never_sleeps: false };
    Worker::new(WorkerConfig::alone(&config, WorkerIndex::ONLY))
}

/// A target with our protocol at this address.
pub(crate) fn target(to: SocketAddr) -> Target {
    Target::of(Node { http: to, tcp: to })
}

/// Waits until a condition holds, without sleeping.
pub(crate) async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

/// Posts twice, the second time while the connection for the first post is being opened. Returns
/// how many posts were delayed by that.
pub(crate) async fn delayed_by_opening(session: &Session) -> u64 {
    let (run, client) = (&session.run, &session.client);
    let traffic = || run.counters.borrow().traffic;
    client.post(run, 1);
    until(|| traffic().posted > 0).await;
    assert_eq!(traffic().connections, 0, "the connection is being opened");
    client.post(run, 2);
    until(|| traffic().requests > 0).await;
    let waiting = client.queue.borrow().iter().filter(|post| post.delayed).count() as u64;
    traffic().posts_delayed + waiting
}
