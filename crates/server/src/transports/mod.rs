//! How each transport carries a cursor to its client: one module each, none knows another.

mod http_streaming;
mod long_polling;
mod polling;
pub(crate) mod socketio;
mod sse;
mod stomp;
pub(crate) mod tcp;
mod websocket;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::header;
use axum::response::Response;
use wire::Transport;

use crate::app::App;
use crate::http::{Refusal, Visit, add_cors_headers, finish};
use crate::meter::Label;
use crate::net::Gauge;

/// How a transport answers a reading request: the parameters it knows, how it wants its batches, and what it does with a visit that was let in.
#[derive(Clone, Copy)]
pub(crate) struct HttpRead {
    pub(crate) parameters: &'static [&'static str],
    /// Whether its batches are chunks of one response.
    pub(crate) chunked: bool,
    answer: fn(Visit) -> Answer,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

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

/// Answers `GET /rooms/{room}/{transport}`. What needs the request is done before the future is polled.
pub(crate) fn answer_read(
    app: Arc<App>,
    gauge: Arc<Gauge>,
    transport: Transport,
    read: HttpRead,
    request: Request,
) -> impl Future<Output = Response> {
    gauge.begin_request(Label::of(transport));
    let origin = request.headers().get(header::ORIGIN).cloned();
    let visit = Visit::admit(Arc::clone(&app), Arc::clone(&gauge), transport, &read, request);
    let answer = visit.map(read.answer);
    async move {
        let outcome = match answer {
            Ok(answer) => answer.await,
            Err(refusal) => Err(refusal),
        };
        let mut response = finish(&app, &gauge, outcome);
        add_cors_headers(&app.access, origin.as_ref(), response.headers_mut());
        response
    }
}
