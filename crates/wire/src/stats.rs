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

/// Adds the fields of another value to those of this one.
macro_rules! add {
    ($one:expr, $other:expr, $($field:ident)*) => {
        $($one.$field += $other.$field;)*
    };
}

impl ServerStats {
    /// Adds what another server of the same chat has counted. Version, process id and time since the
    /// start stay those of the first.
    pub fn add(&mut self, other: &Self) {
        self.metered &= other.metered;
        add!(self, other, connections_open accept_errors);
        let (process, others) = (&mut self.process, &other.process);
        add!(process, others, cpu_user_us cpu_system_us resident_bytes switches_voluntary switches_involuntary);
        process.allocations = process.allocations.zip(others.allocations).map(|(one, two)| one + two);
        let (hub, others) = (&mut self.hub, &other.hub);
        add!(hub, others, rooms readers log_messages log_bytes);
        for (name, usage) in &other.transports {
            self.transports.entry(name.clone()).or_default().add(usage);
        }
    }
}

impl TransportUsage {
    fn add(&mut self, other: &Self) {
        add!(self, other, connections_opened connections_open requests empty_answers posts messages batches);
        add!(self, other, frames socket_reads socket_writes gaps refused malformed timed_out stalled emit_errors);
        self.up.add(&other.up);
        self.down.add(&other.down);
    }
}

impl BytesUsage {
    fn add(&mut self, other: &Self) {
        add!(self, other, total payload envelope framing headers);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Every number becomes 1.
    fn ones(value: &mut Value) {
        match value {
            Value::Object(items) => items.values_mut().for_each(ones),
            Value::Number(_) => *value = json!(1),
            _ => {}
        }
    }

    #[test]
    fn no_count_of_another_server_is_forgotten() {
        let mut one = json!({"transports": {"sse": TransportUsage::default()}, "process": ProcessUsage::default(),
            "hub": HubUsage::default(), "version": "", "pid": 1, "uptime_us": 1, "metered": true,
            "connections_open": 1, "accept_errors": 1});
        one["process"]["allocations"] = json!(1);
        ones(&mut one);
        let mut sum: ServerStats = serde_json::from_value(one.clone()).unwrap();
        sum.add(&serde_json::from_value(one).unwrap());
        let text = serde_json::to_string(&ServerStats { pid: 2, uptime_us: 2, ..sum }).unwrap();
        assert!(!text.contains(":1"), "{text}");
    }
}
