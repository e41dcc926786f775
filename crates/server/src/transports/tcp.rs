//! The floor: length-prefixed binary frames on a port of their own. A join frame, then posts up and batches down.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use wire::{
    Ack, ByteCounts, ClientItem, ErrorBody, FRAME_PREFIX_BYTES, Framing, Join, Joined, Post, ServerItem, Transport,
    WireError, decode_up, split_frame,
};

use crate::connection::CountedStream;
use crate::counters::{Counter, TransportSlot};
use crate::http::Refusal;
use crate::hub::{Batch, Next, Reader};
use crate::state::ServerState;

const SLOT: TransportSlot = TransportSlot::of(Transport::Tcp);
/// A join is small: a name, a number, a token.
const JOIN_BYTES_MAX: usize = 1 << 10;
/// Kind, author and ordinal of a post.
const POST_OVERHEAD_BYTES: usize = 13;
/// Read into by every connection of a thread in turn: an idle one keeps no buffer.
const SCRATCH_BYTES: usize = 16 << 10;

thread_local!(static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]));

/// Why a connection ends.
enum TcpEnd {
    /// The client did something wrong, or hit a limit, and is told.
    Error(ErrorBody, Counter),
    /// The server goes away.
    ServerClosing,
    /// It is over already.
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
        let hint = "see the frame format in crates/wire/src/binary.rs";
        Self::malformed(ErrorBody::new("frame", "", error.to_string(), hint))
    }
}

impl From<Refusal> for TcpEnd {
    fn from(refusal: Refusal) -> Self {
        let count = refusal.counter();
        Self::Error(refusal.into_body(), count)
    }
}

impl TcpEnd {
    const fn malformed(problem: ErrorBody) -> Self {
        Self::Error(problem, Counter::Malformed)
    }
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
        TcpEnd::Error(problem, count) => {
            socket.connection().count(count);
            ServerItem::Error(problem)
        }
    };
    send_final(&mut socket, &last).await.ok();
}

/// Tells a connection that the server is full.
pub(crate) async fn refuse(state: Arc<ServerState>, mut socket: CountedStream) {
    socket.connection().assign(SLOT);
    let refusal = Refusal::full("connections", state.limits.connections_max, "--connections-max");
    send_final(&mut socket, &ServerItem::Error(refusal.into_body())).await.ok();
}

/// Says the last thing.
async fn send_final(socket: &mut CountedStream, item: &ServerItem<'_>) -> io::Result<()> {
    write(socket, item).await?;
    socket.close_gracefully().await
}

async fn run(state: &ServerState, socket: &mut CountedStream) -> Result<std::convert::Infallible, TcpEnd> {
    socket.connection().assign(SLOT);
    socket.connection().expect_request();
    let join = read_join(socket).await?;
    state.access.check(join.token.as_deref()).map_err(TcpEnd::malformed)?;
    let room = state.hub.room(join.room.as_str()).map_err(Refusal::from)?;
    let mut reader = room
        .reader(Framing::LengthPrefixed.into(), join.start)
        .map_err(|ahead| Refusal::cursor_ahead(join.start, ahead))?;
    drop((room, join));
    let _busy = socket.busy_guard();
    write(socket, &ServerItem::Joined(Joined { after: reader.cursor() })).await?;
    let heartbeat = state.limits.heartbeat;
    let (mut unread, mut silent) = (Vec::new(), false);
    // One timer for all beats, and no waiting list for the socket: this loop turns once a delivery.
    let mut beat = std::pin::pin!(sleep(heartbeat));
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
            () = beat.as_mut() => {
                beat.as_mut().reset(Instant::now() + heartbeat);
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
    // Refused before a byte is kept for it.
    split_frame(&prefix, JOIN_BYTES_MAX)?;
    let mut item = vec![0; announced];
    socket.read_exact(&mut item).await?;
    match decode_up(&item)? {
        ClientItem::Join(join) => Ok(join),
        ClientItem::Post(_) => {
            Err(TcpEnd::malformed(ErrorBody::new("frame", "", "a post before the join", "join a room first")))
        }
    }
}

async fn deliver(socket: &mut CountedStream, batch: Batch) -> io::Result<()> {
    socket.connection().count_batch(SLOT, &batch, 0);
    socket.write_all(&batch.bytes).await
}

/// Reads once, publishes every whole post, keeps the rest in `unread`, and acknowledges them all in one write.
async fn receive_posts(
    state: &ServerState,
    socket: &mut CountedStream,
    reader: &Reader,
    unread: &mut Vec<u8>,
) -> Result<(), TcpEnd> {
    let mut acks = Vec::new();
    let outcome = SCRATCH.with_borrow_mut(|scratch| {
        let n = match socket.try_read(scratch) {
            Ok(0) => return Err(TcpEnd::Disconnected),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if unread.is_empty() {
            let taken = publish_all(state, socket, reader, &scratch[..n], &mut acks)?;
            unread.extend_from_slice(&scratch[taken..n]);
        } else {
            unread.extend_from_slice(&scratch[..n]);
            let taken = publish_all(state, socket, reader, unread, &mut acks)?;
            unread.drain(..taken);
        }
        if unread.is_empty() {
            *unread = Vec::new();
        }
        Ok(())
    });
    if !acks.is_empty() {
        socket.write_all(&acks).await?;
    }
    outcome
}

fn publish_all(
    state: &ServerState,
    socket: &CountedStream,
    reader: &Reader,
    bytes: &[u8],
    acks: &mut Vec<u8>,
) -> Result<usize, TcpEnd> {
    let max = state.limits.message_bytes_max + POST_OVERHEAD_BYTES;
    let mut taken = 0;
    while let Some(frame) = split_frame(&bytes[taken..], max)? {
        let ClientItem::Post(post) = decode_up(frame.item)? else {
            return Err(TcpEnd::malformed(ErrorBody::new(
                "frame",
                "",
                "a second join",
                "open another connection for another room",
            )));
        };
        let ack = publish(socket, reader, &post, frame.taken)?;
        let split = Framing::LengthPrefixed.encode(&ServerItem::Ack(ack), acks);
        socket.connection().counters().add_batch(SLOT, 0, 1, split);
        taken += frame.taken;
    }
    Ok(taken)
}

fn publish(socket: &CountedStream, reader: &Reader, post: &Post<'_>, frame_bytes: usize) -> Result<Ack, TcpEnd> {
    let payload = post.text.len() as u64;
    let framing = FRAME_PREFIX_BYTES as u64;
    let split = ByteCounts { payload, envelope: frame_bytes as u64 - framing - payload, framing };
    socket.connection().counters().add_post(SLOT, split);
    let seq = reader.room().publish(post).map_err(|_| TcpEnd::ServerClosing)?;
    Ok(Ack { ordinal: post.ordinal, seq })
}

/// Writes an item that is this client's alone.
async fn write(socket: &mut CountedStream, item: &ServerItem<'_>) -> io::Result<()> {
    let mut out = Vec::with_capacity(64);
    let split = Framing::LengthPrefixed.encode(item, &mut out);
    socket.connection().counters().add_batch(SLOT, 0, 1, split);
    socket.write_all(&out).await
}
