//! Why the server refuses a request, a join or a post: a reason, an error body, and the counter.
//!
//! Every transport sends the error body in its own way; `http` maps the reason to a status.

use wire::{Ack, ErrorBody, ServerItem, StartAt, WireError};

use crate::counters::Counter;
use crate::hub::{CursorAhead, NotTaken, RoomError, Taken};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalReason {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    TooLarge,
    UpgradeRequired,
    /// A limit of the server is reached, or the server is closing.
    Unavailable,
}

#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: RefusalReason,
    pub(crate) body: ErrorBody,
}

impl Refusal {
    pub(crate) const fn new(reason: RefusalReason, body: ErrorBody) -> Self {
        Self { reason, body }
    }

    pub(crate) const fn bad_request(body: ErrorBody) -> Self {
        Self::new(RefusalReason::BadRequest, body)
    }

    /// A limit of the server is reached.
    pub(crate) fn full(what: &str, limit: usize, flag: &str) -> Self {
        let error = format!("the server has reached its limit of {what}");
        let hint = format!("try again later, or start the server with a larger {flag}");
        Self::new(RefusalReason::Unavailable, ErrorBody::new(what, &limit.to_string(), error, hint))
    }

    /// The cursor is beyond the end of the log.
    pub(crate) fn cursor_ahead(start: StartAt, ahead: CursorAhead) -> Self {
        let found = Option::<u64>::from(start).unwrap_or_default().to_string();
        let hint = format!("the newest message is {}; the server may have been restarted", ahead.head);
        Self::bad_request(ErrorBody::new("after", &found, "the cursor is beyond the end of the log", hint))
    }

    pub(crate) fn closing() -> Self {
        let body = ErrorBody::new("", "", "the server is shutting down", "reconnect with the same cursor");
        Self::new(RefusalReason::Unavailable, body)
    }

    /// The log that several servers share does not answer.
    pub(crate) fn log_away() -> Self {
        let hint = "try again later; a post that was refused may still appear";
        Self::new(
            RefusalReason::Unavailable,
            ErrorBody::new(ErrorBody::LOG, "", "the shared log does not answer", hint),
        )
    }

    /// The body of a post did not arrive in time.
    pub(crate) fn late_body() -> Self {
        let body = ErrorBody::new("body", "", "the body did not arrive in time", "send it in one piece");
        Self::new(RefusalReason::RequestTimeout, body)
    }

    /// A post that cannot be parsed.
    pub(crate) fn bad_post(error: &WireError) -> Self {
        let hint = "send {\"author\":1,\"ordinal\":1,\"text\":\"hello\"} in UTF-8";
        Self::bad_request(ErrorBody::new("body", "", error.to_string(), hint))
    }

    /// The counter of this refusal.
    pub(crate) const fn counter(&self) -> Counter {
        match self.reason {
            RefusalReason::Unavailable => Counter::Refused,
            RefusalReason::RequestTimeout => Counter::TimedOut,
            _ => Counter::Malformed,
        }
    }
}

/// The answer to a post on a connection that stays open; `None` if the server is shutting down.
pub(crate) async fn answer_to_post(ordinal: u64, taken: Taken) -> Option<ServerItem<'static>> {
    let seq = match taken {
        Ok(published) => published.seq().await,
        Err(not_taken) => Err(not_taken),
    };
    match seq {
        Ok(seq) => Some(ServerItem::Ack(Ack { ordinal, seq })),
        Err(NotTaken::Away) => Some(ServerItem::Error(Refusal::log_away().body)),
        Err(NotTaken::Closed) => None,
    }
}

impl From<NotTaken> for Refusal {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Closed => Self::closing(),
            NotTaken::Away => Self::log_away(),
        }
    }
}

impl From<RoomError> for Refusal {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::BadName(body) => Self::bad_request(body),
            RoomError::Full { rooms_max } => Self::full("rooms", rooms_max, "--rooms-max"),
            RoomError::Closed => Self::closing(),
        }
    }
}
