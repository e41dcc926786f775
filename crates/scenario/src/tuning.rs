//! `[tuning]`: settings of the transports, and [`TransportTuning`], the settings of one transport.

use std::time::Duration;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::Transport;

use crate::time::seconds;

/// Heartbeat interval of raw TCP, which has no settings: the server's default.
const TCP_HEARTBEAT: Duration = Duration::from_secs(15);

/// `[tuning]`: one table per transport; the three Socket.IO transports share one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each table is described where it is defined")]
pub struct Tuning {
    #[garde(dive)]
    pub polling: Polling,
    #[garde(dive)]
    pub long_polling: LongPolling,
    #[garde(dive)]
    pub http_streaming: Streaming,
    #[garde(dive)]
    pub sse: Streaming,
    #[garde(dive)]
    pub websocket: Websocket,
    #[garde(dive)]
    pub socketio: SocketIo,
    #[garde(dive)]
    pub stomp: Stomp,
}

/// `[tuning.polling]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[garde(allow_unvalidated)]
pub struct Polling {
    /// Time from one poll of a client to its next; each client starts at a random time within its first interval
    #[garde(range(min = 1, max = 600_000))]
    pub interval_ms: u64,
    /// Size of the request head of a poll: a cookie pads it to this size, because browsers send cookies; 0 adds no cookie
    #[garde(range(max = 7168))]
    #[schemars(range(min = 0, max = 7168))]
    pub request_bytes: u64,
    /// One connection for all polls; `false` opens one for each poll
    pub keep_alive: bool,
}

impl Default for Polling {
    fn default() -> Self {
        Self { interval_ms: 1000, request_bytes: 0, keep_alive: true }
    }
}

/// `[tuning.long-polling]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[garde(allow_unvalidated)]
pub struct LongPolling {
    /// Time for which the server holds a request while there is no message
    #[garde(range(min = 1, max = 600_000))]
    pub hold_ms: u64,
    /// One connection for all requests; `false` opens one for each request
    pub keep_alive: bool,
}

impl Default for LongPolling {
    fn default() -> Self {
        Self { hold_ms: 25_000, keep_alive: true }
    }
}

/// `[tuning.http-streaming]`, `[tuning.sse]`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Streaming {
    /// Age at which the server ends a response; the client resumes with its cursor
    #[garde(range(min = 0.1, max = 86_400.0))]
    pub age_s: f64,
    /// Bytes after which the server ends a response
    #[garde(range(min = 1024, max = 1_099_511_627_776_u64))]
    pub bytes_max: u64,
    /// Idle time after which the server sends a heartbeat
    #[garde(range(min = 0.1, max = 3600.0))]
    pub heartbeat_s: f64,
}

impl Default for Streaming {
    fn default() -> Self {
        Self { age_s: 300.0, bytes_max: 64 << 20, heartbeat_s: 15.0 }
    }
}

/// `[tuning.websocket]`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Websocket {
    /// Age at which the server closes a connection; the client resumes with its cursor
    #[garde(range(min = 0.1, max = 86_400.0))]
    pub age_s: f64,
    /// Bytes after which the server closes a connection
    #[garde(range(min = 1, max = 1_099_511_627_776_u64))]
    pub bytes_max: u64,
    /// Idle time after which the server sends a ping
    #[garde(range(min = 0.1, max = 3600.0))]
    pub heartbeat_s: f64,
}

impl Default for Websocket {
    fn default() -> Self {
        Self { age_s: 86_400.0, bytes_max: 1 << 40, heartbeat_s: 15.0 }
    }
}

/// `[tuning.socketio]`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct SocketIo {
    /// Interval of the server's pings, on polling and on a WebSocket
    #[garde(range(min = 0.1, max = 3600.0))]
    pub heartbeat_s: f64,
}

impl Default for SocketIo {
    fn default() -> Self {
        Self { heartbeat_s: 25.0 }
    }
}

/// `[tuning.stomp]`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Stomp {
    /// Interval of the server's heartbeats
    #[garde(range(min = 0.1, max = 3600.0))]
    pub heartbeat_s: f64,
}

impl Default for Stomp {
    fn default() -> Self {
        Self { heartbeat_s: 15.0 }
    }
}

/// The settings of one transport; `None` where the transport has no such setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransportTuning {
    /// Time from one poll to the next.
    pub interval: Option<Duration>,
    /// Time for which the server holds a request.
    pub hold: Option<Duration>,
    /// Age at which the server ends a streamed response.
    pub stream_age: Option<Duration>,
    /// Bytes after which the server ends a streamed response.
    pub stream_bytes: Option<u64>,
    /// Age at which the server closes a WebSocket.
    pub websocket_age: Option<Duration>,
    /// Bytes after which the server closes a WebSocket.
    pub websocket_bytes: Option<u64>,
    /// Heartbeat interval.
    pub heartbeat: Option<Duration>,
    /// Whether one connection serves all requests.
    pub keep_alive: bool,
    /// Size that the head of a request is padded to.
    pub request_bytes: u64,
}

impl Tuning {
    /// The settings of a transport.
    pub fn of(&self, transport: Transport) -> TransportTuning {
        let none = TransportTuning { keep_alive: true, ..TransportTuning::default() };
        let streaming = |table: Streaming| TransportTuning {
            stream_age: Some(seconds(table.age_s)),
            stream_bytes: Some(table.bytes_max),
            heartbeat: Some(seconds(table.heartbeat_s)),
            ..none
        };
        let heartbeat = |heartbeat_s| TransportTuning { heartbeat: Some(seconds(heartbeat_s)), ..none };
        match transport {
            Transport::Tcp => none,
            Transport::Polling => TransportTuning {
                interval: Some(Duration::from_millis(self.polling.interval_ms)),
                keep_alive: self.polling.keep_alive,
                request_bytes: self.polling.request_bytes,
                ..none
            },
            Transport::LongPolling => TransportTuning {
                hold: Some(Duration::from_millis(self.long_polling.hold_ms)),
                keep_alive: self.long_polling.keep_alive,
                ..none
            },
            Transport::HttpStreaming => streaming(self.http_streaming),
            Transport::Sse => streaming(self.sse),
            Transport::Websocket => TransportTuning {
                websocket_age: Some(seconds(self.websocket.age_s)),
                websocket_bytes: Some(self.websocket.bytes_max),
                ..heartbeat(self.websocket.heartbeat_s)
            },
            Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => {
                heartbeat(self.socketio.heartbeat_s)
            }
            Transport::Stomp => heartbeat(self.stomp.heartbeat_s),
        }
    }
}

impl TransportTuning {
    /// The longest time for which a working connection may be idle.
    pub fn idle_max(&self) -> Duration {
        let waits = [self.interval, self.hold, self.heartbeat.map(|heartbeat| heartbeat * 2)];
        waits.into_iter().flatten().max().unwrap_or(TCP_HEARTBEAT * 2)
    }

    /// The flags of `pushbench serve` that set the server to these settings.
    pub fn server_flags(&self) -> Vec<(&'static str, u128)> {
        let ms = |flag, duration: Option<Duration>| duration.map(|duration| (flag, duration.as_millis()));
        let bytes = |flag, bytes: Option<u64>| bytes.map(|bytes| (flag, bytes.into()));
        [
            ms("--hold-max-ms", self.hold),
            ms("--stream-age-ms", self.stream_age),
            bytes("--stream-bytes-max", self.stream_bytes),
            ms("--websocket-age-ms", self.websocket_age),
            bytes("--websocket-bytes-max", self.websocket_bytes),
            ms("--heartbeat-ms", self.heartbeat),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transport_has_its_own_settings() {
        let tuning = Tuning { sse: Streaming { age_s: 7.0, ..Streaming::default() }, ..Tuning::default() };
        assert_eq!(tuning.of(Transport::Sse).stream_age, Some(Duration::from_secs(7)));
        assert_eq!(tuning.of(Transport::HttpStreaming).stream_age, Some(Duration::from_secs(300)));
        assert_eq!(tuning.of(Transport::Polling).idle_max(), Duration::from_secs(1));
        assert_eq!(tuning.of(Transport::LongPolling).server_flags(), [("--hold-max-ms", 25_000)]);
        assert!(tuning.of(Transport::Tcp).server_flags().is_empty());
    }
}
