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

use crate::app::App;
use crate::http::Refusal;
use crate::hub::{Batch, Next, Reader};
use crate::meter::{Count, Label};
use crate::net::Socket;

const LABEL: Label = Label::of(Transport::Tcp);
/// A join is small: a name, a number, a token.
const JOIN_BYTES_MAX: usize = 1 << 10;
/// Kind, author and ordinal of a post.
const POST_OVERHEAD_BYTES: usize = 13;
/// Read into by every connection of a thread in turn: an idle one keeps no buffer.
const SCRATCH_BYTES: usize = 16 << 10;

thread_local!(static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]));

/// Why a connection ends.
enum End {
    /// The client did something wrong, or hit a limit, and is told.
    Told(ErrorBody, Count),
    /// The server goes away.
    Bye,
    /// It is over already.
    Gone,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "a tcp connection ended");
        Self::Gone
    }
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        let hint = "see the frame layout in crates/wire/src/binary.rs";
        Self::malformed(ErrorBody::new("frame", "", error.to_string(), hint))
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        let count = refusal.count();
        Self::Told(refusal.into_problem(), count)
    }
}

impl End {
    const fn malformed(problem: ErrorBody) -> Self {
        Self::Told(problem, Count::Malformed)
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(app: Arc<App>, mut socket: Socket) {
    let end = match talk(&app, &mut socket).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    let last = match end {
        End::Gone => return,
        End::Bye => ServerItem::Bye,
        End::Told(problem, count) => {
            socket.gauge().count(count);
            ServerItem::Error(problem)
        }
    };
    farewell(&mut socket, &last).await.ok();
}

/// Tells a connection that the server is full.
pub(crate) async fn refuse(app: Arc<App>, mut socket: Socket) {
    socket.gauge().attribute(LABEL);
    let refusal = Refusal::full("connections", app.limits.connections_max, "--connections-max");
    farewell(&mut socket, &ServerItem::Error(refusal.into_problem())).await.ok();
}

/// Says the last thing.
async fn farewell(socket: &mut Socket, item: &ServerItem<'_>) -> io::Result<()> {
    write(socket, item).await?;
    socket.linger().await
}

async fn talk(app: &App, socket: &mut Socket) -> Result<std::convert::Infallible, End> {
    socket.gauge().attribute(LABEL);
    socket.gauge().expect_more();
    let join = read_join(socket).await?;
    app.access.check(join.token.as_deref()).map_err(End::malformed)?;
    let room = app.hub.room(join.room.as_str()).map_err(Refusal::from)?;
    let mut reader = room
        .reader(Framing::LengthPrefixed.into(), join.start)
        .map_err(|ahead| Refusal::cursor_ahead(join.start, ahead))?;
    drop((room, join));
    let _held = socket.hold();
    write(socket, &ServerItem::Joined(Joined { after: reader.cursor() })).await?;
    let heartbeat = app.limits.heartbeat;
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
                Next::Closed => return Err(End::Bye),
            },
            readable = socket.readable() => {
                readable?;
                take_posts(app, socket, &reader, &mut unread).await?;
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

async fn read_join(socket: &mut Socket) -> Result<Join, End> {
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
            Err(End::malformed(ErrorBody::new("frame", "", "a post before the join", "join a room first")))
        }
    }
}

async fn deliver(socket: &mut Socket, batch: Batch) -> io::Result<()> {
    socket.gauge().deliver(LABEL, &batch, 0);
    socket.write_all(&batch.bytes).await
}

/// Reads once, publishes every whole post, keeps the rest in `unread`, and acknowledges them all in one write.
async fn take_posts(app: &App, socket: &mut Socket, reader: &Reader, unread: &mut Vec<u8>) -> Result<(), End> {
    let mut acks = Vec::new();
    let outcome = SCRATCH.with_borrow_mut(|scratch| {
        let n = match socket.try_read(scratch) {
            Ok(0) => return Err(End::Gone),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if unread.is_empty() {
            let taken = publish_all(app, socket, reader, &scratch[..n], &mut acks)?;
            unread.extend_from_slice(&scratch[taken..n]);
        } else {
            unread.extend_from_slice(&scratch[..n]);
            let taken = publish_all(app, socket, reader, unread, &mut acks)?;
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

fn publish_all(app: &App, socket: &Socket, reader: &Reader, bytes: &[u8], acks: &mut Vec<u8>) -> Result<usize, End> {
    let max = app.limits.message_bytes_max + POST_OVERHEAD_BYTES;
    let mut taken = 0;
    while let Some(frame) = split_frame(&bytes[taken..], max)? {
        let ClientItem::Post(post) = decode_up(frame.item)? else {
            return Err(End::malformed(ErrorBody::new(
                "frame",
                "",
                "a second join",
                "open another connection for another room",
            )));
        };
        let ack = publish(socket, reader, &post, frame.taken)?;
        let split = Framing::LengthPrefixed.encode(&ServerItem::Ack(ack), acks);
        socket.gauge().meter().add_batch(LABEL, 0, 1, split);
        taken += frame.taken;
    }
    Ok(taken)
}

fn publish(socket: &Socket, reader: &Reader, post: &Post<'_>, frame_bytes: usize) -> Result<Ack, End> {
    let payload = post.text.len() as u64;
    let framing = FRAME_PREFIX_BYTES as u64;
    let split = ByteCounts { payload, envelope: frame_bytes as u64 - framing - payload, framing };
    socket.gauge().meter().add_post(LABEL, split);
    let seq = reader.room().publish(post).map_err(|_| End::Bye)?;
    Ok(Ack { ordinal: post.ordinal, seq })
}

/// Writes an item that is this client's alone.
async fn write(socket: &mut Socket, item: &ServerItem<'_>) -> io::Result<()> {
    let mut out = Vec::with_capacity(64);
    let split = Framing::LengthPrefixed.encode(item, &mut out);
    socket.gauge().meter().add_batch(LABEL, 0, 1, split);
    socket.write_all(&out).await
}
