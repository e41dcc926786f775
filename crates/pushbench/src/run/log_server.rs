//! The Redis in which the servers of a run keep their messages: started for the run, in a folder of
//! its own, and ended with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::Context;
use nix::sys::signal::Signal;
use redis::Client;
use redis::aio::MultiplexedConnection;
use results::LogUsage;
use scenario::ExternalServer;

use super::external_server::start_in;
use super::server_process::ServerProcess;
use crate::precedence::Precedence;

pub(super) const PROGRAM: &str = "redis-server";
/// Where it listens, in its folder.
const SOCKET: &str = "redis.sock";
/// Where its messages are, in its folder.
const MESSAGES: &str = "appendonlydir";
/// What it prints when it listens there.
const READY: &str = "ready to accept connections at";
const READY_WITHIN_S: f64 = 10.0;
/// Every second the messages of that second are written to disk.
const ARGUMENTS: [&str; 10] =
    ["--port", "0", "--unixsocket", SOCKET, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"];

/// A started Redis.
pub(crate) struct LogServer {
    process: ServerProcess,
    cores: Vec<usize>,
    precedence: Precedence,
    folder: Folder,
}

/// A folder that is removed with everything in it.
struct Folder(PathBuf);

/// Reads what a Redis has used and what it has.
pub(crate) struct LogReader {
    client: Client,
}

/// What a Redis says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogReading {
    /// Another one after every start.
    pub(crate) process: String,
    pub(crate) usage: LogUsage,
    /// Messages appended since the log began.
    pub(crate) messages: u64,
}

impl LogServer {
    pub(crate) async fn start(cores: &[usize], precedence: Precedence) -> anyhow::Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let name = format!("pushbench-{}-{}", std::process::id(), STARTED.fetch_add(1, Relaxed));
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir(&folder.0).with_context(|| format!("cannot create {}", folder.0.display()))?;
        let process = process(&folder.0, cores, precedence).await?;
        Ok(Self { process, cores: cores.to_vec(), precedence, folder })
    }

    /// Starts it after it was killed, with the messages on its disk or without.
    pub(crate) async fn start_again(&mut self, forgets: bool) -> anyhow::Result<()> {
        if forgets {
            std::fs::remove_dir_all(self.folder.0.join(MESSAGES))?;
        }
        self.process = process(&self.folder.0, &self.cores, self.precedence).await?;
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Its address, as `serve --log` takes it.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.folder.0.join(SOCKET).display())
    }

    pub(crate) fn reader(&self) -> anyhow::Result<LogReader> {
        Ok(LogReader { client: Client::open(self.url())? })
    }

    pub(crate) async fn stop(self) {
        self.process.stop().await;
    }
}

async fn process(folder: &Path, cores: &[usize], precedence: Precedence) -> anyhow::Result<ServerProcess> {
    let command = std::iter::once(PROGRAM).chain(ARGUMENTS).map(str::to_owned).collect();
    let mut server = ExternalServer::new("redis".to_owned(), command, Vec::new(), READY_WITHIN_S);
    server.ready = Some(READY.to_owned());
    start_in(&server, folder, cores, precedence).await.context("the shared log")
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

impl LogReader {
    pub(crate) async fn read(&self) -> anyhow::Result<LogReading> {
        // A connection ends with the process.
        let mut connection = self.client.get_multiplexed_async_connection().await?;
        let sections = redis::cmd("INFO").arg("server").arg("cpu").arg("stats").to_owned();
        let text: String = sections.query_async(&mut connection).await?;
        let messages = messages(&mut connection).await?;
        let reading = parse(&text).map(|(process, usage)| LogReading { process, usage, messages });
        reading.with_context(|| format!("Redis does not say what it has used: {text}"))
    }

    /// Exact counts since its start.
    pub(crate) async fn counts(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut connection = self.client.get_multiplexed_async_connection().await?;
        let info: String = redis::cmd("INFO").arg("stats").arg("commandstats").query_async(&mut connection).await?;
        Ok(counts(&info))
    }
}

/// Commands that the servers send for posts and messages, as Redis names them.
const COMMANDS: [&str; 4] = ["evalsha", "xadd", "xread", "xrange"];

/// Calls of these commands, and bytes from the servers.
fn counts(info: &str) -> BTreeMap<String, u64> {
    let line = |name: &str| info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    let calls = |command: &str| line(&format!("cmdstat_{command}"))?.strip_prefix("calls=")?.split(',').next();
    let counts = COMMANDS.into_iter().map(|command| (command, calls(command)));
    let counts = counts.chain([("bytes_in", line("total_net_input_bytes"))]);
    counts.map(|(name, count)| (name.to_owned(), count.and_then(|count| count.parse().ok()).unwrap_or(0))).collect()
}

/// Entries of the feed are numbered from 1.
async fn messages(connection: &mut MultiplexedConnection) -> anyhow::Result<u64> {
    let last: Vec<(String, Vec<String>)> = redis::cmd("XREVRANGE")
        .arg(server::feed_key(server::CHAT))
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(1)
        .query_async(connection)
        .await?;
    let Some((id, _)) = last.first() else { return Ok(0) };
    let number = id.strip_prefix("0-").and_then(|number| number.parse().ok());
    number.with_context(|| format!("the feed has an entry {id}"))
}

/// The name of the process, and what it has used since its start.
fn parse(text: &str) -> Option<(String, LogUsage)> {
    let value = |name: &str| text.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    let count = |name: &str| value(name)?.parse::<u64>().ok();
    let us = |name: &str| Some((value(name)?.parse::<f64>().ok()? * 1e6) as u64);
    let usage = LogUsage {
        cpu_us: us("used_cpu_user")? + us("used_cpu_sys")?,
        commands: count("total_commands_processed")?,
        bytes_in: count("total_net_input_bytes")?,
        bytes_out: count("total_net_output_bytes")?,
    };
    Some((value("run_id")?.to_owned(), usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_of_its_use() {
        let said = "# Server\r\nrun_id:ab12\r\n# CPU\r\nused_cpu_sys:0.250000\r\nused_cpu_user:1.5\r\nused_cpu_user_children:9\r\n\
                    # Stats\r\ntotal_commands_processed:12\r\ntotal_net_input_bytes:34\r\ntotal_net_output_bytes:56\r\n";
        let usage = LogUsage { cpu_us: 1_750_000, commands: 12, bytes_in: 34, bytes_out: 56 };
        assert_eq!(parse(said), Some(("ab12".to_owned(), usage)));
        assert_eq!(parse("used_cpu_sys:0.2"), None);
        let said = "total_net_input_bytes:34\r\ncmdstat_xread:calls=7,usec=9\r\ncmdstat_xreadgroup:calls=1,usec=2\r\n";
        let expected = [("bytes_in", 34), ("evalsha", 0), ("xadd", 0), ("xrange", 0), ("xread", 7)];
        assert_eq!(counts(said), expected.map(|(name, count)| (name.to_owned(), count)).into());
    }
}
