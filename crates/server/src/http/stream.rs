//! A streamed response: shared chunks, heartbeats between them, an end at an age or a number of
//! bytes.
//!
//! After its head such a response is only bytes, so a stream is a loop that writes the batches of
//! its room to the socket.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use axum::http::{StatusCode, Version};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until};
use wire::{ByteCounts, ErrorBody, Joined, ServerItem};

use super::request::{ReadRequest, StreamKind};
use super::request_head::RequestHead;
use super::response_head::{ResponseForm, ResponseHead};
use crate::connection::{Connection, CountedStream, Timer};
use crate::counters::{Counter, TransportSlot};
use crate::hub::{Batch, Next, Reader};
use crate::refusal::Refusal;
use crate::state::ServerState;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Scratch buffer for input on a streaming response. Such clients send nothing; reads only detect
/// the disconnect.
const SINK_BYTES: usize = 1 << 10;

thread_local!(static SINK: RefCell<[u8; SINK_BYTES]> = const { RefCell::new([0; SINK_BYTES]) });

pub(crate) struct Stream {
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
    /// Counts the opening of a stream. Fails if the client cannot read chunks.
    pub(crate) fn open(
        state: &ServerState,
        connection: &Connection,
        request: ReadRequest,
        kind: &'static StreamKind,
        head: &RequestHead<'_>,
        form: &ResponseForm,
    ) -> Result<Self, Refusal> {
        if head.version != Version::HTTP_11 {
            let found = format!("{:?}", head.version);
            let body = ErrorBody::new("version", &found, "a stream needs chunks of HTTP/1.1", "use HTTP/1.1");
            return Err(Refusal::bad_request(body));
        }
        let mut opening = opening_head(kind, form);
        let slot = connection.stats.slot();
        let joined = ServerItem::Joined(Joined { after: request.reader.cursor() });
        let reset = request.reset.map(ServerItem::Reset);
        let (mut first, mut byte_counts) = (kind.preamble.to_vec(), ByteCounts::default());
        for item in reset.iter().chain([&joined]) {
            byte_counts += request.reader.format().framing.encode(item, &mut first);
        }
        byte_counts.framing += request.reader.format().wrap(&first, &mut opening) as u64;
        byte_counts.framing += kind.preamble.len() as u64;
        let resets = u64::from(reset.is_some());
        let counters = connection.stats.counters();
        counters.add(slot, Counter::Gaps, resets);
        counters.add_batch(slot, 0, 2 + resets, byte_counts);
        let limits = &state.limits;
        Ok(Self {
            slot,
            kind,
            opening,
            heartbeat: limits.heartbeat,
            ends: Instant::now() + limits.stream_age,
            bytes_left: limits.stream_bytes_max,
            reader: request.reader,
        })
    }

    pub(crate) async fn serve(mut self, mut socket: CountedStream) {
        if let Err(error) = self.run(&mut socket).await {
            tracing::debug!(%error, "a stream ended");
        }
    }

    async fn run(&mut self, socket: &mut CountedStream) -> io::Result<()> {
        let _busy = socket.busy_guard();
        let opening = std::mem::take(&mut self.opening);
        socket.write_all(&opening).await?;
        drop(opening);
        let sleep = std::pin::pin!(sleep_until(self.ends.min(Instant::now() + self.heartbeat)));
        let mut timer = Timer::new(sleep);
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
                () = poll_fn(|cx| timer.poll(cx)) => {
                    let now = Instant::now();
                    if now >= self.ends {
                        break;
                    }
                    timer.reset(self.ends.min(now + self.heartbeat));
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

/// The head of a stream. Its connection ends with it.
pub(crate) fn opening_head(kind: &StreamKind, form: &ResponseForm) -> Vec<u8> {
    let mut form = form.clone();
    form.closes = true;
    let mut head = ResponseHead::new(StatusCode::OK, &form).with_content(kind.content_type);
    // Asks proxies such as nginx not to buffer the response.
    head.push("x-accel-buffering", "no");
    head.push("transfer-encoding", "chunked");
    head.end()
}

/// Discards input. Returns true at EOF.
fn is_disconnected(socket: &CountedStream) -> io::Result<bool> {
    SINK.with_borrow_mut(|sink| match socket.try_read(sink) {
        Ok(n) => Ok(n == 0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    })
}
