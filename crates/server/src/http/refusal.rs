//! An answer that says no: a status, and a problem as JSON.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use wire::{ErrorBody, StartAt, WireError};

use super::json;
use crate::counters::Counter;
use crate::hub::{CursorAhead, RoomError};

/// Seconds a client is asked to wait when a limit is hit.
const RETRY_AFTER_S: &str = "1";

#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    body: ErrorBody,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, problem: ErrorBody) -> Self {
        Self { status, body: problem }
    }

    pub(crate) const fn bad(problem: ErrorBody) -> Self {
        Self::new(StatusCode::BAD_REQUEST, problem)
    }

    /// A limit is reached.
    pub(crate) fn full(what: &str, limit: usize, flag: &str) -> Self {
        let problem = ErrorBody::new(
            what,
            &limit.to_string(),
            format!("the server has no place for more {what}"),
            format!("try again later, or start it with a larger {flag}"),
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, problem)
    }

    /// The cursor is beyond the end of the log.
    pub(crate) fn cursor_ahead(start: StartAt, ahead: CursorAhead) -> Self {
        let found = Option::<u64>::from(start).unwrap_or_default().to_string();
        let hint = format!("the newest message is {}; the server may have been restarted", ahead.head);
        Self::bad(ErrorBody::new("after", &found, "the cursor is beyond the end of the log", hint))
    }

    pub(crate) fn closing() -> Self {
        let problem = ErrorBody::new("", "", "the server is going away", "come back with the same cursor");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, problem)
    }

    /// A post that cannot be read.
    pub(crate) fn bad_post(error: &WireError) -> Self {
        Self::bad(ErrorBody::new(
            "body",
            "",
            error.to_string(),
            "send {\"author\":1,\"ordinal\":1,\"text\":\"hello\"} in UTF-8",
        ))
    }

    pub(crate) fn into_body(self) -> ErrorBody {
        self.body
    }

    /// What it is counted as.
    pub(crate) fn counter(&self) -> Counter {
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => Counter::Refused,
            StatusCode::REQUEST_TIMEOUT => Counter::TimedOut,
            _ => Counter::Malformed,
        }
    }
}

impl From<RoomError> for Refusal {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::BadName(problem) => Self::bad(problem),
            RoomError::Full { rooms_max } => Self::full("rooms", rooms_max, "--rooms-max"),
            RoomError::Closed => Self::closing(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self.body);
        let headers = response.headers_mut();
        // What HTTP asks to be told along with a status.
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        response
    }
}
