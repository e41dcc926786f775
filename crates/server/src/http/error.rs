//! Refusals as HTTP responses: the status, the headers that HTTP requires with it, and the JSON
//! body.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::response::json;
use crate::refusal::{Refusal, RefusalReason};

/// Seconds a client should wait when a limit is reached.
const RETRY_AFTER_S: &str = "1";

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(status(self.reason), &self.body);
        let headers = response.headers_mut();
        match self.reason {
            RefusalReason::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            RefusalReason::RequestTimeout => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            RefusalReason::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            RefusalReason::UpgradeRequired => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        response
    }
}

const fn status(reason: RefusalReason) -> StatusCode {
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
