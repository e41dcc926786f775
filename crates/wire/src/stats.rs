//! The counters of a server, as `/stats` returns them: totals since its start. A measurement window
//! is the difference of two readings.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The JSON line that a server prints when it is ready.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ServerAddresses {
    /// Address of HTTP and WebSocket.
    pub http: SocketAddr,
    /// Address of raw TCP.
    pub tcp: SocketAddr,
    /// Further addresses of HTTP and WebSocket, for pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page: Vec<SocketAddr>,
    /// Process id.
    pub pid: u32,
    /// Version of the server.
    pub version: String,
}

/// All counters of a server at one instant.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ServerStats {
    /// Version of the server.
    pub version: String,
    /// Process id, so that other programs can measure the process.
    pub pid: u32,
    /// Time since the start of the server.
    pub uptime_us: u64,
    /// False when the server was built without counters: everything under `transports` is then
    /// zero.
    pub metered: bool,
    /// Open connections, including those without a request so far.
    pub connections_open: u64,
    /// Failed `accept` calls, usually because of the limit of open files.
    pub accept_errors: u64,
    /// CPU and memory of the process.
    pub process: ProcessUsage,
    /// Rooms and their logs.
    pub hub: HubUsage,
    /// Counters by transport name; `other` counts requests that belong to no transport.
    pub transports: BTreeMap<String, TransportUsage>,
}

/// CPU, memory and context switches of the process, as the kernel counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// CPU time in user mode.
    pub cpu_user_us: u64,
    /// CPU time in the kernel.
    pub cpu_system_us: u64,
    /// Resident memory without the pages of files.
    pub resident_bytes: u64,
    /// Voluntary context switches.
    pub switches_voluntary: u64,
    /// Involuntary context switches.
    pub switches_involuntary: u64,
    /// Number of memory allocations; only with the feature `count-allocations`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocations: Option<u64>,
}

/// Totals over all rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct HubUsage {
    /// Number of rooms.
    pub rooms: u64,
    /// Number of readers: everything that has a cursor.
    pub readers: u64,
    /// Messages in all logs.
    pub log_messages: u64,
    /// Bytes of these messages, in every framing in which they were encoded.
    pub log_bytes: u64,
}

/// Counters of one transport, or of `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct TransportUsage {
    /// Connections opened since the start.
    pub connections_opened: u64,
    /// Open connections.
    pub connections_open: u64,
    /// HTTP requests.
    pub requests: u64,
    /// Read requests answered without a message.
    pub empty_answers: u64,
    /// Accepted posts.
    pub posts: u64,
    /// Messages delivered: a message to two readers counts twice.
    pub messages: u64,
    /// Writes, responses or chunks with messages; `messages / batches` is the mean batch size.
    pub batches: u64,
    /// Frames sent: WebSocket and TCP frames, events, lines, and HTTP chunks.
    pub frames: u64,
    /// Completed `read` calls on sockets.
    pub socket_reads: u64,
    /// Completed `write` calls on sockets.
    pub socket_writes: u64,
    /// Gaps and resets sent.
    pub gaps: u64,
    /// Bytes from clients.
    pub up: BytesUsage,
    /// Bytes to clients.
    pub down: BytesUsage,
    /// Requests and connections refused because of a limit.
    pub refused: u64,
    /// Malformed requests, frames and items.
    pub malformed: u64,
    /// Connections closed because a request took too long or a client sent nothing for too long.
    pub timed_out: u64,
    /// Connections closed because a client did not read.
    pub stalled: u64,
    /// Packets that the Socket.IO library did not accept. Each ends its session, so that no message
    /// is lost unnoticed.
    #[serde(default)]
    pub emit_errors: u64,
}

/// Bytes by their purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct BytesUsage {
    /// All bytes read from or written to sockets.
    pub total: u64,
    /// Text of posts and messages.
    pub payload: u64,
    /// JSON or binary fields around the text.
    pub envelope: u64,
    /// Frame headers, line ends, event fields, chunk sizes.
    pub framing: u64,
    /// All other bytes: request and status lines, headers, handshakes.
    pub headers: u64,
}
