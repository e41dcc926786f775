//! The handshake of a WebSocket (RFC 6455 §4.2), and the socket after it.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use wire::ErrorBody;

use crate::connection::CountedStream;
use crate::refusal::{Refusal, RefusalReason};

/// Accepts a WebSocket handshake.
pub(crate) fn accept(request: &Request) -> Result<Response, Refusal> {
    let accept = check_handshake(request)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Waits until the response to a handshake is sent. Returns the socket, or `None` when the client
/// has closed the connection.
pub(crate) async fn upgraded_socket(upgraded: OnUpgrade) -> Option<CountedStream> {
    let upgraded = upgraded
        .await
        .inspect_err(|error| tracing::debug!(%error, "the client closed the connection during the upgrade"));
    let Ok(parts) = upgraded.ok()?.downcast::<TokioIo<CountedStream>>() else {
        tracing::error!("an upgraded connection is not the socket that was accepted");
        return None;
    };
    // Keep nothing of hyper: its read buffer alone is larger than the state of a session.
    let mut socket = parts.io.into_inner();
    socket.put_back(&parts.read_buf);
    Some(socket)
}

/// Checks the request as RFC 6455 §4.2.1 requires, and derives the accept key.
fn check_handshake(request: &Request) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    let refuse = |reason, field: &str, hint: &str| {
        let found = headers.get(field).and_then(|value| value.to_str().ok()).unwrap_or("");
        Refusal::new(reason, ErrorBody::new(field, found, "not a valid WebSocket handshake", hint))
    };
    let upgrades =
        has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket");
    if !upgrades || request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(refuse(RefusalReason::UpgradeRequired, "upgrade", "connect with a WebSocket client"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refuse(RefusalReason::UpgradeRequired, "sec-websocket-version", "use version 13"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    let key = key.ok_or_else(|| refuse(RefusalReason::BadRequest, "sec-websocket-key", "send 16 bytes in base64"))?;
    Ok(HeaderValue::from_str(&derive_accept_key(key.as_bytes())).expect("base64 is a header value"))
}

/// Whether these are 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let digits = key.strip_suffix(b"==").filter(|digits| digits.len() == 22);
    digits.is_some_and(|digits| digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')))
}

pub(super) fn offers(headers: &HeaderMap, subprotocol: &str) -> bool {
    has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, subprotocol)
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}
