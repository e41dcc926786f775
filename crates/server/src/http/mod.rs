//! What the transports on HTTP have in common: reading requests, posts, streamed responses, WebSockets, refusals.

mod channel;
pub(crate) mod cors;
mod refusal;
mod stream;
mod visit;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

pub(crate) use channel::{Caller, Channel, End, accept, socket_of, upgrade};
pub(crate) use refusal::Refusal;
pub(crate) use stream::{StreamKind, stream};
pub(crate) use visit::{
    Answer, HttpRead, Visit, answer_post, check_text, finish, post_bytes_max, refuse_read_with_body,
};

use crate::net::Gauge;

/// The gauge of the connection a request came on.
pub(crate) fn gauge_of(request: &Request) -> Arc<Gauge> {
    Arc::clone(request.extensions().get::<Arc<Gauge>>().expect("`connection` puts it into every routed request"))
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
