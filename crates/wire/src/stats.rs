//! What a server says of itself at `/stats`: totals since it started. A window is the difference of two readings.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a server prints when it is ready, as one JSON line.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ServerAddresses {
    /// Where HTTP and WebSocket are served.
    pub http: SocketAddr,
    /// Where raw TCP is served.
    pub tcp: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
}

/// One reading.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ServerStats {
    /// Version of the server.
    pub version: String,
    /// Process id, so that others can meter it too.
    pub pid: u32,
    /// Time since start.
    pub uptime_us: u64,
    /// False when the server was built without counters: everything under `transports` is then zero.
    pub metered: bool,
    /// Connections now, those that have not asked for anything included.
    pub connections_open: u64,
    /// Connections the kernel could not hand over, usually for want of open files.
    pub accept_errors: u64,
    /// What the process costs.
    pub process: ProcessUsage,
    /// What the rooms hold.
    pub hub: HubUsage,
    /// Counters by transport name; `other` is whatever never became one (control requests, strangers).
    pub transports: BTreeMap<String, TransportUsage>,
}

/// The process as the kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// CPU in user mode.
    pub cpu_user_us: u64,
    /// CPU in the kernel.
    pub cpu_system_us: u64,
    /// Resident memory now.
    pub resident_bytes: u64,
    /// Times it gave the CPU away.
    pub switches_voluntary: u64,
    /// Times the CPU was taken from it.
    pub switches_involuntary: u64,
    /// Times memory was asked for; only a server built to count them says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocations: Option<u64>,
}

/// All rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct HubUsage {
    /// Rooms there are.
    pub rooms: u64,
    /// Readers there are: everything that holds a cursor.
    pub readers: u64,
    /// Messages kept.
    pub log_messages: u64,
    /// Bytes the kept messages take, in every form they were asked for.
    pub log_bytes: u64,
}

/// One transport, or `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct TransportUsage {
    /// Connections since start.
    pub connections_opened: u64,
    /// Connections now.
    pub connections_open: u64,
    /// HTTP requests.
    pub requests: u64,
    /// Requests answered with nothing.
    pub empty_answers: u64,
    /// Posts taken.
    pub posts: u64,
    /// Messages delivered: a message to two readers counts twice.
    pub messages: u64,
    /// Writes, responses or chunks that carried messages; `messages / batches` is the batching.
    pub batches: u64,
    /// Frames sent: WebSocket and tcp frames, events, lines, and HTTP chunks.
    pub frames: u64,
    /// `read` calls on sockets that returned.
    pub socket_reads: u64,
    /// `write` calls on sockets that returned.
    pub socket_writes: u64,
    /// Gaps and resets told to readers.
    pub gaps: u64,
    /// Bytes from clients.
    pub up: BytesUsage,
    /// Bytes to clients.
    pub down: BytesUsage,
    /// Requests and connections refused because of a limit.
    pub refused: u64,
    /// Bad input: garbage, bad frames, malformed requests.
    pub malformed: u64,
    /// Connections dropped because a client took too long over a request, or said nothing for too long.
    pub timed_out: u64,
    /// Connections dropped because a client did not read.
    pub stalled: u64,
    /// Packets a library under a transport refused to take; each ends its session, so that nothing is lost without a word.
    #[serde(default)]
    pub emit_errors: u64,
}

/// Bytes by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct BytesUsage {
    /// Everything that went through the socket.
    pub total: u64,
    /// What people said.
    pub payload: u64,
    /// What our items put around it.
    pub envelope: u64,
    /// Frame headers, line ends, event fields, chunk sizes.
    pub framing: u64,
    /// The rest: request and status lines, headers, handshakes.
    pub headers: u64,
}
