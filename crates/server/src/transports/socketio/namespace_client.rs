//! One client in one namespace: what it may say, and who feeds it.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    Ack, ByteCounts, ClientItem, Encoding, ErrorBody, Framing, Joined, Post, StartAt, Transport, WireError, decode_up,
};

use super::forwarder::{Forwarder, current_slot, ws_header};
use super::sessions::SessionHandle;
use crate::counters::{Counter, TransportSlot};
use crate::flow::Backpressure;
use crate::http::Refusal;
use crate::hub::{Reader, Room};
use crate::state::ServerState;

/// A client's frame headers carry a mask.
const MASK_BYTES: usize = 4;

/// An event as it came.
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

/// What a `join` says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinRequest {
    room: String,
    #[serde(rename = "after", default)]
    start: StartAt,
    #[serde(default)]
    encoding: Option<Encoding>,
}

/// Where a client stands that has joined.
struct Membership {
    room: Arc<Room>,
    encoding: Encoding,
    reader: AbortHandle,
}

pub(super) struct NamespaceClient {
    state: Arc<ServerState>,
    backpressure: Arc<Backpressure>,
    readers: TaskTracker,
    slot: TransportSlot,
    member: Mutex<Option<Membership>>,
    ended: Arc<AtomicBool>,
    /// Whether it left an answer unread, and is on its way out.
    stalled: AtomicBool,
}

impl NamespaceClient {
    /// Lets a client into a namespace, with everything that it may say there.
    pub(super) fn open(
        state: &Arc<ServerState>,
        readers: &TaskTracker,
        socket: &SocketRef,
        token: Option<&str>,
    ) -> Result<(), ErrorBody> {
        let parts = socket.req_parts();
        let session = parts.extensions.get::<Arc<SessionHandle>>().expect("the door puts it into every opening");
        state
            .access
            .admits_token(&parts.headers, token)
            .inspect_err(|_| state.counters.add(session.slot, Counter::Malformed, 1))?;
        let session = Arc::new(Self {
            state: Arc::clone(state),
            backpressure: Arc::clone(&session.backpressure),
            readers: readers.clone(),
            slot: session.slot,
            member: Mutex::default(),
            ended: Arc::default(),
            stalled: AtomicBool::new(false),
        });
        // The bodies run while the event is taken, one after the other; only what they return is a task.
        let here = Arc::clone(&session);
        socket.on("join", move |ack: AckSender, event: IncomingEvent| {
            here.join(ack, &event);
            std::future::ready(())
        });
        let here = Arc::clone(&session);
        socket.on("post", move |ack: AckSender, event: IncomingEvent| {
            here.post(ack, &event);
            std::future::ready(())
        });
        let here = Arc::clone(&session);
        socket.on("leave", move |ack: AckSender, event: IncomingEvent| {
            here.leave();
            here.answer(ack, &event, &true);
            std::future::ready(())
        });
        socket.on_disconnect(DisconnectSession(session));
        Ok(())
    }

    fn join(&self, ack: AckSender, event: &IncomingEvent) {
        match self.admit(event) {
            Ok((member, mut reader)) => {
                self.answer(ack, event, &Joined { after: reader.cursor() });
                let forwarder = Forwarder {
                    counters: Arc::clone(&self.state.counters),
                    backpressure: Arc::clone(&self.backpressure),
                    slot: self.slot,
                    encoding: member.1,
                    socket: event.socket.clone(),
                    ended: Arc::clone(&self.ended),
                };
                let task = self.readers.spawn(async move { forwarder.run(&mut reader).await });
                let (room, encoding) = member;
                *self.member() = Some(Membership { room, encoding, reader: task.abort_handle() });
                if self.ended.load(SeqCst) {
                    self.leave();
                }
            }
            Err(refusal) => self.refuse(ack, event, refusal),
        }
    }

    fn admit(&self, event: &IncomingEvent) -> Result<((Arc<Room>, Encoding), Reader), Refusal> {
        let hint = "emit \"join\" with {\"room\":\"lobby\",\"after\":0}";
        let bad = |error: String| Refusal::bad(ErrorBody::new("join", "", error, hint));
        if self.member().is_some() {
            return Err(Refusal::bad(ErrorBody::new("join", "", "a second join", "emit \"leave\" first")));
        }
        let (data, _) = data_of(&event.value).map_err(|error| bad(error.to_string()))?;
        let request: JoinRequest = serde_json::from_str(data).map_err(|error| bad(error.to_string()))?;
        let room = self.state.hub.room(&request.room)?;
        let encoding = request.encoding.unwrap_or(Encoding::Json);
        let framing = Framing::of(Transport::Socketio, encoding);
        let start = request.start;
        let reader = room.reader(framing.into(), start).map_err(|ahead| Refusal::cursor_ahead(start, ahead))?;
        Ok(((room, encoding), reader))
    }

    fn post(&self, ack: AckSender, event: &IncomingEvent) {
        match self.publish(event) {
            Ok(place) => self.answer(ack, event, &place),
            Err(refusal) => self.refuse(ack, event, refusal),
        }
    }

    fn publish(&self, event: &IncomingEvent) -> Result<Ack, Refusal> {
        let member = self.member();
        let nowhere = || Refusal::bad(ErrorBody::new("post", "", "this client is in no room", "emit \"join\" first"));
        let member = member.as_ref().ok_or_else(nowhere)?;
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
                return Err(Refusal::bad(ErrorBody::new("post", "", expected, "join with the encoding you post in")));
            }
        };
        crate::http::check_text(&self.state, post.text.len())?;
        self.count_post(event, &post, attached.map_or(data.len(), Bytes::len), attached.is_some());
        let seq = member.room.publish(&post).map_err(|_| Refusal::closing())?;
        Ok(Ack { ordinal: post.ordinal, seq })
    }

    /// What is known of a post's bytes: on polling the packets of a request share its framing, and only their own is counted.
    fn count_post(&self, event: &IncomingEvent, post: &Post<'_>, item: usize, attached: bool) {
        let payload = post.text.len();
        // `42`, the acknowledgement's number (one digit at least), and what `data_of` took away.
        let packet = event.value.len() + 2 + usize::from(event.wants_ack);
        let (text, beside) = if attached { (packet + 2, Some(item)) } else { (packet, None) };
        let headers = if event.socket.transport_type() == TransportType::Websocket {
            MASK_BYTES + ws_header(text) + beside.map_or(0, |bytes| MASK_BYTES + ws_header(bytes))
        } else {
            0
        };
        let framing = text + beside.unwrap_or(0) - item + headers;
        let split = ByteCounts { payload: payload as u64, envelope: (item - payload) as u64, framing: framing as u64 };
        self.state.counters.add_post(current_slot(self.slot, &event.socket), split);
    }

    fn refuse(&self, ack: AckSender, event: &IncomingEvent, refusal: Refusal) {
        self.state.counters.add(current_slot(self.slot, &event.socket), refusal.counter(), 1);
        let problem = refusal.into_body();
        if event.wants_ack {
            return self.answer(ack, event, &problem);
        }
        // Who does not ask for an answer hears of a refusal all the same.
        self.backpressure.queued(0);
        self.check(event, event.socket.emit("problem", &problem));
    }

    /// Acknowledges an event with something that has its own JSON.
    fn answer(&self, ack: AckSender, event: &IncomingEvent, data: &impl Serialize) {
        if event.wants_ack {
            self.backpressure.queued(0);
            let split = ByteCounts::default();
            let frames = u64::from(event.socket.transport_type() == TransportType::Websocket);
            self.state.counters.add_batch(current_slot(self.slot, &event.socket), 0, frames, split);
            self.check(event, ack.send(data));
        }
    }

    /// An answer that the library does not take is a client that does not read: it goes, and comes back with its cursor.
    fn check(&self, event: &IncomingEvent, sent: Result<(), SendError>) {
        match sent {
            Ok(()) | Err(SendError::Socket(SocketError::Closed)) => {}
            // Said and counted once: it is on its way out.
            Err(_) if self.stalled.swap(true, SeqCst) => {}
            Err(error) => {
                tracing::debug!(%error, "a packet was not taken");
                let slot = current_slot(self.slot, &event.socket);
                self.state.counters.add_all(slot, [(Counter::EmitErrors, 1), (Counter::Stalled, 1)]);
                self.leave();
                let (backpressure, socket, timeouts) =
                    (Arc::clone(&self.backpressure), event.socket.clone(), self.state.limits.stall_timeout);
                self.readers.spawn(async move {
                    tokio::time::timeout(timeouts, backpressure.is_empty()).await.ok();
                    socket.disconnect().ok();
                });
            }
        }
    }

    fn leave(&self) {
        if let Some(member) = self.member().take() {
            member.reader.abort();
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

    fn member(&self) -> MutexGuard<'_, Option<Membership>> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a session when its socket leaves the namespace. A function in this place would do as well, but then socketioxide 0.18.9 removes
/// the socket from the namespace in a task, and ignores a CONNECT that arrives before that task runs.
struct DisconnectSession(Arc<NamespaceClient>);

impl DisconnectHandler<LocalAdapter, ()> for DisconnectSession {
    fn call_with_defer(&self, socket: Arc<Socket>, reason: DisconnectReason, remove: fn(Arc<Socket>)) {
        self.0.end(&SocketRef::from(Arc::clone(&socket)), &reason);
        remove(socket);
    }
}

/// An event's one argument: its JSON, and the attachment it stands for, if it has one.
fn data_of(value: &Value) -> Result<(&str, Option<&Bytes>), serde_json::Error> {
    let (text, attached) = match value {
        Value::Str(text, attached) => (&**text, attached.as_ref().and_then(|attached| attached.front())),
        Value::Bytes(_) => ("", None),
    };
    // Everything behind the name, up to the bracket that closes the array: what it is, its reader says.
    let data = text.split_once(',').and_then(|(_, rest)| rest.strip_suffix(']'));
    data.map(|data| (data, attached)).ok_or_else(|| serde::de::Error::custom("an event has one argument"))
}
