//! Cross-origin requests of browsers (the CORS protocol of the Fetch standard).
//!
//! A page of an origin that `--allow-origin` names may send posts as JSON with a token, and read
//! every response. Pages of other origins are refused and get none of these headers.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;

use super::finish;
use super::request::check_origin;
use super::request_head::RequestHead;
use crate::config::Access;
use crate::connection::Connection;
use crate::counters::TransportSlot;
use crate::state::ServerState;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");
const HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, last-event-id");
/// How long a browser may cache the answer to a preflight: the longest time that Chromium accepts.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("7200");

/// Headers that let a page of an allowed origin read the response, whatever its status.
pub(crate) fn headers(
    access: &Access,
    origin: Option<&str>,
    host: Option<&str>,
) -> Option<[(HeaderName, HeaderValue); 3]> {
    let origin = origin.filter(|origin| access.admits_other(origin, host.unwrap_or("")))?;
    Some([
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_str(origin).ok()?),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(wire::CURSOR_HEADER)),
        (header::VARY, HeaderValue::from_static("origin")),
    ])
}

/// The same for a request that an HTTP library has parsed.
pub(crate) fn headers_for<B>(access: &Access, request: &Request<B>) -> Option<[(HeaderName, HeaderValue); 3]> {
    let head = RequestHead::of(request);
    headers(access, head.origin, head.host)
}

/// Whether a request is a preflight: a browser asks whether its page may send a request.
pub(crate) fn is_preflight(request: &Request) -> bool {
    let has = |name| request.headers().contains_key(name);
    request.method() == Method::OPTIONS && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers a preflight, in the same way for every path. It needs no token, as browsers send none
/// with it.
pub(crate) fn answer_preflight(state: &ServerState, connection: &Connection, request: &Request) -> Response {
    connection.begin_request(TransportSlot::OTHER);
    let outcome = check_origin(state, &RequestHead::of(request)).map(|()| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
        response
    });
    finish(state, connection, outcome)
}
