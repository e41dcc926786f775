//! The Redis between a job and its agents: keys, connections, and the clock that all can ask.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use serde::{Deserialize, Serialize};

/// An agent that was silent for this long is lost.
pub(super) const SILENT_MAX: Duration = Duration::from_secs(3);
/// How often it shows that it lives.
pub(super) const ALIVE_EVERY: Duration = Duration::from_millis(500);
/// An agent whose job was silent for this long ends its load.
pub(super) const CLAIM_MAX: Duration = Duration::from_secs(10);
/// How often a job renews its claim.
pub(super) const CLAIM_EVERY: Duration = Duration::from_secs(1);
/// Longest wait of one question for a line.
const WAIT: Duration = Duration::from_millis(300);
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Readings of the clock; the quickest counts.
const CLOCK_READS: usize = 16;
/// A begun conversation is forgotten after a day, whatever happens.
const LINES_KEPT_S: i64 = 86_400;
/// Begin of a line that says how a load generator has ended.
pub(super) const ENDED: &str = "!";

/// What an agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Registration {
    pub(super) id: String,
    /// Version and commit.
    pub(super) build: String,
    /// Its number, if it was given one.
    pub(super) index: Option<u32>,
}

/// A Redis server.
#[derive(Clone)]
pub(super) struct Exchange {
    client: Client,
}

/// A list of lines: whoever reads one has it.
#[derive(Debug, Clone)]
pub(super) struct Lines(String);

impl Exchange {
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        let client = Client::open(url).map_err(|error| {
            anyhow!("--redis is not an address of Redis ({error}); write redis://HOST:PORT or unix:///PATH")
        })?;
        Ok(Self { client })
    }

    /// The address, without the password.
    pub(super) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    pub(super) async fn connect(&self) -> anyhow::Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_MAX))
            .set_response_timeout(Some(ANSWER_MAX + WAIT));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await;
        // The error contains its cause.
        connection.map_err(|error| {
            let address = self.address();
            anyhow!("Redis at {address} does not answer ({error}); start one there, or check host, port and password")
        })
    }

    /// Time of Redis minus time of this machine, in microseconds, and how far off that may be.
    pub(super) async fn clock(&self) -> anyhow::Result<(i64, Duration)> {
        let mut connection = self.connect().await?;
        let mut best: Option<(i64, Duration)> = None;
        for _ in 0..CLOCK_READS {
            let (begun, before) = (Instant::now(), now_us());
            let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut connection).await?;
            let half = begun.elapsed() / 2;
            let offset = seconds * 1_000_000 + micros - before - half.as_micros() as i64;
            if best.is_none_or(|(_, least)| half < least) {
                best = Some((offset, half));
            }
        }
        best.context("the clock was not read")
    }

    /// All agents that live.
    pub(super) async fn agents(&self, connection: &mut MultiplexedConnection) -> anyhow::Result<Vec<Registration>> {
        let (mut cursor, mut keys) = (0_u64, Vec::new());
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(alive("*")).arg("COUNT").arg(1_000);
            let (next, found): (u64, Vec<String>) = scan.query_async(connection).await?;
            keys.extend(found);
            if next == 0 {
                break;
            }
            cursor = next;
        }
        keys.sort();
        keys.dedup();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let said: Vec<Option<String>> = redis::cmd("MGET").arg(keys).query_async(connection).await?;
        Ok(said.into_iter().flatten().filter_map(|text| serde_json::from_str(&text).ok()).collect())
    }
}

impl Lines {
    /// From a job to one of its agents.
    pub(super) fn to_agent(job: &str, agent: &str) -> Self {
        Self(format!("pushbench:{job}:to:{agent}"))
    }

    /// From an agent to its job.
    pub(super) fn from_agent(job: &str, agent: &str) -> Self {
        Self(format!("pushbench:{job}:from:{agent}"))
    }

    pub(super) async fn say(&self, connection: &mut MultiplexedConnection, line: &str) -> anyhow::Result<()> {
        let mut both = redis::pipe();
        both.cmd("RPUSH").arg(&self.0).arg(line).ignore().cmd("EXPIRE").arg(&self.0).arg(LINES_KEPT_S).ignore();
        Ok(both.query_async(connection).await?)
    }

    /// The next line, if there is one soon. A line is lost if this is not awaited to its
    /// end.
    pub(super) async fn next(&self, connection: &mut MultiplexedConnection) -> anyhow::Result<Option<String>> {
        let mut question = redis::cmd("BLPOP");
        question.arg(&self.0).arg(WAIT.as_secs_f64());
        let line: Option<(String, String)> = question.query_async(connection).await?;
        Ok(line.map(|(_, line)| line))
    }

    pub(super) async fn remove(&self, connection: &mut MultiplexedConnection) -> anyhow::Result<()> {
        Ok(redis::cmd("DEL").arg(&self.0).query_async(connection).await?)
    }
}

/// The key that an agent renews while it lives.
pub(super) fn alive(agent: &str) -> String {
    format!("pushbench:alive:{agent}")
}

/// The key with the job that an agent works for.
pub(super) fn claim(agent: &str) -> String {
    format!("pushbench:claim:{agent}")
}

/// This build, as both sides name it.
pub(super) fn build() -> String {
    let commit = option_env!("PUSHBENCH_COMMIT").map_or_else(String::new, |commit| format!(" ({commit})"));
    format!("{}{commit}", env!("CARGO_PKG_VERSION"))
}

/// Time of this machine, in microseconds since 1970.
pub(super) fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
