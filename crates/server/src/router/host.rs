//! The host a request is sent to. There is exactly one, and without a token it is one that no foreign web page can have (see
//! [`Access::admits_host`]).

use axum::http::{HeaderValue, Request, StatusCode, Version, header};
use wire::ErrorBody;

use crate::config::Access;
use crate::http::Refusal;

/// Checks a request's host, and leaves it in the Host header.
///
/// RFC 9112, section 3.2, asks for 400 when an HTTP/1.1 request has no Host header, and when any request has several. One of HTTP/1.0 may have
/// none: no browser sends such a request. Of a target in absolute form the host is the target's own, whatever the header says (section 3.2.2).
pub(super) fn check<B>(access: &Access, request: &mut Request<B>) -> Result<(), Refusal> {
    let mut headers = request.headers().get_all(header::HOST).iter();
    let header = match (headers.next(), headers.next()) {
        (Some(host), None) => Some(host.to_str().unwrap_or("")),
        (None, _) if request.version() == Version::HTTP_10 => None,
        (None, _) => return Err(not_one("no")),
        (Some(_), Some(_)) => return Err(not_one("more than one")),
    };
    let target = request.uri().authority().map(|authority| without_user(authority.as_str()));
    if let Some(host) = target.or(header) {
        access.admits_host(host).map_err(|problem| Refusal::new(StatusCode::FORBIDDEN, problem))?;
    }
    if let Some(Ok(target)) = target.map(HeaderValue::from_str) {
        request.headers_mut().insert(header::HOST, target);
    }
    Ok(())
}

fn not_one(found: &str) -> Refusal {
    let error = format!("this request has {found} Host header");
    Refusal::bad(ErrorBody::new("Host", "", error, "send exactly one (RFC 9112, section 3.2)"))
}

fn without_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}
