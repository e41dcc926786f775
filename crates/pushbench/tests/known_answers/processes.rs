//! Server processes: start, statistics and signals.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use wire::{ServerAddresses, ServerStats, Transport};

/// Maximum time of everything except a whole job.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `check` returns a value. Panics with `what` after the timeout.
pub(crate) async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(start.elapsed() < TIMEOUT, "waited {} s for {what}", TIMEOUT.as_secs());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// Whether a process with this pid exists, even as a zombie.
pub(crate) fn exists(pid: u32) -> bool {
    std::fs::exists(format!("/proc/{pid}")).unwrap()
}

pub(crate) async fn until_gone(pid: u32) {
    until("the end of a process", async || (!exists(pid)).then_some(())).await;
}

/// The running processes that this process has started.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parent_of = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may contain any character.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    processes.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// The TCP addresses at which a process listens.
fn listening_addresses(pid: u32) -> Vec<SocketAddr> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()?.to_str().map(str::to_owned));
    let sockets: Vec<_> =
        links.filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let listening = rows.filter(|row| row[3] == "0A" && sockets.iter().any(|socket| socket == row[9]));
    listening
        .map(|row| {
            let port = u16::from_str_radix(row[1].rsplit_once(':').unwrap().1, 16).unwrap();
            SocketAddr::from(([127, 0, 0, 1], port))
        })
        .collect()
}

/// The statistics of a server, or `None` while it does not answer.
async fn try_stats(web: &reqwest::Client, http: SocketAddr) -> Option<ServerStats> {
    let answer = web.get(format!("http://{http}/stats")).send().await.ok()?;
    answer.json().await.ok()
}

fn web() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(TIMEOUT).build().unwrap()
}

/// The server that a job has started.
pub(crate) struct JobServer {
    pub(crate) pid: u32,
    http: SocketAddr,
    web: reqwest::Client,
}

impl JobServer {
    /// Waits until the server of this job listens.
    pub(crate) async fn of(job: u32) -> Self {
        let web = web();
        until("the job's server to listen", async || {
            // The load generator is a child too, and listens nowhere.
            for (pid, http) in
                children(job).into_iter().flat_map(|pid| listening_addresses(pid).into_iter().map(move |at| (pid, at)))
            {
                let quick = tokio::time::timeout(Duration::from_millis(500), try_stats(&web, http)).await;
                if quick.is_ok_and(|stats| stats.is_some()) {
                    return Some(Self { pid, http, web: web.clone() });
                }
            }
            None
        })
        .await
    }

    /// Waits until the server has accepted this number of posts.
    pub(crate) async fn until_posts(&self, transport: Transport, posts: u64) {
        until_any_posts(&self.web, self.http, &[transport], posts).await;
    }

    /// Waits until the server has accepted this number of posts over one of these transports.
    pub(crate) async fn until_any_posts(&self, transports: &[Transport], posts: u64) {
        until_any_posts(&self.web, self.http, transports, posts).await;
    }
}

/// Waits until the server has accepted this number of posts over one of these transports, and
/// returns this transport.
async fn until_any_posts(web: &reqwest::Client, http: SocketAddr, transports: &[Transport], posts: u64) -> Transport {
    until(&format!("{posts} posts over one of {transports:?}"), async || {
        let stats = try_stats(web, http).await?;
        transports.iter().copied().find(|transport| stats.transports[transport.name()].posts >= posts)
    })
    .await
}

/// A server that the test has started.
pub(crate) struct Server {
    pub(crate) listening: ServerAddresses,
    child: Child,
    web: reqwest::Client,
}

impl Server {
    pub(crate) async fn start(more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushbench"));
        command.args(["serve", "--exit-with-parent", "--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0"]);
        command.args(["--threads", "1"]).args(more).env_remove("PUSHBENCH_TOKEN").env("RUST_LOG", "warn");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        tokio::time::timeout(TIMEOUT, stdout.read_line(&mut line))
            .await
            .expect("the server prints its addresses")
            .unwrap();
        Self { listening: serde_json::from_str(&line).unwrap(), child, web: web() }
    }

    /// The arguments of `load` for this server.
    pub(crate) fn target(&self) -> [String; 4] {
        target(self.listening.http, self.listening.tcp)
    }

    /// Waits until the server has accepted this number of posts.
    pub(crate) async fn until_posts(&self, transport: Transport, posts: u64) {
        self.until_any_posts(&[transport], posts).await;
    }

    pub(crate) async fn stats(&self) -> ServerStats {
        try_stats(&self.web, self.listening.http).await.expect("statistics")
    }

    /// Waits until the server has accepted this number of posts over one of these transports, and
    /// returns this transport.
    pub(crate) async fn until_any_posts(&self, transports: &[Transport], posts: u64) -> Transport {
        until_any_posts(&self.web, self.listening.http, transports, posts).await
    }

    pub(crate) fn signal(&self, what: Signal) {
        signal(self.listening.pid, what);
    }

    /// Stops the process for a while, and returns the time for which it was certainly stopped.
    pub(crate) async fn freeze(&self, time: Duration) -> Duration {
        self.signal(Signal::SIGSTOP);
        until("the stop of the server", async || self.is_stopped().then_some(())).await;
        let begun = Instant::now();
        tokio::time::sleep(time).await;
        let stopped = begun.elapsed();
        self.signal(Signal::SIGCONT);
        stopped
    }

    fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.listening.pid)).unwrap();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    /// Kills the process and waits for its end.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

pub(crate) fn target(http: SocketAddr, tcp: SocketAddr) -> [String; 4] {
    ["--target".to_owned(), format!("http://{http}"), "--target-tcp".to_owned(), tcp.to_string()]
}
