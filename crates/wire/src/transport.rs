//! The registry of transports: one row for each, from which the rest of the project derives every
//! list.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Framing;

/// Where a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The raw TCP port.
    Tcp,
    /// `/rooms/NAME/TRANSPORT` on the HTTP port.
    RoomUrl,
    /// `/socket.io/` on the HTTP port.
    SocketIo,
}

/// How messages reach a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// In the response to a request that is answered at once.
    Polled,
    /// In the response to a request that is held until there is a message.
    HeldRequest,
    /// Written to an open connection or response.
    Streamed,
}

/// How a client sends posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posting {
    /// On the connection that carries the messages.
    SameConnection,
    /// On a second connection, which is open as long as the first.
    SecondConnection,
    /// On the polling connection, between two polls.
    BetweenPolls,
}

/// Connections that a transport needs in addition to one for each client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraConnections {
    /// None.
    None,
    /// One for each client that posts.
    PerAuthor,
    /// One for each client.
    PerClient,
    /// Two for each client, at times.
    TwoPerClient,
}

/// What the rest of the project needs to know about a transport.
#[derive(Debug, Clone, Copy)]
pub struct TransportInfo {
    /// Name in URLs, scenarios, results and on the command line.
    pub name: &'static str,
    /// Where a client connects.
    pub endpoint: Endpoint,
    /// How messages reach a client.
    pub delivery: Delivery,
    /// How a client sends posts.
    pub posting: Posting,
    /// Connections in addition to one for each client.
    pub extra_connections: ExtraConnections,
    /// Encodings with their framing, the default first.
    pub encodings: &'static [(Encoding, Framing)],
    /// Whether requests also carry answers to pings and acknowledgements. The share of empty
    /// requests is then meaningless.
    pub requests_are_mixed: bool,
}

macro_rules! transports {
    ($($(#[$doc:meta])* $variant:ident $name:literal $endpoint:ident $delivery:ident $posting:ident
       $extra:ident [$($encoding:ident as $framing:ident),+] $(requests_are_mixed $mixed:ident)?;)*) => {
        /// One way to carry a room's log to a client.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
        pub enum Transport {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Transport {
            /// All transports, in the order of tables and charts.
            pub const ALL: [Self; TRANSPORTS.len()] = [$(Self::$variant),*];
        }

        const TRANSPORTS: &[TransportInfo] = &[$(TransportInfo {
            name: $name,
            endpoint: Endpoint::$endpoint,
            delivery: Delivery::$delivery,
            posting: Posting::$posting,
            extra_connections: ExtraConnections::$extra,
            encodings: &[$((Encoding::$encoding, Framing::$framing)),+],
            requests_are_mixed: false $(|| $mixed)?,
        }),*];
    };
}

transports! {
    /// Raw TCP with length-prefixed frames: the baseline.
    Tcp "tcp" Tcp Streamed SameConnection None [Binary as LengthPrefixed];
    /// A request that is answered at once, with or without messages.
    Polling "polling" RoomUrl Polled BetweenPolls None [Json as JsonLines];
    /// A request that is held until there is a message or the hold time is over.
    LongPolling "long-polling" RoomUrl HeldRequest SecondConnection PerAuthor [Json as JsonLines];
    /// One chunked response, one JSON item per line.
    HttpStreaming "http-streaming" RoomUrl Streamed SecondConnection PerAuthor [Json as JsonLines];
    /// One `text/event-stream` response.
    Sse "sse" RoomUrl Streamed SecondConnection PerAuthor [Json as ServerSentEvents];
    /// A WebSocket on the HTTP port.
    Websocket "websocket" RoomUrl Streamed SameConnection None [Json as WsText, Binary as WsBinary];
    /// Socket.IO that stays on its polling transport. Every session answers pings on a second
    /// connection.
    SocketioPolling "socketio-polling" SocketIo HeldRequest SecondConnection PerClient
        [Json as JsonLines, Binary as LengthPrefixed] requests_are_mixed true;
    /// Socket.IO that starts with a WebSocket.
    SocketioWebsocket "socketio-websocket" SocketIo Streamed SameConnection None
        [Json as JsonLines, Binary as LengthPrefixed];
    /// Socket.IO with its client's defaults: starts with polling and upgrades to a WebSocket. A
    /// session that upgrades has three connections for a moment.
    Socketio "socketio" SocketIo Streamed SameConnection TwoPerClient
        [Json as JsonLines, Binary as LengthPrefixed] requests_are_mixed true;
    /// STOMP 1.2 on a WebSocket.
    Stomp "stomp" RoomUrl Streamed SameConnection None [Json as Stomp];
}

impl Transport {
    /// The baseline: costs are shown as multiples of its costs.
    pub const BASELINE: Self = Self::Tcp;

    /// What is known about the transport.
    pub const fn info(self) -> &'static TransportInfo {
        &TRANSPORTS[self as usize]
    }

    /// The name used in URLs, scenarios, results and on the command line.
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// Position in [`Transport::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the transport uses the HTTP port.
    pub const fn is_http(self) -> bool {
        !matches!(self.info().endpoint, Endpoint::Tcp)
    }

    /// Whether a room has a URL on this transport, `/rooms/NAME/TRANSPORT`, to read from and to
    /// post to.
    pub const fn has_room_url(self) -> bool {
        matches!(self.info().endpoint, Endpoint::RoomUrl)
    }

    /// Whether it is one of the three ways to use Socket.IO, which share a path.
    pub const fn is_socketio(self) -> bool {
        matches!(self.info().endpoint, Endpoint::SocketIo)
    }

    /// Whether posts are sent on the connection that carries the messages.
    pub const fn posts_in_band(self) -> bool {
        matches!(self.info().posting, Posting::SameConnection)
    }

    /// The encodings of the transport, the default first.
    pub fn encodings(self) -> impl ExactSizeIterator<Item = Encoding> {
        self.info().encodings.iter().map(|(encoding, _)| *encoding)
    }

    /// The encoding that is used when a client asks for none.
    pub const fn default_encoding(self) -> Encoding {
        self.info().encodings[0].0
    }

    /// The framing of an encoding; of the default encoding if the transport does not have this one.
    /// Socket.IO puts each item into a packet of its own: there it is the format in which items
    /// come from the log.
    pub fn framing(self, encoding: Encoding) -> Framing {
        let all = self.info().encodings;
        all.iter().find(|(known, _)| *known == encoding).unwrap_or(&all[0]).1
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

/// Encoding of an item.
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
            assert_eq!(transport.framing(transport.default_encoding()), transport.info().encodings[0].1);
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
