//! A server of a test's own on free ports, and the patience tests have with it.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use server::{Access, Config, RunningServer, ServerLimits, Slowdown};
use wire::{ServerAddresses, ServerStats, Transport, TransportUsage};

/// How long anything may take before a test gives up. Generous: it is never a measurement.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// How often a condition is looked at while it does not hold yet.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Waits for something, and says what it was when it does not come.
pub(crate) async fn with_limits<T>(what: &str, future: impl Future<Output = T>) -> T {
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
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(limits: impl FnOnce(&mut ServerLimits)) -> Self {
        Self::with_access(Access::default(), limits).await
    }

    pub(crate) async fn with_access(access: Access, set: impl FnOnce(&mut ServerLimits)) -> Self {
        let mut limits = ServerLimits::default();
        set(&mut limits);
        Self::start_with(access, limits, None).await
    }

    /// A server that is worse on purpose.
    pub(crate) async fn with_slowdown(costs: &str) -> Self {
        Self::start_with(Access::default(), ServerLimits::default(), Some(costs.parse().unwrap())).await
    }

    async fn start_with(access: Access, limits: ServerLimits, slowdown: Option<Slowdown>) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (token, hold_max) = (access.token.clone(), limits.hold_max);
        let running =
            server::start(Config { listen: any, tcp_listen: any, limits, access, slowdown: slowdown }).await.unwrap();
        Self { http: running.http, tcp: running.tcp, token, hold_max, running: Some(running), web: web() }
    }

    /// A server that runs in a process of its own.
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

    /// Where a room is, for a transport on the HTTP port.
    pub(crate) fn url(&self, room: &str, transport: Transport) -> String {
        format!("http://{}/rooms/{room}/{transport}", self.http)
    }

    pub(crate) async fn stats(&self) -> ServerStats {
        self.try_stats().await.expect("a reading from a server that is not full")
    }

    /// A reading, or `None` while the server has no place for whoever asks.
    async fn try_stats(&self) -> Option<ServerStats> {
        let mut request = self.web.get(format!("http://{}/stats", self.http)).header("connection", "close");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = with_limits("an answer from /stats", request.send()).await.unwrap();
        if answer.status() == 503 {
            return None;
        }
        assert_eq!(answer.status(), 200);
        Some(with_limits("the usage as JSON", answer.json()).await.unwrap())
    }

    pub(crate) async fn stats_of(&self, transport: Transport) -> TransportUsage {
        self.stats().await.of(transport)
    }

    /// Waits until a reading shows what is asked for, and returns that reading.
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

    /// Waits until so many readers hold a cursor.
    pub(crate) async fn until_readers(&self, readers: u64) -> ServerStats {
        self.until(&format!("{readers} readers"), |usage| usage.hub.readers == readers).await
    }

    /// Waits until nothing of any client is left: no reader, and no connection but the one that asks.
    pub(crate) async fn until_empty(&self) -> ServerStats {
        self.until("the last client to be gone", |usage| usage.hub.readers == 0 && usage.connections_open == 1).await
    }

    pub(crate) async fn shutdown(self) {
        let running = self.running.expect("a server of this process");
        with_limits("the server to shut down", running.shutdown()).await;
    }
}

/// Opens a connection a reading: it is then the only one of ours, and is gone by the next.
fn web() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

/// Looks up what a reading says of one transport.
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
