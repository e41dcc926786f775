//! A server on free ports for one test, and waiting with a deadline.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
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

pub(crate) struct TestServer {
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) token: Option<String>,
    pub(crate) hold_max: Duration,
    running: Option<RunningServer>,
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
        Self::start_with(access, limits, None, log()).await
    }

    /// A server with a shared log.
    pub(crate) async fn with_log(log: Log) -> Self {
        Self::start_with(Access::default(), ServerLimits::default(), None, log).await
    }

    /// A server with a deliberate slowdown.
    pub(crate) async fn with_slowdown(costs: &str) -> Self {
        Self::start_with(Access::default(), ServerLimits::default(), Some(costs.parse().unwrap()), Log::Memory).await
    }

    async fn start_with(access: Access, limits: ServerLimits, slowdown: Option<Slowdown>, log: Log) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (token, hold_max) = (access.token.clone(), limits.hold_max);
        let config = Config { listen: any, tcp_listen: any, page_ports: 0, limits, access, log, slowdown };
        let running = server::start(config).await.unwrap();
        Self { http: running.http, tcp: running.tcp, token, hold_max, running: Some(running), web: web() }
    }

    /// A server in another process.
    pub(crate) fn at(listening: &ServerAddresses) -> Self {
        Self {
            http: listening.http,
            tcp: listening.tcp,
            token: None,
            hold_max: ServerLimits::default().hold_max,
            running: None,
            web: web(),
        }
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
        let mut request = self.web.get(format!("http://{}/stats", self.http)).header("connection", "close");
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
        let running = self.running.expect("a server of this process");
        within("the server to shut down", running.shutdown()).await;
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
