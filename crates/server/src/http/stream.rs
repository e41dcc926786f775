//! A streamed response: shared chunks, heartbeats between them, an end at an age or a number of
//! bytes.
//!
//! After the head of such a response an HTTP library only copies bytes, at the cost of its buffers
//! for each connection and its bookkeeping for each message. So the socket is taken back from it,
//! as for a WebSocket, and a stream is a loop that writes the batches of its room.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{Method, StatusCode, Version, header};
use axum::response::Response;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until};
use wire::{ByteCounts, ErrorBody, Joined, ServerItem};

use super::{ReadRequest, cors, response};
use crate::connection::CountedStream;
use crate::counters::{Counter, TransportSlot};
use crate::hub::{Batch, Next, Reader};
use crate::refusal::Refusal;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Scratch buffer for input on a streaming response. Such clients send nothing; reads only detect
/// the disconnect.
const SINK_BYTES: usize = 1 << 10;

thread_local!(static SINK: RefCell<[u8; SINK_BYTES]> = const { RefCell::new([0; SINK_BYTES]) });

/// The differences between the streaming transports.
pub(crate) struct StreamKind {
    pub(crate) content_type: &'static str,
    /// Bytes before the joined item.
    pub(crate) preamble: &'static [u8],
    /// A chunk without an item.
    pub(crate) heartbeat: &'static [u8],
}

/// Answers with a stream. Returns only for a refusal or a `HEAD` request. Otherwise it takes the
/// connection over, and its future stays pending.
pub(crate) async fn stream(request: ReadRequest, kind: &'static StreamKind) -> Result<Response, Refusal> {
    if request.http.method() == Method::HEAD {
        return Ok(response(StatusCode::OK, kind.content_type, Body::empty()));
    }
    if request.http.version() != Version::HTTP_11 {
        let found = format!("{:?}", request.http.version());
        let body = ErrorBody::new("version", &found, "a stream needs chunks of HTTP/1.1", "use HTTP/1.1");
        return Err(Refusal::bad_request(body));
    }
    // The task that drives the connection no longer looks for a takeover.
    if request.state.closing.is_cancelled() {
        return Err(Refusal::closing());
    }
    let connection = Arc::clone(&request.connection);
    let stream = Stream::new(request, kind);
    connection.takeover.request(Box::new(move |socket| Box::pin(stream.serve(socket))));
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
    fn new(request: ReadRequest, kind: &'static StreamKind) -> Self {
        let mut opening = head(&request, kind);
        let slot = request.connection.stats.slot();
        let joined = ServerItem::Joined(Joined { after: request.reader.cursor() });
        let reset = request.reset.map(ServerItem::Reset);
        let (mut first, mut byte_counts) = (kind.preamble.to_vec(), ByteCounts::default());
        for item in reset.iter().chain([&joined]) {
            byte_counts += request.reader.format().framing.encode(item, &mut first);
        }
        byte_counts.framing += request.reader.format().wrap(&first, &mut opening) as u64;
        byte_counts.framing += kind.preamble.len() as u64;
        let resets = u64::from(reset.is_some());
        let counters = request.connection.stats.counters();
        counters.add(slot, Counter::Gaps, resets);
        counters.add_batch(slot, 0, 2 + resets, byte_counts);
        let limits = &request.state.limits;
        Self {
            slot,
            kind,
            opening,
            heartbeat: limits.heartbeat,
            ends: Instant::now() + limits.stream_age,
            bytes_left: limits.stream_bytes_max,
            reader: request.reader,
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
        // All input was read, so closing now sends no RST.
        socket.shutdown().await
    }

    async fn deliver(&mut self, socket: &mut CountedStream, batch: Batch) -> io::Result<()> {
        // One more frame: the chunk.
        socket.connection().stats.count_batch(self.slot, &batch, 1);
        self.bytes_left = self.bytes_left.saturating_sub(batch.bytes.len() as u64);
        socket.write_all(&batch.bytes).await
    }

    /// Writes a chunk that carries no item.
    async fn write(&self, socket: &mut CountedStream, chunk: &[u8]) -> io::Result<()> {
        let byte_counts = ByteCounts { framing: chunk.len() as u64, ..ByteCounts::default() };
        socket.connection().stats.counters().add_batch(self.slot, 0, 1, byte_counts);
        socket.write_all(chunk).await
    }
}

fn head(request: &ReadRequest, kind: &StreamKind) -> Vec<u8> {
    // `x-accel-buffering` asks proxies such as nginx not to buffer the response.
    let mut head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ncache-control: no-store\r\nx-accel-buffering: no\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\ndate: {}\r\n",
        kind.content_type,
        httpdate::fmt_http_date(SystemTime::now())
    )
    .into_bytes();
    let origin = request.http.headers().get(header::ORIGIN);
    for (name, value) in cors::headers(&request.state.access, origin).into_iter().flatten() {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Discards input. Returns true at EOF.
fn is_disconnected(socket: &CountedStream) -> io::Result<bool> {
    SINK.with_borrow_mut(|sink| match socket.try_read(sink) {
        Ok(n) => Ok(n == 0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    })
}
