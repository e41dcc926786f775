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

use scenario::HttpClient;
use wire::Transport;

use crate::error::SessionEnd;
use crate::session::Session;

pub(crate) use foreign::{Unit, confirm_sent_posts};

/// Connects a client and keeps it in its room until the session ends.
pub(crate) async fn run_session(session: &Session) -> Result<Infallible, SessionEnd> {
    if let Some(protocol) = &session.run.protocol {
        return foreign::run_session(session, protocol).await;
    }
    if session.run.http_client == HttpClient::Reqwest {
        return by_reqwest::run_session(session).await;
    }
    match session.run.transport {
        Transport::Tcp => tcp::run_session(session).await,
        Transport::Polling => polling::run_session(session).await,
        Transport::LongPolling => long_polling::run_session(session).await,
        Transport::HttpStreaming => http_streaming::run_session(session).await,
        Transport::Sse => sse::run_session(session).await,
        Transport::Websocket => websocket::run_session(session).await,
        Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => {
            socketio::run_session(session).await
        }
        Transport::Stomp => stomp::run_session(session).await,
    }
}

#[cfg(test)]
mod tests;
