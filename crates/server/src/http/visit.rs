//! A request to a room, checked: who it is, which room, what it asks for. Reading and posting come through here on every HTTP transport.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use wire::{Ack, ByteCounts, Encoding, ErrorBody, ReadQuery, Reset, StartAt, Transport, decode_post_json};

use super::{Refusal, gauge_of, json};
use crate::app::App;
use crate::hub::{Layout, Reader, Room};
use crate::meter::Label;
use crate::net::Gauge;

/// How a transport answers a reading request: the parameters it knows, how it wants its batches, and what it does with a visit that was let in.
#[derive(Clone, Copy)]
pub(crate) struct HttpRead {
    pub(crate) parameters: &'static [&'static str],
    /// Whether its batches are chunks of one response.
    pub(crate) chunked: bool,
    pub(crate) answer: fn(Visit) -> Answer,
}

pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

/// What JSON may add to a text: every byte of it escaped, and the fields around it.
pub(crate) const fn post_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max * 6 + 128
}

/// A reader's request that was let in.
pub(crate) struct Visit {
    pub(crate) app: Arc<App>,
    pub(crate) gauge: Arc<Gauge>,
    pub(crate) reader: Reader,
    pub(crate) encoding: Encoding,
    pub(crate) hold_ms: Option<u64>,
    /// Whether the client knew where it stands; otherwise it has to be told.
    pub(crate) had_cursor: bool,
    /// The log was begun anew since the client came last.
    pub(crate) reset: Option<Reset>,
    pub(crate) request: Request,
}

impl Visit {
    /// Checks a reading request against what its transport knows.
    pub(crate) fn admit(
        app: Arc<App>,
        gauge: Arc<Gauge>,
        transport: Transport,
        read: &HttpRead,
        request: Request,
    ) -> Result<Self, Refusal> {
        let query = ReadQuery::parse(request.uri().query().unwrap_or(""), read.parameters).map_err(Refusal::bad)?;
        check_caller(&app, request.headers(), query.token)?;
        let encoding = match query.encoding {
            None => transport.default_encoding(),
            Some(encoding) => encoding,
        };
        let returns = last_event_id(transport, request.headers())?;
        let start = returns.unwrap_or(query.start);
        let room = app.hub.room(room_of(&request))?;
        let layout = Layout { form: transport.framing(encoding), chunked: read.chunked };
        let (reader, reset) = match room.reader(layout, start) {
            Ok(reader) => (reader, None),
            Err(ahead) if returns.is_some() => (room.reader_from_start(layout), Some(Reset { head: ahead.head })),
            Err(ahead) => return Err(Refusal::cursor_ahead(start, ahead)),
        };
        let hold_ms = query.hold_ms;
        Ok(Self { app, gauge, reader, encoding, hold_ms, had_cursor: start != StartAt::Live, reset, request })
    }

    /// Checks a control request.
    pub(crate) fn admit_control(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let query = ReadQuery::parse(uri.query().unwrap_or(""), &["token"]).map_err(Refusal::bad)?;
        check_caller(app, headers, query.token)
    }
}

/// Answers `POST /rooms/{room}/{transport}` with the place the post got.
pub(crate) async fn answer_post(app: Arc<App>, transport: Transport, request: Request) -> Response {
    let gauge = gauge_of(&request);
    gauge.begin_request(Label::of(transport));
    let outcome = take_post(&app, &gauge, request).await;
    finish(&app, &gauge, outcome.map(|ack| answer_ack(&gauge, &ack)))
}

/// Refuses a reading request with a body. Its answer may begin a stream or a WebSocket, and what comes then is not HTTP's any more.
pub(crate) async fn refuse_read_with_body(app: Arc<App>, transport: Transport, request: Request) -> Response {
    let gauge = gauge_of(&request);
    gauge.begin_request(Label::of(transport));
    let hint = "send the request without content-length and transfer-encoding";
    finish(&app, &gauge, Err(Refusal::bad(ErrorBody::new("body", "", "a reading request has no body", hint))))
}

fn answer_ack(gauge: &Gauge, ack: &Ack) -> Response {
    let response = json(StatusCode::OK, ack);
    let envelope = response.body().size_hint().lower();
    gauge.meter().add_batch(gauge.label(), 0, 0, ByteCounts { envelope, ..ByteCounts::default() });
    response
}

/// Turns an outcome into the answer, and counts a refusal.
pub(crate) fn finish(app: &App, gauge: &Gauge, outcome: Result<Response, Refusal>) -> Response {
    outcome.unwrap_or_else(|refusal| {
        gauge.count(refusal.count());
        let mut response = refusal.into_response();
        if app.closing.is_cancelled() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    })
}

async fn take_post(app: &App, gauge: &Arc<Gauge>, request: Request) -> Result<Ack, Refusal> {
    let query = ReadQuery::parse(request.uri().query().unwrap_or(""), &["token"]).map_err(Refusal::bad)?;
    check_caller(app, request.headers(), query.token)?;
    let room = app.hub.room(room_of(&request))?;
    let body = {
        // What comes now belongs to this request and to its own time limit; it is not the beginning of the next one.
        let _held = gauge.hold();
        tokio::time::timeout(app.limits.header_timeout, read_body(app, request.into_body())).await
    };
    let body = body.map_err(|_| {
        let hint = "send it in one piece";
        Refusal::new(StatusCode::REQUEST_TIMEOUT, ErrorBody::new("body", "", "the body did not come in time", hint))
    })??;
    let post = decode_post_json(&body).map_err(|error| Refusal::bad_post(&error))?;
    check_text(app, post.text.len())?;
    let payload = post.text.len() as u64;
    gauge.meter().add_post(gauge.label(), ByteCounts { payload, envelope: body.len() as u64 - payload, framing: 0 });
    publish(&room, &post)
}

fn publish(room: &Room, post: &wire::Post<'_>) -> Result<Ack, Refusal> {
    let seq = room.publish(post).map_err(|_| Refusal::closing())?;
    Ok(Ack { ordinal: post.ordinal, seq })
}

/// Refuses a text that is too long.
pub(crate) fn check_text(app: &App, found: usize) -> Result<(), Refusal> {
    let max = app.limits.message_bytes_max;
    if found <= max { Ok(()) } else { Err(too_large(max)) }
}

async fn read_body(app: &App, body: Body) -> Result<bytes::Bytes, Refusal> {
    let max = app.limits.message_bytes_max;
    // A client that waits for a 100 (Continue) is not asked for a body that is refused.
    if body.size_hint().lower() > post_bytes_max(max) as u64 {
        return Err(too_large(max));
    }
    match Limited::new(body, post_bytes_max(max)).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(max)),
        Err(error) => {
            Err(Refusal::bad(ErrorBody::new("body", "", format!("the body broke off: {error}"), "send it whole")))
        }
    }
}

fn too_large(max: usize) -> Refusal {
    let hint = "say it in several messages, or start the server with a larger --message-bytes-max";
    let problem = ErrorBody::new("text", "", format!("a message has at most {max} bytes of text"), hint);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, problem)
}

fn check_caller(app: &App, headers: &HeaderMap, token: Option<&str>) -> Result<(), Refusal> {
    let unauthorized = |problem| Refusal::new(StatusCode::UNAUTHORIZED, problem);
    app.access.admits_token(headers, token).map_err(unauthorized)?;
    let forbidden = |problem| Refusal::new(StatusCode::FORBIDDEN, problem);
    app.access.admits_origin(headers).map_err(forbidden)
}

/// The second segment of a path, which has it.
fn room_of(request: &Request) -> &str {
    request.uri().path().split('/').nth(2).unwrap_or("")
}

/// A browser that comes back says where it stood in a header; that is newer than the URL it was given.
fn last_event_id(transport: Transport, headers: &HeaderMap) -> Result<Option<StartAt>, Refusal> {
    let Some(value) = headers.get("last-event-id").filter(|_| transport == Transport::Sse) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("?");
    wire::parse_after("Last-Event-ID", text).map(|seq| Some(StartAt::After(seq))).map_err(Refusal::bad)
}
