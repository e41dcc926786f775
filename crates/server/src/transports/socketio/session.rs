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
use wire::{Ack, ByteCounts, ClientItem, Encoding, ErrorBody, Joined, Post, StartAt, Transport, WireError, decode_up};

use super::entries::Entry;
use super::feed::{Feed, label_now, ws_header};
use crate::app::App;
use crate::flow::Flow;
use crate::http::Refusal;
use crate::hub::{Reader, Room};
use crate::meter::{Count, Label};

/// A client's frame headers carry a mask.
const MASK_BYTES: usize = 4;

/// An event as it came.
struct Raw {
    socket: SocketRef,
    value: Value,
    wants_ack: bool,
}

impl FromMessage<LocalAdapter> for Raw {
    type Error = std::convert::Infallible;

    fn from_message(socket: Arc<Socket>, value: Value, ack: Option<i64>) -> Result<Self, Self::Error> {
        Ok(Self { socket: socket.into(), value, wants_ack: ack.is_some() })
    }
}

/// What a `join` says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    room: String,
    #[serde(rename = "after", default)]
    start: StartAt,
    #[serde(default)]
    encoding: Option<Encoding>,
}

/// Where a client stands that has joined.
struct Member {
    room: Arc<Room>,
    encoding: Encoding,
    reader: AbortHandle,
}

pub(super) struct Session {
    app: Arc<App>,
    flow: Arc<Flow>,
    readers: TaskTracker,
    label: Label,
    member: Mutex<Option<Member>>,
    ended: Arc<AtomicBool>,
    /// Whether it left an answer unread, and is on its way out.
    stalled: AtomicBool,
}

impl Session {
    /// Lets a client into a namespace, with everything that it may say there.
    pub(super) fn open(
        app: &Arc<App>,
        readers: &TaskTracker,
        socket: &SocketRef,
        token: Option<&str>,
    ) -> Result<(), ErrorBody> {
        let parts = socket.req_parts();
        let entry = parts.extensions.get::<Arc<Entry>>().expect("the door puts it into every opening");
        app.access
            .admits_token(&parts.headers, token)
            .inspect_err(|_| app.meter.add(entry.label, Count::Malformed, 1))?;
        let session = Arc::new(Self {
            app: Arc::clone(app),
            flow: Arc::clone(&entry.flow),
            readers: readers.clone(),
            label: entry.label,
            member: Mutex::default(),
            ended: Arc::default(),
            stalled: AtomicBool::new(false),
        });
        // The bodies run while the event is taken, one after the other; only what they return is a task.
        let here = Arc::clone(&session);
        socket.on("join", move |ack: AckSender, raw: Raw| {
            here.join(ack, &raw);
            std::future::ready(())
        });
        let here = Arc::clone(&session);
        socket.on("post", move |ack: AckSender, raw: Raw| {
            here.post(ack, &raw);
            std::future::ready(())
        });
        let here = Arc::clone(&session);
        socket.on("leave", move |ack: AckSender, raw: Raw| {
            here.leave();
            here.answer(ack, &raw, &true);
            std::future::ready(())
        });
        socket.on_disconnect(DisconnectSession(session));
        Ok(())
    }

    fn join(&self, ack: AckSender, raw: &Raw) {
        match self.admit(raw) {
            Ok((member, mut reader)) => {
                self.answer(ack, raw, &Joined { after: reader.cursor() });
                let feed = Feed {
                    meter: Arc::clone(&self.app.meter),
                    flow: Arc::clone(&self.flow),
                    label: self.label,
                    encoding: member.1,
                    socket: raw.socket.clone(),
                    ended: Arc::clone(&self.ended),
                };
                let task = self.readers.spawn(async move { feed.run(&mut reader).await });
                let (room, encoding) = member;
                *self.member() = Some(Member { room, encoding, reader: task.abort_handle() });
                if self.ended.load(SeqCst) {
                    self.leave();
                }
            }
            Err(refusal) => self.refuse(ack, raw, refusal),
        }
    }

    fn admit(&self, raw: &Raw) -> Result<((Arc<Room>, Encoding), Reader), Refusal> {
        let hint = "emit \"join\" with {\"room\":\"lobby\",\"after\":0}";
        let bad = |error: String| Refusal::bad(ErrorBody::new("join", "", error, hint));
        if self.member().is_some() {
            return Err(Refusal::bad(ErrorBody::new("join", "", "a second join", "emit \"leave\" first")));
        }
        let (data, _) = data_of(&raw.value).map_err(|error| bad(error.to_string()))?;
        let wish: Wish = serde_json::from_str(data).map_err(|error| bad(error.to_string()))?;
        let room = self.app.hub.room(&wish.room)?;
        let encoding = wish.encoding.unwrap_or(Encoding::Json);
        let form = Transport::Socketio.framing(encoding);
        let start = wish.start;
        let reader = room.reader(form.into(), start).map_err(|ahead| Refusal::cursor_ahead(start, ahead))?;
        Ok(((room, encoding), reader))
    }

    fn post(&self, ack: AckSender, raw: &Raw) {
        match self.publish(raw) {
            Ok(place) => self.answer(ack, raw, &place),
            Err(refusal) => self.refuse(ack, raw, refusal),
        }
    }

    fn publish(&self, raw: &Raw) -> Result<Ack, Refusal> {
        let member = self.member();
        let nowhere = || Refusal::bad(ErrorBody::new("post", "", "this client is in no room", "emit \"join\" first"));
        let member = member.as_ref().ok_or_else(nowhere)?;
        let bad = |error: WireError| Refusal::bad_post(&error);
        let (data, attached) = data_of(&raw.value).map_err(|error| bad(error.into()))?;
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
        crate::http::check_text(&self.app, post.text.len())?;
        self.meter_post(raw, &post, attached.map_or(data.len(), Bytes::len), attached.is_some());
        let seq = member.room.publish(&post).map_err(|_| Refusal::closing())?;
        Ok(Ack { ordinal: post.ordinal, seq })
    }

    /// What is known of a post's bytes: on polling the packets of a request share its framing, and only their own is counted.
    fn meter_post(&self, raw: &Raw, post: &Post<'_>, item: usize, attached: bool) {
        let payload = post.text.len();
        // `42`, the acknowledgement's number (one digit at least), and what `data_of` took away.
        let packet = raw.value.len() + 2 + usize::from(raw.wants_ack);
        let (text, beside) = if attached { (packet + 2, Some(item)) } else { (packet, None) };
        let headers = if raw.socket.transport_type() == TransportType::Websocket {
            MASK_BYTES + ws_header(text) + beside.map_or(0, |bytes| MASK_BYTES + ws_header(bytes))
        } else {
            0
        };
        let framing = text + beside.unwrap_or(0) - item + headers;
        let split = ByteCounts { payload: payload as u64, envelope: (item - payload) as u64, framing: framing as u64 };
        self.app.meter.add_post(label_now(self.label, &raw.socket), split);
    }

    fn refuse(&self, ack: AckSender, raw: &Raw, refusal: Refusal) {
        self.app.meter.add(label_now(self.label, &raw.socket), refusal.count(), 1);
        let problem = refusal.into_problem();
        if raw.wants_ack {
            return self.answer(ack, raw, &problem);
        }
        // Who does not ask for an answer hears of a refusal all the same.
        self.flow.give(0);
        self.check(raw, raw.socket.emit("problem", &problem));
    }

    /// Acknowledges an event with something that has its own JSON.
    fn answer(&self, ack: AckSender, raw: &Raw, data: &impl Serialize) {
        if raw.wants_ack {
            self.flow.give(0);
            let split = ByteCounts::default();
            let frames = u64::from(raw.socket.transport_type() == TransportType::Websocket);
            self.app.meter.add_batch(label_now(self.label, &raw.socket), 0, frames, split);
            self.check(raw, ack.send(data));
        }
    }

    /// An answer that the library does not take is a client that does not read: it goes, and comes back with its cursor.
    fn check(&self, raw: &Raw, sent: Result<(), SendError>) {
        match sent {
            Ok(()) | Err(SendError::Socket(SocketError::Closed)) => {}
            // Said and counted once: it is on its way out.
            Err(_) if self.stalled.swap(true, SeqCst) => {}
            Err(error) => {
                tracing::debug!(%error, "a packet was not taken");
                let label = label_now(self.label, &raw.socket);
                self.app.meter.add_all(label, [(Count::EmitErrors, 1), (Count::Stalled, 1)]);
                self.leave();
                let (flow, socket, patience) =
                    (Arc::clone(&self.flow), raw.socket.clone(), self.app.limits.stall_timeout);
                self.readers.spawn(async move {
                    tokio::time::timeout(patience, flow.is_empty()).await.ok();
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
        let label = label_now(self.label, socket);
        match reason {
            DisconnectReason::PacketParsingError if socket.transport_type() == TransportType::Websocket => {
                self.app.meter.add(label, Count::Malformed, 1);
            }
            DisconnectReason::HeartbeatTimeout => self.app.meter.add(label, Count::TimedOut, 1),
            _ => {}
        }
        self.ended.store(true, SeqCst);
        self.leave();
    }

    fn member(&self) -> MutexGuard<'_, Option<Member>> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a session when its socket leaves the namespace. A function in this place would do as well, but then socketioxide 0.18.9 removes
/// the socket from the namespace in a task, and ignores a CONNECT that arrives before that task runs.
struct DisconnectSession(Arc<Session>);

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
