//! The server in a process of its own: this executable, started again. Beside the server it runs the bare write loop, the least
//! that a fan-out can cost.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use server::{Access, Config, ServerLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wire::{Ack, ClientItem, Framing, Message, ServerItem, ServerStats, decode_up, split_frame};

/// As the only argument, it makes this executable the patient.
const SERVER_FLAG: &str = "--be-the-patient";
/// Longer than anything that is measured here, so that no heart-beat falls into it.
const HEARTBEAT: Duration = Duration::from_secs(120);

/// Where the patient is reached, in the order it prints them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) bare: SocketAddr,
    pub(crate) bare_posts: SocketAddr,
}

/// A running patient; it ends with this value.
pub(crate) struct BenchServer {
    pub(crate) at: Addresses,
    process: Child,
    clock: ClockId,
}

impl BenchServer {
    /// Starts a build of this bench as the patient; `None` is the build that runs now.
    pub(crate) fn start(build: Option<&Path>) -> io::Result<Self> {
        let path = build.map_or_else(std::env::current_exe, |path| Ok(path.to_owned()))?;
        let mut process = Command::new(path).arg(SERVER_FLAG).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut line)?;
        let addresses: Vec<SocketAddr> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[http, tcp, bare, bare_posts] = addresses.as_slice() else {
            return Err(io::Error::other(format!("the patient did not start; it said {line:?}")));
        };
        let clock = clock_getcpuclockid(Pid::from_raw(process.id().cast_signed()))?;
        Ok(Self { at: Addresses { http, tcp, bare, bare_posts }, process, clock })
    }

    /// CPU it has used so far.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        Ok(self.clock.now()?.into())
    }

    /// Resident memory now.
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        kilobytes.and_then(|text| text.parse::<u64>().ok()).map(|kb| kb * 1024).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// What it says of itself.
    pub(crate) async fn stats(&self) -> io::Result<ServerStats> {
        let mut stream = TcpStream::connect(self.at.http).await?;
        stream.write_all(b"GET /stats HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        Ok(serde_json::from_slice(&answer[body..])?)
    }

    /// Waits until what it says of itself is as expected.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&ServerStats) -> bool) -> io::Result<()> {
        for _ in 0..3000 {
            if is_so(&self.stats().await?) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(io::Error::other(format!("waited in vain for {what}: {:?}", self.stats().await?)))
    }

    /// Waits until it has noticed that everybody is gone.
    pub(crate) async fn until_empty(&self) -> io::Result<()> {
        self.until("everybody to be gone", |usage| usage.connections_open == 1 && usage.hub.readers == 0).await
    }
}

impl Drop for BenchServer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Becomes the patient, if that is what this process was started for.
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
    let config = Config { listen: any, tcp_listen: any, limits, access: Access::default(), slowdown: None };
    let running = server::start(config).await.map_err(io::Error::other)?;
    let (bare, bare_posts) = (TcpListener::bind(any).await?, TcpListener::bind(any).await?);
    let addresses = [running.http, running.tcp, bare.local_addr()?, bare_posts.local_addr()?];
    let mut out = io::stdout().lock();
    writeln!(out, "{}", addresses.map(|address| address.to_string()).join(" "))?;
    out.flush()?;
    drop(out);
    tokio::spawn(bare_loop(bare, bare_posts));
    let (gone, parent_gone) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        gone.send(()).ok();
    });
    parent_gone.await.ok();
    Ok(())
}

/// No room, no log, no task per reader: every post is framed once and written to one socket after the other. One crowd at a time.
async fn bare_loop(subscribers: TcpListener, posts: TcpListener) -> io::Result<()> {
    let mut crowd = Vec::new();
    loop {
        tokio::select! {
            accepted = subscribers.accept() => crowd.push(bare_subscriber(accepted?.0)?),
            accepted = posts.accept() => {
                let mut publisher = accepted?.0;
                publisher.set_nodelay(true)?;
                // It says first how many subscribers there are.
                let expected = publisher.read_u64().await?;
                while (crowd.len() as u64) < expected {
                    crowd.push(bare_subscriber(subscribers.accept().await?.0)?);
                }
                // Ends with an error when it ends: the crowd resets its connections.
                bare_room(&std::mem::take(&mut crowd), publisher).await.ok();
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
