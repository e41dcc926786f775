//! Socket.IO, by socketioxide: what a Rust server would speak it with. Nothing else goes through that library, and it goes nowhere else.
//!
//! Namespaces `/` and `/chat` show the same rooms. A client connects (`auth` may hold the token), emits `join` with a room and a cursor,
//! and hears `message` and `gap` from then on; it emits `post`, and `leave`. Each is answered by its acknowledgement, with a problem where
//! it is refused. `encoding: "binary"` in the join makes messages and posts attachments.
//!
//! The house model stays: a session is a cursor. Its reader gives socketioxide a bounded number of packets and waits until they have
//! left ([`crate::flow`]), so that a slow client falls behind in the log and not in a queue. What differs from `websocket`: every packet is
//! written anew for every client, for the library has no other way.

mod door;
mod entries;
mod feed;
mod library;
mod request;
mod session;
mod stream;
mod upgrade;
mod upgrade_state;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::{ParserConfig, SocketIo};
use tokio_util::task::TaskTracker;

use self::door::Door;
use self::entries::Entries;
use self::library::Library;
use self::session::Session;
use crate::app::App;
use crate::flow::QUEUE_PACKETS_MAX;
use crate::http::post_bytes_max;

/// Where it lives.
pub(crate) const PATH: &str = "/socket.io/";
const NAMESPACES: [&str; 2] = ["/", "/chat"];
/// Room for a few posts.
const WS_READ_BUFFER_BYTES: usize = 1 << 10;
/// What a packet adds to a post: types, namespace, acknowledgement, event name.
const PACKET_OVERHEAD_BYTES: usize = 128;
/// Maximum number of attachments of an event. No event has more than the one of a post.
const ATTACHMENTS_MAX: usize = 1;
/// How long readers have to hand over what is left when the server goes away.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// What the payload of a CONNECT may say.
#[derive(serde::Deserialize)]
struct Auth {
    token: Option<String>,
}

/// Serves Socket.IO until the server closes.
pub(crate) fn open(app: &Arc<App>) -> Arc<Door> {
    let limits = &app.limits;
    // Maximum size of a body, of a WebSocket message, and of an attachment.
    let packet_bytes_max = post_bytes_max(limits.message_bytes_max) + PACKET_OVERHEAD_BYTES;
    let parser = ParserConfig::common()
        .max_incoming_binaries(ATTACHMENTS_MAX)
        .max_incoming_binary_buf_size(packet_bytes_max)
        .packet_completion_timeout(limits.header_timeout);
    let (service, io) = SocketIo::builder()
        .req_path("/socket.io")
        .ping_interval(limits.heartbeat)
        .ping_timeout(limits.stall_timeout)
        .connect_timeout(limits.header_timeout)
        .upgrade_timeout(limits.header_timeout)
        .with_parser(parser)
        .max_payload(packet_bytes_max as u64)
        .ws_max_message_size(packet_bytes_max)
        .ws_max_frame_size(packet_bytes_max)
        .max_buffer_size(QUEUE_PACKETS_MAX)
        .ws_read_buffer_size(WS_READ_BUFFER_BYTES)
        .build_with_inner_svc(Router::new());
    let readers = TaskTracker::new();
    for namespace in NAMESPACES {
        let (app, readers) = (Arc::clone(app), readers.clone());
        // Everything is in place before the client is told that it is connected: its first event finds its handler.
        let admit = move |socket: SocketRef, TryData(auth): TryData<Option<Auth>>| {
            let token = auth.ok().flatten().and_then(|auth| auth.token);
            std::future::ready(Session::open(&app, &readers, &socket, token.as_deref()))
        };
        use socketioxide::handler::ConnectHandler as _;
        io.ns(namespace, (|| std::future::ready(())).with(admit));
    }
    let entries = Entries::new(limits.connections_max);
    app.tasks.spawn(close(Arc::clone(app), io, readers, Arc::clone(&entries)));
    Arc::new(Door { app: Arc::clone(app), library: Library(service), entries })
}

/// Ends all sessions when the server goes away, after what is left was handed over.
async fn close(app: Arc<App>, io: SocketIo, readers: TaskTracker, entries: Arc<Entries>) {
    app.closing.cancelled().await;
    readers.close();
    tokio::time::timeout(GOODBYE_MAX, readers.wait()).await.ok();
    io.close().await;
    // socketioxide 0.18.9 closes the sessions in namespaces only.
    entries.end_polls();
}
