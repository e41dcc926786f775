//! The server under test, in a process of its own: this executable, started again.
//!
//! The process also runs a bare write loop, as a lower bound of the cost of a fan-out, and a loop that
//! only parses requests and answers 204, as a lower bound of the cost of a poll.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use server::{Access, Config, Log, ServerLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wire::{Ack, ClientItem, Framing, Message, ServerItem, ServerStats, decode_up, split_frame};

/// The argument that makes this executable the server.
const SERVER_FLAG: &str = "--serve";
/// Longer than any measurement, so that no heartbeat falls into one.
const HEARTBEAT: Duration = Duration::from_secs(120);

/// Addresses of the server, in the order in which it prints them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) bare: SocketAddr,
    pub(crate) bare_posts: SocketAddr,
    pub(crate) bare_polls: SocketAddr,
}

/// A running server. Dropping this value kills it.
pub(crate) struct BenchServer {
    pub(crate) at: Addresses,
    process: Child,
    clock: ClockId,
}

impl BenchServer {
    /// Starts a build of this bench as the server. `None`: the build that runs now.
    pub(crate) fn start(build: Option<&Path>) -> io::Result<Self> {
        let path = build.map_or_else(std::env::current_exe, |path| Ok(path.to_owned()))?;
        let mut process = Command::new(path).arg(SERVER_FLAG).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut line)?;
        let addresses: Vec<SocketAddr> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[http, tcp, bare, bare_posts, bare_polls] = addresses.as_slice() else {
            return Err(io::Error::other(format!("the server did not print its addresses but {line:?}")));
        };
        let clock = clock_getcpuclockid(Pid::from_raw(process.id().cast_signed()))?;
        Ok(Self { at: Addresses { http, tcp, bare, bare_posts, bare_polls }, process, clock })
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        Ok(self.clock.now()?.into())
    }

    /// Resident memory now.
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        kilobytes.and_then(|text| text.parse::<u64>().ok()).map(|kb| kb * 1024).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// The answer to `GET /stats`.
    pub(crate) async fn stats(&self) -> io::Result<ServerStats> {
        let mut stream = TcpStream::connect(self.at.http).await?;
        stream.write_all(b"GET /stats HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        Ok(serde_json::from_slice(&answer[body..])?)
    }

    /// Waits until the statistics are as expected.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&ServerStats) -> bool) -> io::Result<()> {
        for _ in 0..3000 {
            if is_so(&self.stats().await?) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(io::Error::other(format!("timeout while waiting for {what}: {:?}", self.stats().await?)))
    }

    /// Waits until the server has closed all connections.
    pub(crate) async fn until_empty(&self) -> io::Result<()> {
        self.until("all connections to be closed", |stats| stats.connections_open == 1 && stats.hub.readers == 0).await
    }
}

impl Drop for BenchServer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Runs the server if this process was started for that. Returns whether it was.
pub(crate) fn ran_as_server() -> io::Result<bool> {
    if !std::env::args().any(|argument| argument == SERVER_FLAG) {
        return Ok(false);
    }
    super::machine::pin(super::machine::SERVER_CORE)?;
    super::runtime()?.block_on(serve())?;
    Ok(true)
}

async fn serve() -> io::Result<()> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let limits = ServerLimits { heartbeat: HEARTBEAT, ..ServerLimits::default() };
    let config = Config {
        listen: any,
        tcp_listen: any,
        page_ports: 0,
        limits,
        access: Access::default(),
        log: Log::Memory,
        slowdown: None,
    };
    let running = server::start(config).await.map_err(io::Error::other)?;
    let (bare, bare_posts) = (TcpListener::bind(any).await?, TcpListener::bind(any).await?);
    let bare_polls = TcpListener::bind(any).await?;
    let addresses = [running.http, running.tcp, bare.local_addr()?, bare_posts.local_addr()?, bare_polls.local_addr()?];
    let mut out = io::stdout().lock();
    writeln!(out, "{}", addresses.map(|address| address.to_string()).join(" "))?;
    out.flush()?;
    drop(out);
    tokio::spawn(bare_loop(bare, bare_posts));
    tokio::spawn(async move {
        while let Ok((stream, _)) = bare_polls.accept().await {
            tokio::spawn(answer_polls(stream));
        }
    });
    let (closed, parent_exited) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        closed.send(()).ok();
    });
    parent_exited.await.ok();
    Ok(())
}

/// Answers every request with 204, as an empty poll is answered.
async fn answer_polls(mut stream: TcpStream) -> io::Result<()> {
    const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\ndate: Fri, 27 Nov 2026 12:00:00 GMT\r\n\r\n";
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4 << 10];
    loop {
        let n = stream.read(&mut buffer).await?;
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let parsed = httparse::Request::new(&mut headers).parse(&buffer[..n]).map_err(io::Error::other)?;
        if n == 0 || parsed.is_partial() {
            return Ok(());
        }
        stream.write_all(ANSWER).await?;
    }
}

/// The bare write loop, without rooms, logs and tasks: each post is framed once and written to one
/// socket after the other. It serves one group of subscribers at a time.
async fn bare_loop(reads: TcpListener, posts: TcpListener) -> io::Result<()> {
    let mut subscribers = Vec::new();
    loop {
        tokio::select! {
            accepted = reads.accept() => subscribers.push(bare_subscriber(accepted?.0)?),
            accepted = posts.accept() => {
                let mut publisher = accepted?.0;
                publisher.set_nodelay(true)?;
                // The publisher first sends the number of subscribers.
                let expected = publisher.read_u64().await?;
                while (subscribers.len() as u64) < expected {
                    subscribers.push(bare_subscriber(reads.accept().await?.0)?);
                }
                // Always ends with an error, because the clients reset their connections.
                bare_room(&std::mem::take(&mut subscribers), publisher).await.ok();
            }
        }
    }
}

fn bare_subscriber(stream: TcpStream) -> io::Result<std::net::TcpStream> {
    stream.set_nodelay(true)?;
    stream.into_std()
}

async fn bare_room(subscribers: &[std::net::TcpStream], mut publisher: TcpStream) -> io::Result<()> {
    let (mut seq, mut unread, mut buffer, mut acks) = (0, Vec::new(), [0; 16 << 10], Vec::new());
    loop {
        let n = publisher.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        unread.extend_from_slice(&buffer[..n]);
        while let Some(frame) = split_frame(&unread, 1 << 20).map_err(io::Error::other)? {
            let taken = frame.taken;
            if let ClientItem::Post(post) = decode_up(frame.item).map_err(io::Error::other)? {
                seq += 1;
                let message = Message { seq, author: post.author, ordinal: post.ordinal, text: post.text };
                let mut bytes = Vec::new();
                Framing::LengthPrefixed.encode(&ServerItem::Message(message), &mut bytes);
                for mut subscriber in subscribers {
                    subscriber.write_all(&bytes)?;
                }
                Framing::LengthPrefixed.encode(&ServerItem::Ack(Ack { ordinal: post.ordinal, seq }), &mut acks);
            }
            unread.drain(..taken);
        }
        publisher.write_all(&acks).await?;
        acks.clear();
    }
}
