//! Everything that can be set on a server, decided once.

use std::net::SocketAddr;
use std::time::Duration;

use crate::slowdown::Slowdown;

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where HTTP and WebSocket are served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where raw TCP is served; port 0 takes a free one.
    pub tcp_listen: SocketAddr,
    /// What it takes before it refuses.
    pub limits: ServerLimits,
    /// Who may come in.
    pub access: Access,
    /// Makes it worse on purpose.
    pub slowdown: Option<Slowdown>,
}

/// Every bound the server keeps, by name.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Bytes of text in one message.
    pub message_bytes_max: usize,
    /// Rooms at once.
    pub rooms_max: usize,
    /// Messages a room keeps.
    pub log_messages_max: usize,
    /// Bytes a room keeps. What it has written for several readers at once may take as many again.
    pub log_bytes_max: usize,
    /// Connections at once, on both ports together.
    pub connections_max: usize,
    /// Longest hold a long poll may ask for, and what it gets when it asks for none.
    pub hold_max: Duration,
    /// Age at which a streamed response is ended.
    pub stream_age: Duration,
    /// Bytes after which a streamed response is ended.
    pub stream_bytes_max: u64,
    /// Age at which a WebSocket is closed, but for Socket.IO's.
    pub websocket_age: Duration,
    /// Silence after which a stream or socket says that it is alive.
    pub heartbeat: Duration,
    /// How long a request head, a request body or a join may take.
    pub header_timeout: Duration,
    /// How long a connection may stay open after its last answer without another request.
    pub idle_timeout: Duration,
    /// How long a client may leave its socket unread.
    pub stall_timeout: Duration,
    /// How long a room without readers and posts is remembered.
    pub room_idle: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 16 << 10,
            // All logs together fit into a laptop: 512 MB, and as many again for what was written for several readers.
            rooms_max: 1_000,
            log_messages_max: 4096,
            log_bytes_max: 512 << 10,
            connections_max: 20_000,
            hold_max: Duration::from_secs(25),
            stream_age: Duration::from_secs(300),
            stream_bytes_max: 64 << 20,
            websocket_age: Duration::from_secs(86_400),
            heartbeat: Duration::from_secs(15),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
            room_idle: Duration::from_secs(600),
        }
    }
}

/// Who may come in.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Shared secret that reads, posts and control requests must carry.
    pub token: Option<String>,
    /// Origins, besides the server's own, whose pages may send requests and read the answers.
    pub origins: Vec<String>,
    /// Host names, besides those of the origins, that requests may be sent to while there is no token. Addresses and `localhost` need no
    /// name here.
    pub hosts: Vec<String>,
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
