//! Heads of responses that are written to the socket without an HTTP library.

use std::cell::RefCell;
use std::time::SystemTime;

use axum::http::{HeaderName, HeaderValue, StatusCode, Version, header};
use bytes::Bytes;
use nix::time::ClockId;

use super::request_head::RequestHead;
use super::{cors, error};
use crate::config::Access;
use crate::refusal::Refusal;

/// What the head of a response owes to its request.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResponseForm {
    is_http_10: bool,
    /// Whether the response has a head only.
    pub(crate) is_head_only: bool,
    /// Whether the response is the last on its connection.
    pub(crate) closes: bool,
    /// For pages of an allowed origin.
    cors: Option<Box<[(HeaderName, HeaderValue); 3]>>,
}

impl ResponseForm {
    pub(crate) fn new(access: &Access, head: &RequestHead<'_>) -> Self {
        Self {
            is_http_10: head.version == Version::HTTP_10,
            is_head_only: head.method == axum::http::Method::HEAD,
            closes: !head.keeps_alive,
            cors: cors::headers(access, head.origin, head.host).map(Box::new),
        }
    }

    /// Whether its head is the same as for most clients.
    fn is_usual(&self) -> bool {
        !self.is_http_10 && !self.closes && self.cors.is_none()
    }
}

/// A head in the making.
pub(crate) struct ResponseHead(Vec<u8>);

impl ResponseHead {
    pub(crate) fn new(status: StatusCode, form: &ResponseForm) -> Self {
        let mut head = Self(Vec::with_capacity(192));
        head.0.extend_from_slice(if form.is_http_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
        head.0.extend_from_slice(status.as_str().as_bytes());
        head.0.push(b' ');
        head.0.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
        head.0.extend_from_slice(b"\r\n");
        match (form.closes, form.is_http_10) {
            (true, _) => head.push(header::CONNECTION.as_str(), "close"),
            (false, true) => head.push(header::CONNECTION.as_str(), "keep-alive"),
            (false, false) => {}
        }
        for (name, value) in form.cors.iter().flat_map(|headers| headers.iter()) {
            head.push(name.as_str(), value);
        }
        head.push(header::DATE.as_str(), httpdate::fmt_http_date(SystemTime::now()));
        head
    }

    /// The headers of a response that must not be cached.
    pub(crate) fn with_content(mut self, content_type: &str) -> Self {
        self.push(header::CONTENT_TYPE.as_str(), content_type);
        self.push(header::CACHE_CONTROL.as_str(), "no-store");
        self
    }

    pub(crate) fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value.as_ref());
        self.0.extend_from_slice(b"\r\n");
    }

    /// The bytes so far. More headers and an empty line have to follow.
    pub(crate) fn open(self) -> Vec<u8> {
        self.0
    }

    /// The whole head.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
    }
}

/// Head and body of a refusal.
pub(crate) fn refusal_response(form: &ResponseForm, refusal: &Refusal) -> (Bytes, Bytes) {
    json_response(form, error::status(refusal.reason), error::headers(refusal.reason), &refusal.body)
}

/// Head and body of a response with JSON.
pub(crate) fn json_response(
    form: &ResponseForm,
    status: StatusCode,
    headers: &[(&str, &str)],
    value: &impl serde::Serialize,
) -> (Bytes, Bytes) {
    let body = serde_json::to_vec(value).expect("the types of this crate have string keys");
    let mut head = ResponseHead::new(status, form).with_content("application/json");
    for (name, value) in headers {
        head.push(name, value);
    }
    head.push(header::CONTENT_LENGTH.as_str(), body.len().to_string());
    (head.end().into(), if form.is_head_only { Bytes::new() } else { body.into() })
}

/// The heads that most responses have, renewed every second because of their date.
struct UsualHeads {
    second: i64,
    batch: Bytes,
    empty: Bytes,
}

thread_local!(static USUAL: RefCell<Option<UsualHeads>> = const { RefCell::new(None) });

/// The head before a batch that contains its length.
pub(crate) fn batch_head(form: &ResponseForm, cursor: Option<u64>) -> Bytes {
    if form.is_usual() && cursor.is_none() {
        return usual(|heads| &heads.batch);
    }
    let mut head = ResponseHead::new(StatusCode::OK, form).with_content("application/x-ndjson");
    push_cursor(&mut head, cursor);
    head.open().into()
}

/// A response without messages.
pub(crate) fn empty_response(form: &ResponseForm, cursor: Option<u64>) -> Bytes {
    if form.is_usual() && cursor.is_none() {
        return usual(|heads| &heads.empty);
    }
    let mut head = ResponseHead::new(StatusCode::NO_CONTENT, form);
    push_cursor(&mut head, cursor);
    head.end().into()
}

fn push_cursor(head: &mut ResponseHead, cursor: Option<u64>) {
    if let Some(cursor) = cursor {
        head.push(wire::CURSOR_HEADER, cursor.to_string());
    }
}

fn usual(which: impl Fn(&UsualHeads) -> &Bytes) -> Bytes {
    // The coarse clock is exact enough, and reading it costs less.
    let second = ClockId::CLOCK_REALTIME_COARSE.now().map_or(0, |time| time.tv_sec());
    USUAL.with_borrow_mut(|usual| {
        let heads = usual.take().filter(|heads| heads.second == second).unwrap_or_else(|| {
            let form = ResponseForm::default();
            let batch = ResponseHead::new(StatusCode::OK, &form).with_content("application/x-ndjson").open().into();
            UsualHeads { second, batch, empty: ResponseHead::new(StatusCode::NO_CONTENT, &form).end().into() }
        });
        which(usual.insert(heads)).clone()
    })
}
