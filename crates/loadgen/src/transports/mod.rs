//! How the client of each transport works: one module per transport, named like the server's.

mod by_reqwest;
mod foreign;
mod http;
mod http_streaming;
mod in_band;
mod long_polling;
mod polling;
mod socketio;
mod sse;
mod stomp;
mod tcp;
mod websocket;
mod ws_connection;

use std::convert::Infallible;
use std::pin::Pin;

use scenario::HttpClient;
use wire::Transport;

use crate::error::SessionEnd;
use crate::session::Session;

pub(crate) use foreign::{Unit, confirm_sent_posts};

/// Connects a client and keeps it in its room until the session ends. The future has an allocation of
/// its own, so that a client takes only the memory that its transport needs.
pub(crate) fn run_session(session: &Session) -> Pin<Box<dyn Future<Output = Result<Infallible, SessionEnd>> + '_>> {
    if let Some(protocol) = &session.run.protocol {
        return Box::pin(foreign::run_session(session, protocol));
    }
    if session.run.http_client == HttpClient::Reqwest {
        return Box::pin(by_reqwest::run_session(session));
    }
    match session.run.transport {
        Transport::Tcp => Box::pin(tcp::run_session(session)),
        Transport::Polling => Box::pin(polling::run_session(session)),
        Transport::LongPolling => Box::pin(long_polling::run_session(session)),
        Transport::HttpStreaming => Box::pin(http_streaming::run_session(session)),
        Transport::Sse => Box::pin(sse::run_session(session)),
        Transport::Websocket => Box::pin(websocket::run_session(session)),
        Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => {
            Box::pin(socketio::run_session(session))
        }
        Transport::Stomp => Box::pin(stomp::run_session(session)),
    }
}

#[cfg(test)]
mod tests;
