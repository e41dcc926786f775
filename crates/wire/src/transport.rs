//! The registry of transports and encodings. Every list of them in the project is derived from it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A transport: a way to deliver the messages of a room to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Raw TCP with length-prefixed frames, the baseline.
    Tcp,
    /// Requests that are answered at once, with or without messages.
    Polling,
    /// Requests that are held until there is a message or the hold time ends.
    LongPolling,
    /// One chunked response with one JSON item per line.
    HttpStreaming,
    /// One `text/event-stream` response.
    Sse,
    /// A WebSocket on the HTTP port.
    Websocket,
    /// Socket.IO on polling, without an upgrade.
    SocketioPolling,
    /// Socket.IO on a WebSocket, without polling before it.
    SocketioWebsocket,
    /// Socket.IO as clients use it by default: starts on polling and upgrades to a WebSocket.
    Socketio,
    /// STOMP 1.2 on a WebSocket.
    Stomp,
}

impl Transport {
    /// The baseline: costs are also shown as multiples of it.
    pub const BASELINE: Self = Self::Tcp;

    /// All transports in the order of tables and plots.
    pub const ALL: [Self; 10] = [
        Self::Tcp,
        Self::Polling,
        Self::LongPolling,
        Self::HttpStreaming,
        Self::Sse,
        Self::Websocket,
        Self::SocketioPolling,
        Self::SocketioWebsocket,
        Self::Socketio,
        Self::Stomp,
    ];

    /// The name used in URLs, scenarios, results and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Polling => "polling",
            Self::LongPolling => "long-polling",
            Self::HttpStreaming => "http-streaming",
            Self::Sse => "sse",
            Self::Websocket => "websocket",
            Self::SocketioPolling => "socketio-polling",
            Self::SocketioWebsocket => "socketio-websocket",
            Self::Socketio => "socketio",
            Self::Stomp => "stomp",
        }
    }

    /// Position in [`Transport::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the transport uses the HTTP port.
    pub const fn is_http(self) -> bool {
        !matches!(self, Self::Tcp)
    }

    /// Whether the transport has the URLs `/rooms/NAME/TRANSPORT` for reading and posting.
    pub const fn has_room_url(self) -> bool {
        self.is_http() && !self.is_socketio()
    }

    /// Whether this is one of the Socket.IO transports, which share a path.
    pub const fn is_socketio(self) -> bool {
        matches!(self, Self::SocketioPolling | Self::SocketioWebsocket | Self::Socketio)
    }

    /// Whether posts use the connection that delivers messages.
    pub const fn posts_in_band(self) -> bool {
        matches!(self, Self::Tcp | Self::Websocket | Self::SocketioWebsocket | Self::Socketio | Self::Stomp)
    }

    /// Supported encodings, the default first.
    pub const fn encodings(self) -> &'static [Encoding] {
        match self {
            Self::Tcp => &[Encoding::Binary],
            Self::Polling | Self::LongPolling | Self::HttpStreaming | Self::Sse | Self::Stomp => &[Encoding::Json],
            Self::Websocket | Self::SocketioPolling | Self::SocketioWebsocket | Self::Socketio => {
                &[Encoding::Json, Encoding::Binary]
            }
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|t| t.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|t| t.name()).collect();
            format!("no transport is called {text:?}; there are {}", names.join(", "))
        })
    }
}

/// The encoding of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8 JSON.
    Json,
    /// One kind byte, big-endian integers, then the text.
    Binary,
}

impl Encoding {
    /// The name used in URLs and scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Binary => "binary",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_index_is_the_position() {
        for (position, transport) in Transport::ALL.into_iter().enumerate() {
            assert_eq!(transport.name().parse::<Transport>().unwrap(), transport);
            assert_eq!(transport.index(), position);
            assert_eq!(serde_json::to_value(transport).unwrap(), transport.name());
            assert!(!transport.encodings().is_empty());
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        assert_eq!(
            "carrier-pigeon".parse::<Transport>().unwrap_err(),
            "no transport is called \"carrier-pigeon\"; there are tcp, polling, long-polling, http-streaming, sse, websocket, \
             socketio-polling, socketio-websocket, socketio, stomp"
        );
    }
}
