//! A server of a test's own on free ports, and the patience tests have with it.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use server::{Access, Config, Handicap, Limits, Running};
use wire::{ServerAddresses, ServerStats, Transport, TransportUsage};

/// How long anything may take before a test gives up. Generous: it is never a measurement.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How often a condition is looked at while it does not hold yet.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits for something, and says what it was when it does not come.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {} s for {what}", PATIENCE.as_secs()),
    }
}

pub(crate) struct House {
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) token: Option<String>,
    pub(crate) hold_max: Duration,
    running: Option<Running>,
    web: reqwest::Client,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(limits: impl FnOnce(&mut Limits)) -> Self {
        Self::guarded(Access::default(), limits).await
    }

    pub(crate) async fn guarded(access: Access, set: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        set(&mut limits);
        Self::start(access, limits, None).await
    }

    /// A server that is worse on purpose.
    pub(crate) async fn handicapped(costs: &str) -> Self {
        Self::start(Access::default(), Limits::default(), Some(costs.parse().unwrap())).await
    }

    async fn start(access: Access, limits: Limits, handicap: Option<Handicap>) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (token, hold_max) = (access.token.clone(), limits.hold_max);
        let running = server::start(Config { listen: any, tcp_listen: any, limits, access, handicap }).await.unwrap();
        Self { http: running.http, tcp: running.tcp, token, hold_max, running: Some(running), web: web() }
    }

    /// A server that runs in a process of its own.
    pub(crate) fn elsewhere(listening: &ServerAddresses) -> Self {
        Self {
            http: listening.http,
            tcp: listening.tcp,
            token: None,
            hold_max: Limits::default().hold_max,
            running: None,
            web: web(),
        }
    }

    /// Where a room is, for a transport on the HTTP port.
    pub(crate) fn url(&self, room: &str, transport: Transport) -> String {
        format!("http://{}/rooms/{room}/{transport}", self.http)
    }

    pub(crate) async fn usage(&self) -> ServerStats {
        self.try_usage().await.expect("a reading from a server that is not full")
    }

    /// A reading, or `None` while the server has no place for whoever asks.
    async fn try_usage(&self) -> Option<ServerStats> {
        let mut request = self.web.get(format!("http://{}/control/usage", self.http)).header("connection", "close");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = within("an answer from /control/usage", request.send()).await.unwrap();
        if answer.status() == 503 {
            return None;
        }
        assert_eq!(answer.status(), 200);
        Some(within("the usage as JSON", answer.json()).await.unwrap())
    }

    pub(crate) async fn usage_of(&self, transport: Transport) -> TransportUsage {
        self.usage().await.of(transport)
    }

    /// Waits until a reading shows what is asked for, and returns that reading.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&ServerStats) -> bool) -> ServerStats {
        let start = Instant::now();
        loop {
            let usage = self.try_usage().await;
            if let Some(usage) = usage.as_ref().filter(|usage| holds(usage)) {
                return usage.clone();
            }
            assert!(
                start.elapsed() < PATIENCE,
                "waited {} s for {what}; the last reading: {usage:#?}",
                PATIENCE.as_secs()
            );
            tokio::time::sleep(LOOK_EVERY).await;
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
        within("the server to shut down", running.shutdown()).await;
    }
}

/// Opens a connection a reading: it is then the only one of ours, and is gone by the next.
fn web() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

/// Looks up what a reading says of one transport.
pub(crate) trait Reading {
    fn of(&self, transport: Transport) -> TransportUsage;
    fn of_nobody(&self) -> TransportUsage;
}

impl Reading for ServerStats {
    fn of(&self, transport: Transport) -> TransportUsage {
        self.transports[transport.name()]
    }

    fn of_nobody(&self) -> TransportUsage {
        self.transports["other"]
    }
}
