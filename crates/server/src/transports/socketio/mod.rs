//! Socket.IO by socketioxide, the library that a Rust server would use.
//!
//! Namespaces `/` and `/chat` show the same rooms. A client connects (`auth` may hold the token)
//! and emits `join` with a room and a cursor. Then it receives `message` and `gap`, and emits
//! `post` and `leave`. Each event of the client is acknowledged; the acknowledgement of a refused
//! one is an error body. `encoding: "binary"` in the join makes messages and posts attachments.
//!
//! As with the other transports, a session is a cursor. Its forwarder queues a bounded number of
//! packets and waits until they are written ([`backpressure`]), so a slow client falls behind in
//! the log and not in a queue. Unlike `websocket`, each packet is encoded for each client: the
//! library has no other way.

mod backpressure;
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

use self::backpressure::QUEUE_PACKETS_MAX;
use self::library::Library;
use self::namespace_client::NamespaceClient;
use self::service::SocketIoService;
use self::sessions::Sessions;
use crate::http::post_bytes_max;
use crate::state::ServerState;

/// Path of all its requests.
pub(crate) const PATH: &str = "/socket.io/";
const NAMESPACES: [&str; 2] = ["/", "/chat"];
/// Enough for a few posts.
const WS_READ_BUFFER_BYTES: usize = 1 << 10;
/// Bytes of a packet besides its post: types, namespace, acknowledgement, event name.
const PACKET_OVERHEAD_BYTES: usize = 128;
/// Maximum number of attachments of an event. No event has more than the one of a post.
const ATTACHMENTS_MAX: usize = 1;
/// How long forwarders may take for the remaining messages when the server shuts down.
const FORWARD_MAX: Duration = Duration::from_secs(2);

/// Payload of a CONNECT.
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
    let forwarders = TaskTracker::new();
    for namespace in NAMESPACES {
        let (state, forwarders) = (Arc::clone(state), forwarders.clone());
        // Handlers are registered before the client is told that it is connected, so that its first
        // event finds them.
        let admit = move |socket: SocketRef, TryData(auth): TryData<Option<Auth>>| {
            let token = auth.ok().flatten().and_then(|auth| auth.token);
            std::future::ready(NamespaceClient::open(&state, &forwarders, &socket, token.as_deref()))
        };
        use socketioxide::handler::ConnectHandler as _;
        io.ns(namespace, (|| std::future::ready(())).with(admit));
    }
    let sessions = Sessions::new(limits.connections_max);
    state.tasks.spawn(close(Arc::clone(state), io, forwarders, Arc::clone(&sessions)));
    Arc::new(SocketIoService { state: Arc::clone(state), library: Library(service), sessions })
}

/// Ends all sessions when the server shuts down, after the remaining messages are forwarded.
async fn close(state: Arc<ServerState>, io: SocketIo, forwarders: TaskTracker, sessions: Arc<Sessions>) {
    state.closing.cancelled().await;
    forwarders.close();
    tokio::time::timeout(FORWARD_MAX, forwarders.wait()).await.ok();
    io.close().await;
    // socketioxide 0.18.9 closes the sessions in namespaces only.
    sessions.end_polls();
}
