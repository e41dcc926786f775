//! The host a request is sent to. There is exactly one, and without a token it is one that no foreign web page can have (see
//! [`Access::admits_host`]).

use axum::http::{HeaderValue, Request, StatusCode, Version, header};
use wire::Problem;

use crate::config::Access;
use crate::http::Refusal;

/// Checks a request's host, and leaves it in the Host header.
///
/// RFC 9112, section 3.2, asks for 400 when an HTTP/1.1 request has no Host header, and when any request has several. One of HTTP/1.0 may have
/// none: no browser sends such a request. Of a target in absolute form the host is the target's own, whatever the header says (section 3.2.2).
pub(super) fn check<B>(access: &Access, request: &mut Request<B>) -> Result<(), Refusal> {
    let count = request.headers().get_all(header::HOST).iter().count();
    if count > 1 || (count == 0 && request.version() != Version::HTTP_10) {
        let error = format!("a request has one Host header, this one has {count}");
        return Err(Refusal::bad(Problem::new("Host", "", error, "send one Host header (RFC 9112, section 3.2)")));
    }
    if let Some(authority) = request.uri().authority() {
        let host = authority.as_str().rsplit('@').next().and_then(|host| HeaderValue::from_str(host).ok());
        request.headers_mut().insert(header::HOST, host.expect("what stands in a target can stand in a header"));
    }
    let Some(host) = request.headers().get(header::HOST) else { return Ok(()) };
    let admitted = access.admits_host(host.to_str().unwrap_or(""));
    admitted.map_err(|problem| Refusal::new(StatusCode::FORBIDDEN, problem))
}
