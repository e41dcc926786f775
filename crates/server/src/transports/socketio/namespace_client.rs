//! One client in one namespace: its events, its room and its forwarder.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::header::AUTHORIZATION;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::handler::{DisconnectHandler, FromMessage, Value};
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide::{SendError, SocketError, TransportType};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;
use wire::{
    Ack, ByteCounts, ClientItem, Encoding, ErrorBody, Joined, Post, StartAt, Transport, WireError, decode_up,
    ws_header_len,
};

use super::backpressure::Backpressure;
use super::forwarder::{Forwarder, current_slot};
use super::sessions::SessionHandle;
use crate::counters::{Counter, TransportSlot};
use crate::hub::{Published, Reader, Room};
use crate::refusal::Refusal;
use crate::state::ServerState;

/// Posts of a client that may come before its room is there.
const EARLY_MAX: usize = 64;

/// An event that is not parsed yet.
struct IncomingEvent {
    socket: SocketRef,
    value: Value,
    wants_ack: bool,
}

impl FromMessage<LocalAdapter> for IncomingEvent {
    type Error = std::convert::Infallible;

    fn from_message(socket: Arc<Socket>, value: Value, ack: Option<i64>) -> Result<Self, Self::Error> {
        Ok(Self { socket: socket.into(), value, wants_ack: ack.is_some() })
    }
}

/// Data of the event `join`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinRequest {
    room: String,
    #[serde(rename = "after", default)]
    start: StartAt,
    #[serde(default)]
    encoding: Option<Encoding>,
}

/// The room of a client that has joined.
struct Membership {
    room: Arc<Room>,
    encoding: Encoding,
    forwarder: AbortHandle,
}

pub(super) struct NamespaceClient {
    state: Arc<ServerState>,
    backpressure: Arc<Backpressure>,
    forwarders: TaskTracker,
    slot: TransportSlot,
    member: Mutex<Option<Membership>>,
    /// Posts that came while the room of the join is copied from the shared log.
    early: Mutex<Option<Vec<(AckSender, IncomingEvent)>>>,
    ended: Arc<AtomicBool>,
    /// Whether the session is ending because the client does not read.
    stalled: AtomicBool,
}

impl NamespaceClient {
    /// Accepts a client in a namespace and registers its event handlers.
    pub(super) fn open(
        state: &Arc<ServerState>,
        forwarders: &TaskTracker,
        socket: &SocketRef,
        token: Option<&str>,
    ) -> Result<(), ErrorBody> {
        let parts = socket.req_parts();
        let handle = parts
            .extensions
            .get::<Arc<SessionHandle>>()
            .expect("`SocketIoService` inserts it into every opening request");
        state
            .access
            .admits_token(parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()), token)
            .inspect_err(|_| state.counters.add(handle.slot, Counter::Malformed, 1))?;
        let client = Arc::new(Self {
            state: Arc::clone(state),
            backpressure: Arc::clone(&handle.backpressure),
            forwarders: forwarders.clone(),
            slot: handle.slot,
            member: Mutex::default(),
            early: Mutex::default(),
            ended: Arc::default(),
            stalled: AtomicBool::new(false),
        });
        // socketioxide calls the handlers in the order of the events, and spawns only their
        // futures.
        let this = Arc::clone(&client);
        socket.on("join", move |ack: AckSender, event: IncomingEvent| {
            this.join(ack, event);
            std::future::ready(())
        });
        let this = Arc::clone(&client);
        socket.on("post", move |ack: AckSender, event: IncomingEvent| {
            this.post(ack, event);
            std::future::ready(())
        });
        let this = Arc::clone(&client);
        socket.on("leave", move |ack: AckSender, event: IncomingEvent| {
            this.leave();
            this.answer(ack, &event, &true);
            std::future::ready(())
        });
        socket.on_disconnect(OnDisconnect(client));
        Ok(())
    }

    fn join(self: &Arc<Self>, ack: AckSender, event: IncomingEvent) {
        let request = match self.join_request(&event) {
            Ok(request) => request,
            Err(refusal) => return self.refuse(ack, &event, refusal),
        };
        if self.early().is_some() {
            return self.refuse(ack, &event, joined_already());
        }
        if self.state.covers(&request.room, request.start) {
            return self.enter(ack, &event, &request);
        }
        *self.early() = Some(Vec::new());
        let this = Arc::clone(self);
        self.forwarders.spawn(async move {
            match this.state.copy(&request.room, request.start).await {
                Ok(_room) => this.enter(ack, &event, &request),
                Err(refusal) => this.refuse(ack, &event, refusal),
            }
            let mut early = this.early();
            early.take().into_iter().flatten().for_each(|(ack, event)| this.post_now(ack, event));
        });
    }

    fn enter(&self, ack: AckSender, event: &IncomingEvent, request: &JoinRequest) {
        match self.admit(request) {
            Ok((room, encoding, mut reader)) => {
                self.answer(ack, event, &Joined { after: reader.cursor() });
                let forwarder = Forwarder {
                    counters: Arc::clone(&self.state.counters),
                    backpressure: Arc::clone(&self.backpressure),
                    slot: self.slot,
                    encoding,
                    socket: event.socket.clone(),
                    ended: Arc::clone(&self.ended),
                };
                let task = self.forwarders.spawn(async move { forwarder.run(&mut reader).await });
                *self.member() = Some(Membership { room, encoding, forwarder: task.abort_handle() });
                if self.ended.load(SeqCst) {
                    self.leave();
                }
            }
            Err(refusal) => self.refuse(ack, event, refusal),
        }
    }

    fn join_request(&self, event: &IncomingEvent) -> Result<JoinRequest, Refusal> {
        let hint = "emit \"join\" with {\"room\":\"lobby\",\"after\":0}";
        let bad = |error: serde_json::Error| Refusal::bad_request(ErrorBody::new("join", "", error.to_string(), hint));
        let (data, _) = data_of(&event.value).map_err(bad)?;
        serde_json::from_str(data).map_err(bad)
    }

    fn admit(&self, request: &JoinRequest) -> Result<(Arc<Room>, Encoding, Reader), Refusal> {
        if self.member().is_some() {
            return Err(joined_already());
        }
        let room = self.state.hub.room(&request.room)?;
        let encoding = request.encoding.unwrap_or(Encoding::Json);
        let framing = Transport::Socketio.framing(encoding);
        let start = request.start;
        let reader = room.reader(framing.into(), start).map_err(|ahead| Refusal::cursor_ahead(start, ahead))?;
        Ok((room, encoding, reader))
    }

    fn post(self: &Arc<Self>, ack: AckSender, event: IncomingEvent) {
        if let Some(early) = self.early().as_mut().filter(|early| early.len() < EARLY_MAX) {
            return early.push((ack, event));
        }
        self.post_now(ack, event);
    }

    fn post_now(self: &Arc<Self>, ack: AckSender, event: IncomingEvent) {
        match self.publish(&event) {
            Ok((ordinal, Published::At(seq))) => self.answer(ack, &event, &Ack { ordinal, seq }),
            Ok((ordinal, published)) => {
                let this = Arc::clone(self);
                self.forwarders.spawn(async move {
                    match published.seq().await {
                        Ok(seq) => this.answer(ack, &event, &Ack { ordinal, seq }),
                        Err(not_taken) => this.refuse(ack, &event, not_taken.into()),
                    }
                });
            }
            Err(refusal) => self.refuse(ack, &event, refusal),
        }
    }

    /// Publishes the post of an event, and returns its ordinal.
    fn publish(&self, event: &IncomingEvent) -> Result<(u64, Published), Refusal> {
        let member = self.member();
        let not_joined = || {
            Refusal::bad_request(ErrorBody::new("post", "", "this client has joined no room", "emit \"join\" first"))
        };
        let member = member.as_ref().ok_or_else(not_joined)?;
        let bad = |error: WireError| Refusal::bad_post(&error);
        let (data, attached) = data_of(&event.value).map_err(|error| bad(error.into()))?;
        let post: Post<'_> = match (member.encoding, attached) {
            (Encoding::Json, None) => serde_json::from_str(data).map_err(|error| bad(error.into()))?,
            (Encoding::Binary, Some(bytes)) => match decode_up(bytes).map_err(bad)? {
                ClientItem::Post(post) => post,
                ClientItem::Join(_) => return Err(bad(WireError::UnknownKind(bytes[0]))),
            },
            (encoding, _) => {
                let expected = format!("this client joined for {} messages", encoding.name());
                return Err(Refusal::bad_request(ErrorBody::new("post", "", expected, "use the encoding of the join")));
            }
        };
        crate::http::check_text(&self.state, post.text.len())?;
        self.count_post(event, &post, attached.map_or(data.len(), Bytes::len), attached.is_some());
        Ok((post.ordinal, member.room.publish(&post)?))
    }

    /// Counts a post. On polling the packets of a request share its framing, and only their own
    /// bytes are counted here.
    fn count_post(&self, event: &IncomingEvent, post: &Post<'_>, item: usize, attached: bool) {
        let payload = post.text.len();
        // `42`, the acknowledgement's number (at least one digit), and the bytes that `data_of`
        // removes.
        let packet = event.value.len() + 2 + usize::from(event.wants_ack);
        let (text, beside) = if attached { (packet + 2, Some(item)) } else { (packet, None) };
        let headers = if event.socket.transport_type() == TransportType::Websocket {
            ws_header_len(text, true) + beside.map_or(0, |bytes| ws_header_len(bytes, true))
        } else {
            0
        };
        let framing = text + beside.unwrap_or(0) - item + headers;
        let byte_counts =
            ByteCounts { payload: payload as u64, envelope: (item - payload) as u64, framing: framing as u64 };
        self.state.counters.add_post(current_slot(self.slot, &event.socket), byte_counts);
    }

    fn refuse(&self, ack: AckSender, event: &IncomingEvent, refusal: Refusal) {
        self.state.counters.add(current_slot(self.slot, &event.socket), refusal.counter(), 1);
        let body = refusal.body;
        if event.wants_ack {
            return self.answer(ack, event, &body);
        }
        // Without an acknowledgement the refusal is an event.
        self.backpressure.queued(0);
        self.check(event, event.socket.emit("problem", &body));
    }

    /// Acknowledges an event, if the client asked for that.
    fn answer(&self, ack: AckSender, event: &IncomingEvent, data: &impl Serialize) {
        if event.wants_ack {
            self.backpressure.queued(0);
            let byte_counts = ByteCounts::default();
            let frames = u64::from(event.socket.transport_type() == TransportType::Websocket);
            self.state.counters.add_batch(current_slot(self.slot, &event.socket), 0, frames, byte_counts);
            self.check(event, ack.send(data));
        }
    }

    /// Ends the session if a packet was refused: the queue is full, so the client does not read.
    fn check(&self, event: &IncomingEvent, sent: Result<(), SendError>) {
        match sent {
            Ok(()) | Err(SendError::Socket(SocketError::Closed)) => {}
            // The session is ending already.
            Err(_) if self.stalled.swap(true, SeqCst) => {}
            Err(error) => {
                tracing::debug!(%error, "the queue of a session is full");
                let slot = current_slot(self.slot, &event.socket);
                self.state.counters.add_all(slot, [(Counter::EmitErrors, 1), (Counter::Stalled, 1)]);
                self.leave();
                let (backpressure, socket, limit) =
                    (Arc::clone(&self.backpressure), event.socket.clone(), self.state.limits.stall_timeout);
                self.forwarders.spawn(async move {
                    tokio::time::timeout(limit, backpressure.is_empty()).await.ok();
                    socket.disconnect().ok();
                });
            }
        }
    }

    fn leave(&self) {
        if let Some(member) = self.member().take() {
            member.forwarder.abort();
        }
    }

    fn end(&self, socket: &SocketRef, reason: &DisconnectReason) {
        let slot = current_slot(self.slot, socket);
        match reason {
            DisconnectReason::PacketParsingError if socket.transport_type() == TransportType::Websocket => {
                self.state.counters.add(slot, Counter::Malformed, 1);
            }
            DisconnectReason::HeartbeatTimeout => self.state.counters.add(slot, Counter::TimedOut, 1),
            _ => {}
        }
        self.ended.store(true, SeqCst);
        self.leave();
    }

    fn early(&self) -> MutexGuard<'_, Option<Vec<(AckSender, IncomingEvent)>>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn member(&self) -> MutexGuard<'_, Option<Membership>> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a client when its socket leaves the namespace. With a closure instead, socketioxide 0.18.9
/// would remove the socket from the namespace in a task, and ignore a CONNECT that arrives before
/// that task.
struct OnDisconnect(Arc<NamespaceClient>);

impl DisconnectHandler<LocalAdapter, ()> for OnDisconnect {
    fn call_with_defer(&self, socket: Arc<Socket>, reason: DisconnectReason, remove: fn(Arc<Socket>)) {
        self.0.end(&SocketRef::from(Arc::clone(&socket)), &reason);
        remove(socket);
    }
}

fn joined_already() -> Refusal {
    let hint = "emit \"leave\" first";
    Refusal::bad_request(ErrorBody::new("join", "", "this client has joined already", hint))
}

/// The argument of an event: its JSON, and its attachment.
fn data_of(value: &Value) -> Result<(&str, Option<&Bytes>), serde_json::Error> {
    let (text, attached) = match value {
        Value::Str(text, attached) => (&**text, attached.as_ref().and_then(|attached| attached.front())),
        Value::Bytes(_) => ("", None),
    };
    // The text between the event name and the closing bracket of the array. The caller parses it.
    let data = text.split_once(',').and_then(|(_, rest)| rest.strip_suffix(']'));
    data.map(|data| (data, attached)).ok_or_else(|| serde::de::Error::custom("an event needs one argument"))
}
