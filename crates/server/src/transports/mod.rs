//! How each transport carries a cursor to its client: one module each, none knows another.

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

/// The reading side of a transport that lives on the HTTP port.
pub(crate) fn endpoint(transport: Transport) -> Option<ReadEndpoint> {
    match transport {
        Transport::Tcp | Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => None,
        Transport::Polling => Some(polling::ENDPOINT),
        Transport::LongPolling => Some(long_polling::ENDPOINT),
        Transport::HttpStreaming => Some(http_streaming::ENDPOINT),
        Transport::Sse => Some(sse::ENDPOINT),
        Transport::Websocket => Some(websocket::ENDPOINT),
        Transport::Stomp => Some(stomp::ENDPOINT),
    }
}
