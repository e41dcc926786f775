//! Refusals as HTTP responses: the status, the headers that HTTP requires with it, and the JSON
//! body.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::response::json;
use crate::refusal::{Refusal, RefusalReason};

/// Seconds a client should wait when a limit is reached.
const RETRY_AFTER_S: &str = "1";

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(status(self.reason), &self.body);
        for (name, value) in headers(self.reason) {
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        response
    }
}

/// The headers that HTTP requires with a refusal.
pub(super) const fn headers(reason: RefusalReason) -> &'static [(&'static str, &'static str)] {
    match reason {
        RefusalReason::Unavailable => &[("retry-after", RETRY_AFTER_S)],
        RefusalReason::RequestTimeout => &[("connection", "close")],
        RefusalReason::Unauthorized => &[("www-authenticate", "Bearer")],
        RefusalReason::UpgradeRequired => {
            &[("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
        }
        RefusalReason::BadRequest
        | RefusalReason::Forbidden
        | RefusalReason::NotFound
        | RefusalReason::MethodNotAllowed
        | RefusalReason::TooLarge => &[],
    }
}

pub(super) const fn status(reason: RefusalReason) -> StatusCode {
    match reason {
        RefusalReason::BadRequest => StatusCode::BAD_REQUEST,
        RefusalReason::Unauthorized => StatusCode::UNAUTHORIZED,
        RefusalReason::Forbidden => StatusCode::FORBIDDEN,
        RefusalReason::NotFound => StatusCode::NOT_FOUND,
        RefusalReason::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        RefusalReason::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        RefusalReason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RefusalReason::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
        RefusalReason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}
