//! How each transport carries the messages of a room to its clients. No module knows another one.

mod http_streaming;
mod long_polling;
mod polling;
pub(crate) mod socketio;
mod sse;
mod stomp;
pub(crate) mod tcp;
mod websocket;

use wire::Transport;

use crate::http::ReadEndpoint;

/// The read endpoint of a transport with a room URL.
pub(crate) fn endpoint(transport: Transport) -> Option<&'static ReadEndpoint> {
    match transport {
        Transport::Tcp | Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => None,
        Transport::Polling => Some(&polling::ENDPOINT),
        Transport::LongPolling => Some(&long_polling::ENDPOINT),
        Transport::HttpStreaming => Some(&http_streaming::ENDPOINT),
        Transport::Sse => Some(&sse::ENDPOINT),
        Transport::Websocket => Some(&websocket::ENDPOINT),
        Transport::Stomp => Some(&stomp::ENDPOINT),
    }
}
