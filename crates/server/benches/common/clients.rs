//! N clients in one room, and one connection that posts.
//!
//! On every transport a client only reads into a shared buffer and counts. With long polling it
//! also sends the next request.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, tcp::OwnedWriteHalf};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use wire::{ClientItem, Join, Post, StartAt, encode_up, push_frame};

use super::bench_server::BenchServer;

/// A byte that is in every text once. The server sends it nowhere else, except in the sequence
/// numbers of binary items: see [`marks`].
const MARK: u8 = b'@';
const TEXT_BYTES: usize = 120;
const CONNECTING_MAX: usize = 128;
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

thread_local!(static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]));

/// What is measured: a transport with an encoding, or the bare write loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variant {
    Bare,
    Tcp,
    WebsocketJson,
    WebsocketBinary,
    Sse,
    HttpStreaming,
    LongPolling,
    /// One poll, and then nothing. For connections without messages only.
    Polling,
}

impl Variant {
    const ALL: [Self; 8] = [
        Self::Bare,
        Self::Tcp,
        Self::WebsocketJson,
        Self::WebsocketBinary,
        Self::Sse,
        Self::HttpStreaming,
        Self::LongPolling,
        Self::Polling,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare write loop",
            Self::Tcp => "tcp",
            Self::WebsocketJson => "websocket json",
            Self::WebsocketBinary => "websocket binary",
            Self::Sse => "sse",
            Self::HttpStreaming => "http-streaming",
            Self::LongPolling => "long-polling",
            Self::Polling => "polling",
        }
    }

    /// The variants named on the command line, or all.
    pub(crate) fn chosen() -> Vec<Self> {
        let wanted = super::machine::argument("--variants");
        let is_wanted = |variant: &Self| {
            wanted.as_ref().is_none_or(|names| names.split(',').any(|name| variant.name().starts_with(name)))
        };
        Self::ALL.into_iter().filter(is_wanted).collect()
    }

    fn address(self, server: &BenchServer) -> SocketAddr {
        match self {
            Self::Bare => server.at.bare,
            Self::Tcp => server.at.tcp,
            _ => server.at.http,
        }
    }

    const fn is_binary(self) -> bool {
        matches!(self, Self::Bare | Self::Tcp | Self::WebsocketBinary)
    }

    /// What a client sends to read the room after the cursor `after`.
    fn request(self, room: &str, after: u64) -> Vec<u8> {
        let get = |path: &str, more: &str| {
            format!("GET /rooms/{room}/{path} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n").into_bytes()
        };
        let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        match self {
            Self::Bare => Vec::new(),
            Self::Tcp => join_frame(room),
            Self::WebsocketJson => get("websocket", upgrade),
            Self::WebsocketBinary => get("websocket?encoding=binary", upgrade),
            Self::Sse => get("sse", ""),
            Self::HttpStreaming => get("http-streaming", ""),
            Self::LongPolling => get(&format!("long-polling?after={after}"), ""),
            Self::Polling => get("polling?after=0", ""),
        }
    }
}

fn join_frame(room: &str) -> Vec<u8> {
    let room = room.parse().expect("a valid room name");
    frame(&ClientItem::Join(Join { room, start: StartAt::Live, token: None }))
}

fn frame(item: &ClientItem<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    push_frame(&mut out, |out| encode_up(item, out));
    out
}

/// Number of marks in a message: one in its text, and by chance some in its sequence number.
fn marks(variant: Variant, seq: u64) -> u64 {
    let by_chance = seq.to_be_bytes().into_iter().filter(|byte| *byte == MARK).count();
    1 + if variant.is_binary() { by_chance as u64 } else { 0 }
}

/// Marks received by all clients, and a notification when all have arrived.
#[derive(Default)]
struct Progress {
    seen: AtomicU64,
    due: AtomicU64,
    all_there: Notify,
}

impl Progress {
    fn add(&self, marks: u64) {
        let seen = self.seen.load(Relaxed) + marks;
        self.seen.store(seen, Relaxed);
        if marks > 0 && seen == self.due.load(Relaxed) {
            self.all_there.notify_one();
        }
    }
}

/// All clients of one room. Dropping this value resets their connections.
pub(crate) struct Clients {
    variant: Variant,
    n: usize,
    clients: JoinSet<io::Result<()>>,
    progress: Arc<Progress>,
    posts: OwnedWriteHalf,
    post: Vec<u8>,
    seq: u64,
}

impl Clients {
    /// Connects `n` clients to a new room, and waits until the server has counted all of them as
    /// readers.
    pub(crate) async fn join(server: &BenchServer, variant: Variant, n: usize) -> io::Result<Self> {
        static ROOMS: AtomicU64 = AtomicU64::new(0);
        let readers = server.stats().await?.hub.readers + n as u64 + 1;
        let room = format!("room-{}", ROOMS.fetch_add(1, Relaxed));
        let (mut clients, progress) = (JoinSet::new(), Arc::new(Progress::default()));
        let connecting = Arc::new(Semaphore::new(CONNECTING_MAX));
        for _ in 0..n {
            let permit = Arc::clone(&connecting).acquire_owned().await.map_err(io::Error::other)?;
            let (address, request) = (variant.address(server), variant.request(&room, 0));
            let (room, progress) = (room.clone(), Arc::clone(&progress));
            clients.spawn(async move {
                let mut stream = connect(address).await?;
                stream.write_all(&request).await?;
                drop((request, permit));
                match variant {
                    Variant::LongPolling => poll_repeatedly(stream, &room, &progress).await,
                    _ => listen(stream, &progress).await,
                }
            });
        }
        drop(connecting.acquire_many(CONNECTING_MAX as u32).await);
        let posts = publisher(server, variant, &room, n).await?;
        if variant == Variant::Polling {
            server.until("all clients to poll", |stats| stats.transports["polling"].requests == n as u64).await?;
        } else if variant != Variant::Bare {
            server.until("all clients to be in the room", |stats| stats.hub.readers == readers).await?;
        }
        let text = format!("{}{}", "x".repeat(TEXT_BYTES - 1), char::from(MARK));
        let post = frame(&ClientItem::Post(Post { author: 1, ordinal: 1, text: text.into() }));
        Ok(Self { variant, n, clients, progress, posts, post, seq: 0 })
    }

    /// Posts `k` messages in one write, and waits until all clients have received all of them.
    pub(crate) async fn fan_out(&mut self, k: usize) -> io::Result<()> {
        let due: u64 = (0..k as u64).map(|i| marks(self.variant, self.seq + 1 + i)).sum();
        self.seq += k as u64;
        self.progress.due.fetch_add(due * self.n as u64, Relaxed);
        self.posts.write_all(&self.post.repeat(k)).await?;
        if tokio::time::timeout(DELIVERY_TIMEOUT, self.progress.all_there.notified()).await.is_err() {
            let (seen, due) = (self.progress.seen.load(Relaxed), self.progress.due.load(Relaxed));
            return Err(io::Error::other(format!("{}: {seen} marks of {due} arrived", self.variant.name())));
        }
        Ok(())
    }

    /// Disconnects all clients.
    pub(crate) async fn leave(mut self) {
        assert_eq!(
            self.progress.seen.load(Relaxed),
            self.progress.due.load(Relaxed),
            "everything arrived exactly once"
        );
        self.clients.shutdown().await;
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    let socket = socket2::SockRef::from(&stream);
    socket.set_tcp_nodelay(true)?;
    // Reset on close: thousands of ports would otherwise stay in TIME_WAIT.
    socket.set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

/// The connection that posts, over tcp and in the same room. What it receives is read and not
/// counted.
async fn publisher(server: &BenchServer, variant: Variant, room: &str, n: usize) -> io::Result<OwnedWriteHalf> {
    let (address, request) = match variant {
        Variant::Bare => (server.at.bare_posts, (n as u64).to_be_bytes().to_vec()),
        _ => (server.at.tcp, join_frame(room)),
    };
    let (mut unread, mut posts) = connect(address).await?.into_split();
    posts.write_all(&request).await?;
    tokio::spawn(async move {
        let mut sink = vec![0; 64 << 10];
        while matches!(unread.read(&mut sink).await, Ok(n) if n > 0) {}
    });
    Ok(posts)
}

/// Reads once into the shared buffer.
async fn read<T>(stream: &mut TcpStream, mut take: impl FnMut(&[u8]) -> T) -> io::Result<T> {
    poll_fn(|cx| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            Poll::Ready(Ok(take(buffer.filled())))
        })
    })
    .await
}

fn count(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(MARK, bytes).count() as u64
}

async fn listen(mut stream: TcpStream, progress: &Progress) -> io::Result<()> {
    loop {
        progress.add(read(&mut stream, count).await?);
    }
}

async fn poll_repeatedly(mut stream: TcpStream, room: &str, progress: &Progress) -> io::Result<()> {
    let (mut answer, mut after) = (Answer::default(), 0);
    loop {
        let (marks, complete) = read(&mut stream, |bytes| (count(bytes), answer.receive(bytes))).await?;
        after += marks;
        if complete {
            stream.write_all(&Variant::LongPolling.request(room, after)).await?;
        }
        // Counted after the next request is sent, so that the request is sent before the next
        // message.
        progress.add(marks);
    }
}

/// Finds the end of a response.
#[derive(Default)]
struct Answer {
    head: Vec<u8>,
    body_left: Option<usize>,
}

impl Answer {
    /// Receives bytes. Returns true when the response is complete.
    fn receive(&mut self, bytes: &[u8]) -> bool {
        let left = match self.body_left {
            Some(left) => left - bytes.len(),
            None => {
                self.head.extend_from_slice(bytes);
                let Some(end) = memchr::memmem::find(&self.head, b"\r\n\r\n") else { return false };
                let left = content_length(&self.head[..end]) - (self.head.len() - end - 4);
                self.head.clear();
                left
            }
        };
        self.body_left = (left > 0).then_some(left);
        left == 0
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}
