//! A response that goes on: shared chunks, heart-beats between them, an end at an age or a number of bytes.
//!
//! Once such a response has begun, nothing is left for an HTTP library to do but to pass bytes on, at the price of its buffers for every
//! connection and its bookkeeping for every message. So the socket is taken back from it, as it is for a WebSocket: from
//! then on a stream is a loop that writes what its room has written for all.

use std::cell::RefCell;
use std::io;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{Method, StatusCode, Version, header};
use axum::response::Response;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until};
use wire::{ByteCounts, ErrorBody, Joined, ServerItem};

use super::{ReadRequest, Refusal, answer, cors};
use crate::connection::CountedStream;
use crate::counters::{Counter, TransportSlot};
use crate::hub::{Batch, Next, Reader, push_chunk};

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Read into and thrown away: a client of a stream has nothing more to say.
const SINK_BYTES: usize = 1 << 10;

thread_local!(static SINK: RefCell<[u8; SINK_BYTES]> = const { RefCell::new([0; SINK_BYTES]) });

/// What tells one streaming transport from another.
pub(crate) struct StreamKind {
    pub(crate) content_type: &'static str,
    /// What is sent in front of the join.
    pub(crate) preamble: &'static [u8],
    /// A chunk that says that the stream is alive.
    pub(crate) heartbeat: &'static [u8],
}

/// Answers with a stream. Comes back only to refuse, or to a `HEAD`; otherwise it has taken the connection.
pub(crate) async fn stream(visit: ReadRequest, kind: &'static StreamKind) -> Result<Response, Refusal> {
    if visit.request.method() == Method::HEAD {
        return Ok(answer(StatusCode::OK, kind.content_type, Body::empty()));
    }
    if visit.request.version() != Version::HTTP_11 {
        let found = format!("{:?}", visit.request.version());
        let problem = ErrorBody::new("version", &found, "a stream needs chunks", "ask with HTTP/1.1");
        return Err(Refusal::bad(problem));
    }
    // Whoever drives the connection does not give it up any more.
    if visit.state.closing.is_cancelled() {
        return Err(Refusal::closing());
    }
    let connection = std::sync::Arc::clone(&visit.connection);
    let stream = Stream::new(visit, kind);
    connection.request_takeover(Box::new(move |socket| Box::pin(stream.serve(socket))));
    std::future::pending().await
}

struct Stream {
    reader: Reader,
    slot: TransportSlot,
    kind: &'static StreamKind,
    /// Head and first chunk.
    opening: Vec<u8>,
    heartbeat: Duration,
    ends: Instant,
    bytes_left: u64,
}

impl Stream {
    fn new(visit: ReadRequest, kind: &'static StreamKind) -> Self {
        let mut opening = head(&visit, kind);
        let slot = visit.connection.slot();
        let joined = ServerItem::Joined(Joined { after: visit.reader.cursor() });
        let reset = visit.reset.map(ServerItem::Reset);
        let (mut first, mut split) = (kind.preamble.to_vec(), ByteCounts::default());
        for item in reset.iter().chain([&joined]) {
            split += visit.reader.framing().encode(item, &mut first);
        }
        let head_bytes = opening.len();
        push_chunk(&first, &mut opening);
        let framing = (opening.len() - head_bytes) as u64 - split.envelope;
        let resets = u64::from(reset.is_some());
        visit.connection.counters().add(slot, Counter::Gaps, resets);
        visit.connection.counters().add_batch(slot, 0, 2 + resets, ByteCounts { framing, ..split });
        let limits = &visit.state.limits;
        Self {
            slot,
            kind,
            opening,
            heartbeat: limits.heartbeat,
            ends: Instant::now() + limits.stream_age,
            bytes_left: limits.stream_bytes_max,
            reader: visit.reader,
        }
    }

    async fn serve(mut self, mut socket: CountedStream) {
        if let Err(error) = self.run(&mut socket).await {
            tracing::debug!(%error, "a stream ended");
        }
    }

    async fn run(&mut self, socket: &mut CountedStream) -> io::Result<()> {
        let _busy = socket.busy_guard();
        let opening = std::mem::take(&mut self.opening);
        socket.write_all(&opening).await?;
        drop(opening);
        let mut timer = std::pin::pin!(sleep_until(self.ends.min(Instant::now() + self.heartbeat)));
        let mut silent = false;
        while self.bytes_left > 0 {
            tokio::select! {
                biased;
                next = self.reader.wait() => match next {
                    Next::Batch(batch) => {
                        silent = false;
                        self.deliver(socket, batch).await?;
                    }
                    Next::Closed => break,
                },
                readable = socket.readable() => {
                    readable?;
                    if is_disconnected(socket)? {
                        return Ok(());
                    }
                }
                () = timer.as_mut() => {
                    let now = Instant::now();
                    if now >= self.ends {
                        break;
                    }
                    timer.as_mut().reset(self.ends.min(now + self.heartbeat));
                    if std::mem::replace(&mut silent, true) {
                        self.write(socket, self.kind.heartbeat).await?;
                    }
                }
            }
        }
        self.write(socket, LAST_CHUNK).await?;
        // All that came was read: closing now takes nothing away from the client.
        socket.shutdown().await
    }

    async fn deliver(&mut self, socket: &mut CountedStream, batch: Batch) -> io::Result<()> {
        // One more: the chunk around them.
        socket.connection().count_batch(self.slot, &batch, 1);
        self.bytes_left = self.bytes_left.saturating_sub(batch.bytes.len() as u64);
        socket.write_all(&batch.bytes).await
    }

    /// Writes a chunk that carries no item.
    async fn write(&self, socket: &mut CountedStream, chunk: &[u8]) -> io::Result<()> {
        let split = ByteCounts { framing: chunk.len() as u64, ..ByteCounts::default() };
        socket.connection().counters().add_batch(self.slot, 0, 1, split);
        socket.write_all(chunk).await
    }
}

fn head(visit: &ReadRequest, kind: &StreamKind) -> Vec<u8> {
    // Proxies that collect a response before they pass it on (nginx does) are asked not to.
    let mut head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ncache-control: no-store\r\nx-accel-buffering: no\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\ndate: {}\r\n",
        kind.content_type,
        httpdate::fmt_http_date(SystemTime::now())
    )
    .into_bytes();
    let origin = visit.request.headers().get(header::ORIGIN);
    for (name, value) in cors::headers(&visit.state.access, origin).into_iter().flatten() {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Takes what the client sends, which nobody wants; true when that was its end.
fn is_disconnected(socket: &CountedStream) -> io::Result<bool> {
    SINK.with_borrow_mut(|sink| match socket.try_read(sink) {
        Ok(n) => Ok(n == 0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    })
}
