//! What the transports on HTTP have in common: reading requests, posts, streamed responses, WebSockets, refusals.

pub(crate) mod cors;
mod refusal;
mod request;
mod stream;
mod websocket;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

pub(crate) use refusal::Refusal;
pub(crate) use request::{
    ReadEndpoint, ReadRequest, ResponseFuture, answer_post, check_text, finish, post_bytes_max, refuse_read_with_body,
};
pub(crate) use stream::{StreamKind, stream};
pub(crate) use websocket::{Subscriber, WebSocket, WebSocketEnd, accept, upgrade, upgraded_stream};

use crate::connection::Connection;

/// The connection of the connection a request came on.
pub(crate) fn connection_of(request: &Request) -> Arc<Connection> {
    Arc::clone(request.extensions().get::<Arc<Connection>>().expect("`connection` puts it into every routed request"))
}

/// A JSON answer that nobody may cache.
pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("our own answers have string keys");
    answer(status, "application/json", Body::from(body))
}

/// An answer that nobody may cache.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
