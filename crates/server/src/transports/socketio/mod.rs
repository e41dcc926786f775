//! Socket.IO, by socketioxide: what a Rust server would speak it with. Nothing else goes through that library, and it goes nowhere else.
//!
//! Namespaces `/` and `/chat` show the same rooms. A client connects (`auth` may hold the token), emits `join` with a room and a cursor,
//! and hears `message` and `gap` from then on; it emits `post`, and `leave`. Each is answered by its acknowledgement, with a problem where
//! it is refused. `encoding: "binary"` in the join makes messages and posts attachments.
//!
//! The house model stays: a session is a cursor. Its reader gives socketioxide a bounded number of packets and waits until they have
//! left ([`crate::backpressure`]), so that a slow client falls behind in the log and not in a queue. What differs from `websocket`: every packet is
//! written anew for every client, for the library has no other way.

mod forwarder;
mod library;
mod namespace_client;
mod request;
mod service;
mod sessions;
mod stream;
mod upgrade;
mod upgrade_state;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::{ParserConfig, SocketIo};
use tokio_util::task::TaskTracker;

use self::library::Library;
use self::namespace_client::NamespaceClient;
use self::service::SocketIoService;
use self::sessions::Sessions;
use crate::flow::QUEUE_PACKETS_MAX;
use crate::http::post_bytes_max;
use crate::state::ServerState;

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
pub(crate) fn open(state: &Arc<ServerState>) -> Arc<SocketIoService> {
    let limits = &state.limits;
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
        let (state, readers) = (Arc::clone(state), readers.clone());
        // Everything is in place before the client is told that it is connected: its first event finds its handler.
        let admit = move |socket: SocketRef, TryData(auth): TryData<Option<Auth>>| {
            let token = auth.ok().flatten().and_then(|auth| auth.token);
            std::future::ready(NamespaceClient::open(&state, &readers, &socket, token.as_deref()))
        };
        use socketioxide::handler::ConnectHandler as _;
        io.ns(namespace, (|| std::future::ready(())).with(admit));
    }
    let sessions = Sessions::new(limits.connections_max);
    state.tasks.spawn(close(Arc::clone(state), io, readers, Arc::clone(&sessions)));
    Arc::new(SocketIoService { state: Arc::clone(state), library: Library(service), sessions })
}

/// Ends all sessions when the server goes away, after what is left was handed over.
async fn close(state: Arc<ServerState>, io: SocketIo, readers: TaskTracker, sessions: Arc<Sessions>) {
    state.closing.cancelled().await;
    readers.close();
    tokio::time::timeout(GOODBYE_MAX, readers.wait()).await.ok();
    io.close().await;
    // socketioxide 0.18.9 closes the sessions in namespaces only.
    sessions.end_polls();
}
