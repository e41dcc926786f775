//! A connection on the HTTP port while its requests are polls, streams and posts of rooms.
//!
//! These are most requests of a chat, and an HTTP library would add its buffers and its work to
//! each. So they are parsed in a buffer that all connections of a thread share, and answered with
//! bytes that all clients with the same cursor share. A client that waits has its cursor, its waker
//! and its socket. All other requests are left unread for `http_connection`: WebSockets, Socket.IO,
//! `/stats`, invalid ones, and those whose body is late, too long or in chunks.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use wire::{Ack, ByteCounts, StartAt, Transport};

use crate::connection::{Connection, CountedStream, Timer, with_scratch};
use crate::counters::{Counter, TransportSlot};
use crate::http::{
    HEAD_BYTES_MAX, ParsedHead, ParsedRead, ReadEndpoint, ReadKind, ReadRequest, RequestHead, ResponseForm, Stream,
    batch_head, check_post, empty_response, json_response, opening_head, post_bytes_max, publish_body,
    refusal_response,
};
use crate::hub::{Batch, Next, Published, Reader, Room};
use crate::refusal::Refusal;
use crate::state::ServerState;
use crate::transports;

/// Why the requests of rooms end on a connection.
pub(super) enum RoomEnd {
    /// The connection has ended, or it is idle and the server is shutting down.
    Ended,
    /// The last response is written.
    Closes,
    /// A stream begins.
    Stream(Stream),
    /// The next request needs an HTTP library.
    Unusual,
}

/// Serves the requests of rooms on a connection, until there is another one.
pub(super) async fn serve(state: &Arc<ServerState>, socket: &mut CountedStream) -> io::Result<RoomEnd> {
    let mut closing = pin!(state.closing.cancelled());
    let mut connection = RoomConnection {
        state,
        socket,
        unread: Vec::new(),
        reader: None,
        copied: None,
        hold_timer: None,
        watches_shutdown: false,
    };
    let end = loop {
        let response = match poll_fn(|cx| connection.poll_next(closing.as_mut(), cx)).await? {
            Step::Respond(response) => response,
            Step::Hold(hold) => match connection.hold(hold).await? {
                Some(response) => response,
                None => break RoomEnd::Ended,
            },
            Step::Publish { ordinal, published, form } => match published.seq().await {
                Ok(seq) => connection.acknowledge(&form, &Ack { ordinal, seq }),
                Err(not_taken) => connection.refuse(&form, &not_taken.into()),
            },
            Step::Copy { room, start } => {
                connection.copied = Some(Box::pin(state.copy(&room, start)).await);
                continue;
            }
            Step::End(end) => break end,
            Step::IncompleteHead | Step::IncompleteBody => continue,
        };
        let closes = response.closes;
        connection.write(response).await?;
        if closes {
            break RoomEnd::Closes;
        }
    };
    let unread = connection.unread;
    socket.put_back(&unread);
    Ok(end)
}

struct RoomConnection<'a> {
    state: &'a Arc<ServerState>,
    socket: &'a mut CountedStream,
    /// The beginning of the next request, and requests sent before the last one was answered.
    unread: Vec<u8>,
    /// The reader of the last poll. The next one is mostly in the same room.
    reader: Option<Reader>,
    /// The room that the next request was waiting for.
    copied: Option<Result<Arc<Room>, Refusal>>,
    hold_timer: Option<Timer<Box<Sleep>>>,
    /// Whether the shutdown of the server wakes this task.
    watches_shutdown: bool,
}

/// What the bytes of a client ask for.
enum Step {
    IncompleteHead,
    IncompleteBody,
    Respond(RoomResponse),
    Hold(Hold),
    /// The post waits for its number from the shared log.
    Publish {
        ordinal: u64,
        published: Published,
        form: ResponseForm,
    },
    /// The reader needs more of the shared log. Its request is parsed again afterwards.
    Copy {
        room: String,
        start: StartAt,
    },
    End(RoomEnd),
}

/// A poll that waits for a message.
struct Hold {
    reader: Reader,
    time: Duration,
    form: ResponseForm,
    had_cursor: bool,
}

struct RoomResponse {
    head: Bytes,
    body: Bytes,
    closes: bool,
}

impl RoomConnection<'_> {
    fn connection(&self) -> &Arc<Connection> {
        self.socket.connection()
    }

    /// Reads until there is a request, and answers it as far as that needs no waiting.
    fn poll_next(
        &mut self,
        closing: Pin<&mut impl Future<Output = ()>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Step>> {
        let mut step = Step::IncompleteHead;
        if !self.unread.is_empty() {
            step = self.next_unread();
        }
        while matches!(step, Step::IncompleteHead | Step::IncompleteBody) {
            let read = with_scratch(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut *self.socket).poll_read(cx, &mut buffer))?;
                Poll::Ready(io::Result::Ok(self.next_read(buffer.filled())))
            });
            step = match read {
                Poll::Ready(step) => step?,
                // The library waits for the rest of a body, and knows what to say if it is late.
                Poll::Pending if matches!(step, Step::IncompleteBody) => Step::End(RoomEnd::Unusual),
                Poll::Pending => {
                    let watched = std::mem::replace(&mut self.watches_shutdown, true);
                    if self.state.is_closing() || (!watched && closing.poll(cx).is_ready()) {
                        return Poll::Ready(Ok(Step::End(RoomEnd::Ended)));
                    }
                    return Poll::Pending;
                }
            };
        }
        Poll::Ready(Ok(step))
    }

    /// The step after a read of these bytes.
    fn next_read(&mut self, new: &[u8]) -> Step {
        if new.is_empty() {
            return Step::End(RoomEnd::Ended);
        }
        if !self.unread.is_empty() {
            self.unread.extend_from_slice(new);
            return self.next_unread();
        }
        let (step, taken) = self.next(new);
        self.unread.extend_from_slice(&new[taken..]);
        step
    }

    fn next_unread(&mut self) -> Step {
        let mut unread = std::mem::take(&mut self.unread);
        let (step, taken) = self.next(&unread);
        if taken < unread.len() {
            unread.drain(..taken);
            self.unread = unread;
        }
        step
    }

    /// Parses and answers the first request in `bytes`. Returns its size, or 0 if it was not
    /// answered.
    fn next(&mut self, bytes: &[u8]) -> (Step, usize) {
        let unusual = (Step::End(RoomEnd::Unusual), 0);
        let (head, head_bytes, body_bytes) = match RequestHead::parse(bytes) {
            ParsedHead::Complete { head, head_bytes, body_bytes } => (head, head_bytes, body_bytes),
            ParsedHead::Incomplete if bytes.len() < HEAD_BYTES_MAX => return (Step::IncompleteHead, 0),
            ParsedHead::Incomplete | ParsedHead::Unusual => return unusual,
        };
        let Some(transport) = head.transport else { return unusual };
        let Some(endpoint) = transports::endpoint(transport) else { return unusual };
        if head.host.is_some_and(|host| !self.state.admits_host(host)) {
            return unusual;
        }
        let is_post = head.method == Method::POST;
        let body_bytes_max = if is_post { post_bytes_max(self.state.limits.message_bytes_max) } else { 0 };
        let is_websocket = matches!(endpoint.kind, ReadKind::WebSocket(_));
        if body_bytes > body_bytes_max || (is_websocket && !is_post) {
            return unusual;
        }
        let Some(body) = bytes.get(head_bytes..head_bytes + body_bytes) else { return (Step::IncompleteBody, 0) };
        if self.copied.is_none() {
            self.connection().begin_request(TransportSlot::of(transport));
        }
        let mut form = ResponseForm::new(&self.state.access, &head);
        form.closes |= self.state.is_closing();
        let step = if is_post { self.post(&head, &form, body) } else { self.read(transport, endpoint, &head, &form) };
        let step = step.unwrap_or_else(|refusal| Step::Respond(self.refuse(&form, &refusal)));
        let taken = if matches!(step, Step::Copy { .. }) { 0 } else { head_bytes + body_bytes };
        (step, taken)
    }

    fn post(&self, head: &RequestHead<'_>, form: &ResponseForm, body: &[u8]) -> Result<Step, Refusal> {
        let room = check_post(self.state, head)?;
        match publish_body(self.state, self.connection(), &room, body)? {
            (ordinal, Published::At(seq)) => Ok(Step::Respond(self.acknowledge(form, &Ack { ordinal, seq }))),
            (ordinal, published) => Ok(Step::Publish { ordinal, published, form: form.clone() }),
        }
    }

    fn acknowledge(&self, form: &ResponseForm, ack: &Ack) -> RoomResponse {
        let (head, body) = json_response(form, StatusCode::OK, &[], ack);
        let byte_counts = ByteCounts { envelope: body.len() as u64, ..ByteCounts::default() };
        let stats = &self.connection().stats;
        stats.counters().add_batch(stats.slot(), 0, 0, byte_counts);
        RoomResponse { head, body, closes: form.closes }
    }

    fn read(
        &mut self,
        transport: Transport,
        endpoint: &ReadEndpoint,
        head: &RequestHead<'_>,
        form: &ResponseForm,
    ) -> Result<Step, Refusal> {
        let copied = self.copied.take().transpose()?;
        let parsed = ReadRequest::parse(self.state, transport, endpoint, head, self.reader.take(), copied.is_some())?;
        let mut read = match parsed {
            ParsedRead::Accepted(read) => read,
            ParsedRead::NotCopied(start) => return Ok(Step::Copy { room: head.room.to_owned(), start }),
        };
        let time = match endpoint.kind {
            ReadKind::Poll(hold_time) => hold_time(&read, &self.state.limits)?,
            ReadKind::Stream(kind) if form.is_head_only => {
                let head = opening_head(kind, form).into();
                return Ok(Step::Respond(RoomResponse { head, body: Bytes::new(), closes: true }));
            }
            ReadKind::Stream(kind) => {
                let stream = Stream::open(self.state, self.connection(), read, kind, head, form)?;
                return Ok(Step::End(RoomEnd::Stream(stream)));
            }
            ReadKind::WebSocket(_) => return Ok(Step::End(RoomEnd::Unusual)),
        };
        if !time.is_zero() {
            let hold = Hold { reader: read.reader, time, form: form.clone(), had_cursor: read.had_cursor };
            return Ok(Step::Hold(hold));
        }
        let batch = read.reader.since();
        let cursor = (!read.had_cursor).then(|| read.reader.cursor());
        self.reader = Some(read.reader);
        Ok(Step::Respond(self.answer(form, cursor, batch)))
    }

    /// Waits for a message until the time is over. `None`: the client has disconnected.
    async fn hold(&mut self, mut hold: Hold) -> io::Result<Option<RoomResponse>> {
        let ends = Instant::now() + hold.time;
        self.connection().state.set_busy();
        let next = poll_fn(|cx| self.poll_hold(&mut hold.reader, ends, cx)).await?;
        self.connection().state.set_idle();
        let batch = match next {
            Held::Next(Next::Batch(batch)) => Some(batch),
            Held::TimeIsOver => None,
            Held::Disconnected => return Ok(None),
            Held::Next(Next::Closed) => {
                hold.form.closes = true;
                return Ok(Some(self.refuse(&hold.form, &Refusal::closing())));
            }
        };
        let cursor = (!hold.had_cursor).then(|| hold.reader.cursor());
        self.reader = Some(hold.reader);
        Ok(Some(self.answer(&hold.form, cursor, batch)))
    }

    fn poll_hold(&mut self, reader: &mut Reader, ends: Instant, cx: &mut Context<'_>) -> Poll<io::Result<Held>> {
        if let Poll::Ready(next) = reader.poll_once(cx) {
            return Poll::Ready(Ok(Held::Next(next)));
        }
        while self.unread.len() < HEAD_BYTES_MAX {
            let read = with_scratch(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut *self.socket).poll_read(cx, &mut buffer))?;
                self.unread.extend_from_slice(buffer.filled());
                Poll::Ready(io::Result::Ok(buffer.filled().len()))
            });
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(Held::Disconnected)),
                Poll::Ready(outcome) => drop(outcome?),
                Poll::Pending => break,
            }
        }
        let timer = self.hold_timer.get_or_insert_with(|| Timer::new(Box::pin(sleep_until(ends))));
        timer.poll_until(ends, cx).map(|()| Ok(Held::TimeIsOver))
    }

    /// The response to a poll.
    fn answer(&self, form: &ResponseForm, cursor: Option<u64>, batch: Option<Batch>) -> RoomResponse {
        let stats = &self.connection().stats;
        let Some(batch) = batch else {
            stats.count(Counter::EmptyAnswers);
            return RoomResponse { head: empty_response(form, cursor), body: Bytes::new(), closes: form.closes };
        };
        stats.count_batch(stats.slot(), &batch, 0);
        let mut body = batch.bytes;
        if form.is_head_only {
            let end = body.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
            body.truncate(end);
        }
        RoomResponse { head: batch_head(form, cursor), body, closes: form.closes }
    }

    fn refuse(&self, form: &ResponseForm, refusal: &Refusal) -> RoomResponse {
        self.connection().stats.count(refusal.counter());
        let (head, body) = refusal_response(form, refusal);
        RoomResponse { head, body, closes: form.closes }
    }

    async fn write(&mut self, mut response: RoomResponse) -> io::Result<()> {
        poll_fn(|cx| {
            while response.head.has_remaining() || response.body.has_remaining() {
                let slices = [IoSlice::new(&response.head), IoSlice::new(&response.body)];
                let socket = Pin::new(&mut *self.socket);
                let written = ready!(match slices {
                    [head, body] if body.is_empty() => socket.poll_write(cx, &head),
                    both => socket.poll_write_vectored(cx, &both),
                })?;
                let of_head = written.min(response.head.len());
                response.head.advance(of_head);
                response.body.advance(written - of_head);
            }
            Poll::Ready(Ok(()))
        })
        .await
    }
}

/// Why a poll is held no longer.
enum Held {
    Next(Next),
    TimeIsOver,
    Disconnected,
}
