//! Settings of a server.

use std::net::SocketAddr;
use std::time::Duration;

use crate::slowdown::Slowdown;

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of HTTP and WebSocket. Port 0: any free port.
    pub listen: SocketAddr,
    /// Address of raw TCP. Port 0: any free port.
    pub tcp_listen: SocketAddr,
    /// Number of further ports for HTTP and WebSocket, all free ones, on the address of `listen`.
    pub page_ports: usize,
    /// Bounds on memory, connections and time.
    pub limits: ServerLimits,
    /// Which requests are accepted.
    pub access: Access,
    /// Where messages get their order and are kept.
    pub log: Log,
    /// A deliberate slowdown, to test a comparison.
    pub slowdown: Option<Slowdown>,
}

/// Where messages get their order and are kept.
#[derive(Clone)]
pub enum Log {
    /// In the memory of this server.
    Memory,
    /// In Redis, shared by all servers of a chat.
    Redis {
        /// Address of Redis, maybe with a password.
        url: String,
        /// Name of the chat.
        chat: String,
    },
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("Memory"),
            Self::Redis { chat, .. } => f.debug_struct("Redis").field("chat", chat).finish_non_exhaustive(),
        }
    }
}

/// Every bound of the server. With the feature `cli` they are command line options, and these
/// comments are their help.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "cli", derive(clap::Args), command(next_help_heading = "Limits"))]
pub struct ServerLimits {
    /// Maximum bytes of text in one message.
    #[cfg_attr(feature = "cli", arg(long, value_name = "BYTES", value_parser = cli::text_bytes(), default_value_t = Self::default().message_bytes_max))]
    pub message_bytes_max: usize,

    /// Maximum number of rooms. All rooms together keep at most 2 times this times --log-bytes-max:
    /// 1 GiB by default.
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", default_value_t = Self::default().rooms_max))]
    pub rooms_max: usize,

    /// Maximum number of messages a room keeps.
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", default_value_t = Self::default().log_messages_max))]
    pub log_messages_max: usize,

    /// Maximum bytes of messages a room keeps. Batches that several clients share may take as many
    /// again.
    #[cfg_attr(feature = "cli", arg(long, value_name = "BYTES", default_value_t = Self::default().log_bytes_max))]
    pub log_bytes_max: usize,

    /// Maximum number of connections, of both ports together.
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", default_value_t = Self::default().connections_max))]
    pub connections_max: usize,

    /// Maximum time a long poll is held; also the default when the request has no hold_ms.
    #[cfg_attr(feature = "cli", arg(long = "hold-max-ms", value_name = "MS", value_parser = cli::ms(0), default_value = cli::default_ms(|l| l.hold_max)))]
    pub hold_max: Duration,

    /// Age at which the server ends a streamed response.
    #[cfg_attr(feature = "cli", arg(long = "stream-age-ms", value_name = "MS", value_parser = cli::ms(0), default_value = cli::default_ms(|l| l.stream_age)))]
    pub stream_age: Duration,

    /// Bytes after which the server ends a streamed response.
    #[cfg_attr(feature = "cli", arg(long, value_name = "BYTES", default_value_t = Self::default().stream_bytes_max))]
    pub stream_bytes_max: u64,

    /// Age at which the server closes a WebSocket of the transports websocket and stomp.
    #[cfg_attr(feature = "cli", arg(long = "websocket-age-ms", value_name = "MS", value_parser = cli::ms(1), default_value = cli::default_ms(|l| l.websocket_age)))]
    pub websocket_age: Duration,

    /// Bytes after which the server closes a WebSocket of the transports websocket and stomp.
    #[cfg_attr(feature = "cli", arg(long, value_name = "BYTES", default_value_t = Self::default().websocket_bytes_max))]
    pub websocket_bytes_max: u64,

    /// Heartbeat interval of streams and WebSockets. A heartbeat is sent when nothing was sent for
    /// one interval.
    #[cfg_attr(feature = "cli", arg(long = "heartbeat-ms", value_name = "MS", value_parser = cli::ms(1), default_value = cli::default_ms(|l| l.heartbeat)))]
    pub heartbeat: Duration,

    /// Maximum time for a request head, a request body or a join to arrive.
    #[cfg_attr(feature = "cli", arg(long = "header-timeout-ms", value_name = "MS", value_parser = cli::ms(1), default_value = cli::default_ms(|l| l.header_timeout)))]
    pub header_timeout: Duration,

    /// Close a connection that has had no further request for this long.
    #[cfg_attr(feature = "cli", arg(long = "idle-timeout-ms", value_name = "MS", value_parser = cli::ms(1), default_value = cli::default_ms(|l| l.idle_timeout)))]
    pub idle_timeout: Duration,

    /// Close a connection whose client has not read for this long.
    #[cfg_attr(feature = "cli", arg(long = "stall-timeout-ms", value_name = "MS", value_parser = cli::ms(1), default_value = cli::default_ms(|l| l.stall_timeout)))]
    pub stall_timeout: Duration,

    /// Remove a room that has had no reader and no post for this long.
    #[cfg_attr(feature = "cli", arg(long = "room-idle-ms", value_name = "MS", value_parser = cli::ms(0), default_value = cli::default_ms(|l| l.room_idle)))]
    pub room_idle: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 16 << 10,
            // 512 MiB for all logs together, and as much again for shared batches: fits into a
            // laptop.
            rooms_max: 1_000,
            log_messages_max: 4096,
            log_bytes_max: 512 << 10,
            connections_max: 20_000,
            hold_max: Duration::from_secs(25),
            stream_age: Duration::from_secs(300),
            stream_bytes_max: 64 << 20,
            websocket_age: Duration::from_secs(86_400),
            websocket_bytes_max: 1 << 40,
            heartbeat: Duration::from_secs(15),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
            room_idle: Duration::from_secs(600),
        }
    }
}

/// Values of the command line.
#[cfg(feature = "cli")]
mod cli {
    use std::time::Duration;

    use clap::builder::{RangedU64ValueParser, TypedValueParser};

    use super::ServerLimits;

    pub(super) fn text_bytes() -> RangedU64ValueParser<usize> {
        RangedU64ValueParser::new().range(1..=wire::TEXT_BYTES_CEILING as u64)
    }

    pub(super) fn ms(least: u64) -> impl TypedValueParser<Value = Duration> {
        clap::value_parser!(u64).range(least..).map(Duration::from_millis)
    }

    pub(super) fn default_ms(field: fn(&ServerLimits) -> Duration) -> String {
        field(&ServerLimits::default()).as_millis().to_string()
    }
}

/// Which requests are accepted.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Shared secret that reads, posts and requests for statistics must carry.
    pub token: Option<String>,
    /// Origins, besides the server's own, whose pages may send requests and read the responses.
    pub origins: Vec<String>,
    /// Host names, besides those of the origins, that requests may name while there is no token. IP
    /// addresses and `localhost` are always allowed.
    pub hosts: Vec<String>,
    /// Ports of the server, if it has several for HTTP. A page from one of them may use the others.
    pub page_ports: Vec<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_rooms_of_the_default_size_fit_into_a_laptop() {
        let limits = ServerLimits::default();
        assert!(2 * limits.rooms_max * limits.log_bytes_max <= 1 << 30, "{limits:?}");
    }
}
