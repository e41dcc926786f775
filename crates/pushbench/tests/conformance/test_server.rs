//! A server on free ports for one test, and waiting with a deadline.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use server::{Access, Config, Log, RunningServer, ServerLimits, Slowdown};
use wire::{ServerAddresses, ServerStats, Transport, TransportUsage};

/// Deadline of every wait in a test. It is generous, because it is never a measurement.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// Interval between two checks of a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Waits for a future. Panics with `what` after the deadline.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(TIMEOUT, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {} s for {what}", TIMEOUT.as_secs()),
    }
}

/// Addresses of one server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
}

/// A server, or several that share a log: then each client has another one, and those that post on
/// connections of their own post to the next.
pub(crate) struct TestServer {
    /// Addresses of the first.
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) token: Option<String>,
    pub(crate) hold_max: Duration,
    nodes: Vec<Node>,
    joined: AtomicUsize,
    running: Vec<RunningServer>,
    web: reqwest::Client,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with_limits(|_| {}).await
    }

    pub(crate) async fn with_limits(limits: impl FnOnce(&mut ServerLimits)) -> Self {
        Self::with_access(Access::default(), limits).await
    }

    pub(crate) async fn with_access(access: Access, set: impl FnOnce(&mut ServerLimits)) -> Self {
        let mut limits = ServerLimits::default();
        set(&mut limits);
        Self::start_with(access, limits, None, log(), nodes()).await
    }

    /// One server, for limits that each of several has.
    pub(crate) async fn alone(set: impl FnOnce(&mut ServerLimits)) -> Self {
        let mut limits = ServerLimits::default();
        set(&mut limits);
        Self::start_with(Access::default(), limits, None, log(), 1).await
    }

    /// A server with a shared log.
    pub(crate) async fn with_log(log: Log) -> Self {
        Self::start_with(Access::default(), ServerLimits::default(), None, log, 1).await
    }

    /// A server with a deliberate slowdown.
    pub(crate) async fn with_slowdown(costs: &str) -> Self {
        Self::start_with(Access::default(), ServerLimits::default(), Some(costs.parse().unwrap()), Log::Memory, 1).await
    }

    async fn start_with(
        access: Access,
        limits: ServerLimits,
        slowdown: Option<Slowdown>,
        log: Log,
        nodes: usize,
    ) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (token, hold_max) = (access.token.clone(), limits.hold_max);
        let config = Config { listen: any, tcp_listen: any, page_ports: 0, limits, access, log, slowdown };
        let mut running = Vec::new();
        for _ in 0..nodes {
            running.push(server::start(config.clone()).await.unwrap());
        }
        let nodes = running.iter().map(|server| Node { http: server.http, tcp: server.tcp }).collect();
        Self::of(nodes, token, hold_max, running)
    }

    /// A server in another process.
    pub(crate) fn at(listening: &ServerAddresses) -> Self {
        let node = Node { http: listening.http, tcp: listening.tcp };
        Self::of(vec![node], None, ServerLimits::default().hold_max, Vec::new())
    }

    fn of(nodes: Vec<Node>, token: Option<String>, hold_max: Duration, running: Vec<RunningServer>) -> Self {
        let Node { http, tcp } = nodes[0];
        Self { http, tcp, token, hold_max, nodes, joined: AtomicUsize::new(0), running, web: web() }
    }

    /// Where the next client reads, and where it posts if that is another connection.
    pub(crate) fn next_nodes(&self) -> [Node; 2] {
        let at = self.joined.fetch_add(1, Relaxed);
        [at, at + 1].map(|at| self.nodes[at % self.nodes.len()])
    }

    /// URL of a room, for a transport with a room URL.
    pub(crate) fn url(&self, room: &str, transport: Transport) -> String {
        format!("http://{}/rooms/{room}/{transport}", self.http)
    }

    pub(crate) async fn stats(&self) -> ServerStats {
        self.try_stats().await.expect("statistics of a server that is not full")
    }

    /// The statistics, or `None` while the server is full.
    async fn try_stats(&self) -> Option<ServerStats> {
        let mut all = self.stats_of_node(self.nodes[0]).await?;
        for node in &self.nodes[1..] {
            let other = self.stats_of_node(*node).await?;
            let (one, two) = (all.hub, other.hub);
            all.add(&other);
            // The connection of the request.
            all.connections_open -= 1;
            // Each has a copy of the rooms that were read there.
            all.hub.rooms = one.rooms.max(two.rooms);
            all.hub.log_messages = one.log_messages.max(two.log_messages);
            all.hub.log_bytes = one.log_bytes.max(two.log_bytes);
        }
        Some(all)
    }

    async fn stats_of_node(&self, node: Node) -> Option<ServerStats> {
        let mut request = self.web.get(format!("http://{}/stats", node.http)).header("connection", "close");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = within("an answer from /stats", request.send()).await.unwrap();
        if answer.status() == 503 {
            return None;
        }
        assert_eq!(answer.status(), 200);
        Some(within("the usage as JSON", answer.json()).await.unwrap())
    }

    pub(crate) async fn stats_of(&self, transport: Transport) -> TransportUsage {
        self.stats().await.of(transport)
    }

    /// Waits until the statistics fulfil a condition, and returns them.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&ServerStats) -> bool) -> ServerStats {
        let start = Instant::now();
        loop {
            let usage = self.try_stats().await;
            if let Some(usage) = usage.as_ref().filter(|usage| holds(usage)) {
                return usage.clone();
            }
            assert!(
                start.elapsed() < TIMEOUT,
                "waited {} s for {what}; the last reading: {usage:#?}",
                TIMEOUT.as_secs()
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits for this number of readers.
    pub(crate) async fn until_readers(&self, readers: u64) -> ServerStats {
        self.until(&format!("{readers} readers"), |usage| usage.hub.readers == readers).await
    }

    /// Waits until no reader and no connection is left but the one of the request.
    pub(crate) async fn until_empty(&self) -> ServerStats {
        self.until("the last client to be disconnected", |usage| usage.hub.readers == 0 && usage.connections_open == 1)
            .await
    }

    pub(crate) async fn shutdown(self) {
        assert!(!self.running.is_empty(), "a server of this process");
        let shutdowns = self.running.into_iter().map(RunningServer::shutdown);
        within("the server to shut down", futures_util::future::join_all(shutdowns)).await;
    }
}

/// Whether the servers of the tests share logs, so that messages are in a room a little later than
/// they are acknowledged.
pub(crate) fn has_shared_log() -> bool {
    std::env::var_os("PUSHBENCH_TEST_LOG").is_some()
}

/// The log in `PUSHBENCH_TEST_LOG`, with a chat for each server; without it in memory.
fn log() -> Log {
    static SERVERS: AtomicU32 = AtomicU32::new(0);
    let chat = || format!("{}-{}", std::process::id(), SERVERS.fetch_add(1, Relaxed));
    std::env::var("PUSHBENCH_TEST_LOG").map_or(Log::Memory, |url| Log::Redis { url, chat: chat() })
}

/// Servers that `PUSHBENCH_TEST_NODES` asks for in place of one.
fn nodes() -> usize {
    std::env::var("PUSHBENCH_TEST_NODES").map_or(1, |nodes| nodes.parse().unwrap())
}

/// Opens a new connection for each request: it is the only one of the test itself and is closed
/// before the next.
fn web() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

/// The statistics of one transport.
pub(crate) trait StatsByTransport {
    fn of(&self, transport: Transport) -> TransportUsage;
    fn of_other(&self) -> TransportUsage;
}

impl StatsByTransport for ServerStats {
    fn of(&self, transport: Transport) -> TransportUsage {
        self.transports[transport.name()]
    }

    fn of_other(&self) -> TransportUsage {
        self.transports["other"]
    }
}
