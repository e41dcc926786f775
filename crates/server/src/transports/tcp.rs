//! Raw TCP, the baseline: length-prefixed binary frames on a separate port. The client sends a join
//! and then posts; the server sends batches and acknowledgements.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use wire::{
    Ack, ByteCounts, ClientItem, ErrorBody, FRAME_PREFIX_BYTES, Framing, Join, Joined, Post, ServerItem, Transport,
    WireError, decode_up, split_frame,
};

use crate::connection::{CountedStream, Timer, with_scratch};
use crate::counters::TransportSlot;
use crate::hub::{Batch, Next, NotTaken, Published, Reader, Taken};
use crate::refusal::{Refusal, RefusalReason, answer_to_post};
use crate::state::ServerState;

const SLOT: TransportSlot = TransportSlot::of(Transport::Tcp);
/// Maximum size of a join: a room name, a cursor and a token.
const JOIN_BYTES_MAX: usize = 1 << 10;
/// Bytes of kind, author and ordinal in a post.
const POST_OVERHEAD_BYTES: usize = 13;

/// Why a connection ends.
enum TcpEnd {
    /// The client gets an error item.
    Refused(Refusal),
    /// The server is shutting down.
    ServerClosing,
    /// The connection has ended.
    Disconnected,
}

impl From<io::Error> for TcpEnd {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "a tcp connection ended");
        Self::Disconnected
    }
}

impl From<WireError> for TcpEnd {
    fn from(error: WireError) -> Self {
        bad_frame(&error.to_string(), "see the frame layout in crates/wire/src/binary.rs")
    }
}

impl From<Refusal> for TcpEnd {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn bad_frame(error: &str, hint: &str) -> TcpEnd {
    TcpEnd::Refused(Refusal::bad_request(ErrorBody::new("frame", "", error, hint)))
}

/// Serves one connection until it ends.
pub(crate) async fn serve(state: Arc<ServerState>, mut socket: CountedStream) {
    let end = match run(&state, &mut socket).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    let last = match end {
        TcpEnd::Disconnected => return,
        TcpEnd::ServerClosing => ServerItem::Bye,
        TcpEnd::Refused(refusal) => {
            socket.connection().stats.count(refusal.counter());
            ServerItem::Error(refusal.body)
        }
    };
    send_final(&mut socket, &last).await.ok();
}

/// Answers that the server is full.
pub(crate) async fn refuse(state: Arc<ServerState>, mut socket: CountedStream) {
    socket.connection().assign(SLOT);
    let refusal = Refusal::full("connections", state.limits.connections_max, "--connections-max");
    send_final(&mut socket, &ServerItem::Error(refusal.body)).await.ok();
}

/// Sends a last item and closes the connection.
async fn send_final(socket: &mut CountedStream, item: &ServerItem<'_>) -> io::Result<()> {
    write(socket, item).await?;
    socket.close_gracefully().await
}

async fn run(state: &ServerState, socket: &mut CountedStream) -> Result<std::convert::Infallible, TcpEnd> {
    socket.connection().assign(SLOT);
    socket.connection().state.expect_request();
    let join = read_join(socket).await?;
    state.access.check(join.token.as_deref()).map_err(|body| Refusal::new(RefusalReason::Unauthorized, body))?;
    let room = if state.covers(join.room.as_str(), join.start) {
        state.hub.room(join.room.as_str()).map_err(Refusal::from)?
    } else {
        Box::pin(state.copy(join.room.as_str(), join.start)).await?
    };
    let mut reader = room
        .reader(Framing::LengthPrefixed.into(), join.start)
        .map_err(|ahead| Refusal::cursor_ahead(join.start, ahead))?;
    drop((room, join));
    let _busy = socket.busy_guard();
    write(socket, &ServerItem::Joined(Joined { after: reader.cursor() })).await?;
    let heartbeat = state.limits.heartbeat;
    let (mut unread, mut silent) = (Vec::new(), false);
    // This loop runs once per delivery: the timer is made once, and the socket keeps no list of
    // wakers.
    let sleep = std::pin::pin!(sleep(heartbeat));
    let mut timer = Timer::new(sleep);
    loop {
        tokio::select! {
            biased;
            next = reader.wait() => match next {
                Next::Batch(batch) => {
                    silent = false;
                    deliver(socket, batch).await?;
                }
                Next::Closed => return Err(TcpEnd::ServerClosing),
            },
            readable = socket.readable() => {
                readable?;
                receive_posts(state, socket, &reader, &mut unread).await?;
            }
            () = poll_fn(|cx| timer.poll(cx)) => {
                timer.reset(Instant::now() + heartbeat);
                if std::mem::replace(&mut silent, true) {
                    write(socket, &ServerItem::Heartbeat).await?;
                }
            }
        }
    }
}

async fn read_join(socket: &mut CountedStream) -> Result<Join, TcpEnd> {
    let mut prefix = [0; FRAME_PREFIX_BYTES];
    socket.read_exact(&mut prefix).await?;
    let announced = u32::from_be_bytes(prefix) as usize;
    // Checks the length before memory is allocated for it.
    split_frame(&prefix, JOIN_BYTES_MAX)?;
    let mut item = vec![0; announced];
    socket.read_exact(&mut item).await?;
    match decode_up(&item)? {
        ClientItem::Join(join) => Ok(join),
        ClientItem::Post(_) => Err(bad_frame("a post before the join", "join a room first")),
    }
}

async fn deliver(socket: &mut CountedStream, batch: Batch) -> io::Result<()> {
    socket.connection().stats.count_batch(SLOT, &batch, 0);
    socket.write_all(&batch.bytes).await
}

/// Reads once and publishes every complete post. Keeps the rest in `unread`, and sends all
/// acknowledgements in one write.
async fn receive_posts(
    state: &ServerState,
    socket: &mut CountedStream,
    reader: &Reader,
    unread: &mut Vec<u8>,
) -> Result<(), TcpEnd> {
    let (mut acks, mut waiting) = (Vec::new(), Vec::new());
    let outcome = with_scratch(|scratch| {
        let n = match socket.try_read(scratch) {
            Ok(0) => return Err(TcpEnd::Disconnected),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if unread.is_empty() {
            let taken = publish_all(state, socket, reader, &scratch[..n], (&mut acks, &mut waiting))?;
            unread.extend_from_slice(&scratch[taken..n]);
        } else {
            unread.extend_from_slice(&scratch[..n]);
            let taken = publish_all(state, socket, reader, unread, (&mut acks, &mut waiting))?;
            unread.drain(..taken);
        }
        if unread.is_empty() {
            *unread = Vec::new();
        }
        Ok(())
    });
    if !waiting.is_empty() {
        // Boxed, because every connection reserves memory for it.
        acks = Box::pin(answers(socket, waiting)).await?;
    }
    if !acks.is_empty() {
        socket.write_all(&acks).await?;
    }
    outcome
}

/// The answers to posts that wait for the shared log.
async fn answers(socket: &CountedStream, waiting: Vec<(u64, Taken)>) -> Result<Vec<u8>, TcpEnd> {
    let mut out = Vec::new();
    for (ordinal, taken) in waiting {
        let item = answer_to_post(ordinal, taken).await.ok_or(TcpEnd::ServerClosing)?;
        push_answer(socket, &item, &mut out);
    }
    Ok(out)
}

fn publish_all(
    state: &ServerState,
    socket: &CountedStream,
    reader: &Reader,
    bytes: &[u8],
    (acks, waiting): (&mut Vec<u8>, &mut Vec<(u64, Taken)>),
) -> Result<usize, TcpEnd> {
    let max = state.limits.message_bytes_max + POST_OVERHEAD_BYTES;
    let mut taken = 0;
    while let Some(frame) = split_frame(&bytes[taken..], max)? {
        let ClientItem::Post(post) = decode_up(frame.item)? else {
            return Err(bad_frame("a second join", "open another connection for another room"));
        };
        match publish(socket, reader, &post, frame.taken) {
            Ok(Published::At(seq)) => push_answer(socket, &ServerItem::Ack(Ack { ordinal: post.ordinal, seq }), acks),
            Err(NotTaken::Closed) => return Err(TcpEnd::ServerClosing),
            soon => waiting.push((post.ordinal, soon)),
        }
        taken += frame.taken;
    }
    Ok(taken)
}

fn push_answer(socket: &CountedStream, item: &ServerItem<'_>, out: &mut Vec<u8>) {
    let byte_counts = Framing::LengthPrefixed.encode(item, out);
    socket.connection().stats.counters().add_batch(SLOT, 0, 1, byte_counts);
}

fn publish(socket: &CountedStream, reader: &Reader, post: &Post<'_>, frame_bytes: usize) -> Taken {
    let payload = post.text.len() as u64;
    let framing = FRAME_PREFIX_BYTES as u64;
    let byte_counts = ByteCounts { payload, envelope: frame_bytes as u64 - framing - payload, framing };
    socket.connection().stats.counters().add_post(SLOT, byte_counts);
    reader.room().publish(post)
}

/// Writes an item for this client only.
async fn write(socket: &mut CountedStream, item: &ServerItem<'_>) -> io::Result<()> {
    let mut out = Vec::with_capacity(64);
    let byte_counts = Framing::LengthPrefixed.encode(item, &mut out);
    socket.connection().stats.counters().add_batch(SLOT, 0, 1, byte_counts);
    socket.write_all(&out).await
}
