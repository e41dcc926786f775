//! The host that a request names. There must be exactly one, and without a token one that no
//! foreign web page can have (see [`Access::admits_host`]).

use axum::http::{HeaderValue, Request, Version, header};
use wire::ErrorBody;

use crate::config::Access;
use crate::refusal::{Refusal, RefusalReason};

/// Checks the host of a request and stores it in the Host header.
///
/// RFC 9112 §3.2 requires 400 for an HTTP/1.1 request without a Host header, and for any request
/// with several. A request of HTTP/1.0 may have none: no browser sends one. If the target is in
/// absolute form, its host overrides the header (§3.2.2).
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
        access.admits_host(host).map_err(|body| Refusal::new(RefusalReason::Forbidden, body))?;
    }
    if let Some(Ok(target)) = target.map(HeaderValue::from_str) {
        request.headers_mut().insert(header::HOST, target);
    }
    Ok(())
}

fn not_one(found: &str) -> Refusal {
    let error = format!("the request has {found} Host header");
    Refusal::bad_request(ErrorBody::new("Host", "", error, "send exactly one (RFC 9112 §3.2)"))
}

fn without_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}
