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

use crate::http::HttpRead;

/// The reading side of a transport that lives on the HTTP port.
pub(crate) fn http_read(transport: Transport) -> Option<HttpRead> {
    match transport {
        Transport::Tcp | Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => None,
        Transport::Polling => Some(polling::READ),
        Transport::LongPolling => Some(long_polling::READ),
        Transport::HttpStreaming => Some(http_streaming::READ),
        Transport::Sse => Some(sse::READ),
        Transport::Websocket => Some(websocket::READ),
        Transport::Stomp => Some(stomp::READ),
    }
}
