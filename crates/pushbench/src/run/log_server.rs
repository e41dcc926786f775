//! The Redis in which the servers of a run keep their messages: started for the run, in a folder of
//! its own, and ended with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::{Context, anyhow};
use nix::sys::signal::Signal;
use redis::aio::MultiplexedConnection;
use results::LogUsage;
use scenario::ExternalServer;

use super::external_server::start_in;
use super::server_process::ServerProcess;
use crate::precedence::Precedence;

pub(super) const PROGRAM: &str = "redis-server";
/// Where it listens, in its folder.
const SOCKET: &str = "redis.sock";
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

/// Reads what a Redis has used.
pub(crate) struct LogReader {
    connection: MultiplexedConnection,
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

    /// Starts it with the messages on its disk, after it was killed.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
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

    pub(crate) async fn reader(&self) -> anyhow::Result<LogReader> {
        let client = redis::Client::open(self.url())?;
        Ok(LogReader { connection: client.get_multiplexed_async_connection().await? })
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
    /// Since the start of the process.
    pub(crate) async fn usage(&self) -> anyhow::Result<LogUsage> {
        let mut connection = self.connection.clone();
        let text: String = redis::cmd("INFO").arg("cpu").arg("stats").query_async(&mut connection).await?;
        parse(&text).ok_or_else(|| anyhow!("Redis does not say what it has used: {text}"))
    }
}

fn parse(text: &str) -> Option<LogUsage> {
    let value = |name: &str| text.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    let count = |name: &str| value(name)?.parse::<u64>().ok();
    let us = |name: &str| Some((value(name)?.parse::<f64>().ok()? * 1e6) as u64);
    Some(LogUsage {
        cpu_us: us("used_cpu_user")? + us("used_cpu_sys")?,
        commands: count("total_commands_processed")?,
        bytes_in: count("total_net_input_bytes")?,
        bytes_out: count("total_net_output_bytes")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_of_its_use() {
        let said = "# CPU\r\nused_cpu_sys:0.250000\r\nused_cpu_user:1.5\r\nused_cpu_user_children:9\r\n\
                    # Stats\r\ntotal_commands_processed:12\r\ntotal_net_input_bytes:34\r\ntotal_net_output_bytes:56\r\n";
        let usage = LogUsage { cpu_us: 1_750_000, commands: 12, bytes_in: 34, bytes_out: 56 };
        assert_eq!(parse(said), Some(usage));
        assert_eq!(parse("used_cpu_sys:0.2"), None);
    }
}
