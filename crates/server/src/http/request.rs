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
use wire::{Ack, ByteCounts, Encoding, ErrorBody, Framing, ReadQuery, Reset, StartAt, Transport, decode_post_json};

use super::{Refusal, connection_of, json};
use crate::connection::Connection;
use crate::counters::TransportSlot;
use crate::hub::{BatchFormat, Reader, Room};
use crate::state::ServerState;

/// How a transport answers a reading request: the parameters it knows, how it wants its batches, and what it does with a visit that was let in.
#[derive(Clone, Copy)]
pub(crate) struct ReadEndpoint {
    pub(crate) parameters: &'static [&'static str],
    /// Whether its batches are chunks of one response.
    pub(crate) chunked: bool,
    pub(crate) answer: fn(ReadRequest) -> ResponseFuture,
}

pub(crate) type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

/// What JSON may add to a text: every byte of it escaped, and the fields around it.
pub(crate) const fn post_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max * 6 + 128
}

/// A reader's request that was let in.
pub(crate) struct ReadRequest {
    pub(crate) state: Arc<ServerState>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) reader: Reader,
    pub(crate) encoding: Encoding,
    pub(crate) hold_ms: Option<u64>,
    /// Whether the client knew where it stands; otherwise it has to be told.
    pub(crate) had_cursor: bool,
    /// The log was begun anew since the client came last.
    pub(crate) reset: Option<Reset>,
    pub(crate) request: Request,
}

impl ReadRequest {
    /// Checks a reading request against what its transport knows.
    pub(crate) fn parse(
        state: Arc<ServerState>,
        connection: Arc<Connection>,
        transport: Transport,
        read: &ReadEndpoint,
        request: Request,
    ) -> Result<Self, Refusal> {
        let query = ReadQuery::parse(request.uri().query().unwrap_or(""), read.parameters).map_err(Refusal::bad)?;
        check_access(&state, request.headers(), query.token)?;
        let encoding = match query.encoding {
            None => transport.encodings()[0],
            Some(encoding) => encoding,
        };
        let resume = last_event_id(transport, request.headers())?;
        let start = resume.unwrap_or(query.start);
        let room = state.hub.room(room_of(&request))?;
        let format = BatchFormat { framing: Framing::of(transport, encoding), chunked: read.chunked };
        let (reader, reset) = match room.reader(format, start) {
            Ok(reader) => (reader, None),
            Err(ahead) if resume.is_some() => (room.reader_from_start(format), Some(Reset { head: ahead.head })),
            Err(ahead) => return Err(Refusal::cursor_ahead(start, ahead)),
        };
        let hold_ms = query.hold_ms;
        Ok(Self { state, connection, reader, encoding, hold_ms, had_cursor: start != StartAt::Live, reset, request })
    }

    /// Checks a control request.
    pub(crate) fn check_control(state: &ServerState, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let query = ReadQuery::parse(uri.query().unwrap_or(""), &["token"]).map_err(Refusal::bad)?;
        check_access(state, headers, query.token)
    }
}

/// Answers `POST /rooms/{room}/{transport}` with the place the post got.
pub(crate) async fn answer_post(state: Arc<ServerState>, transport: Transport, request: Request) -> Response {
    let connection = connection_of(&request);
    connection.begin_request(TransportSlot::of(transport));
    let outcome = accept_post(&state, &connection, request).await;
    finish(&state, &connection, outcome.map(|ack| answer_ack(&connection, &ack)))
}

/// Refuses a reading request with a body. Its answer may begin a stream or a WebSocket, and what comes then is not HTTP's any more.
pub(crate) async fn refuse_read_with_body(state: Arc<ServerState>, transport: Transport, request: Request) -> Response {
    let connection = connection_of(&request);
    connection.begin_request(TransportSlot::of(transport));
    let hint = "send the request without content-length and transfer-encoding";
    finish(&state, &connection, Err(Refusal::bad(ErrorBody::new("body", "", "a reading request has no body", hint))))
}

fn answer_ack(connection: &Connection, ack: &Ack) -> Response {
    let response = json(StatusCode::OK, ack);
    let envelope = response.body().size_hint().lower();
    connection.counters().add_batch(connection.slot(), 0, 0, ByteCounts { envelope, ..ByteCounts::default() });
    response
}

/// Turns an outcome into the answer, and counts a refusal.
pub(crate) fn finish(state: &ServerState, connection: &Connection, outcome: Result<Response, Refusal>) -> Response {
    outcome.unwrap_or_else(|refusal| {
        connection.count(refusal.counter());
        let mut response = refusal.into_response();
        if state.closing.is_cancelled() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    })
}

async fn accept_post(state: &ServerState, connection: &Arc<Connection>, request: Request) -> Result<Ack, Refusal> {
    let query = ReadQuery::parse(request.uri().query().unwrap_or(""), &["token"]).map_err(Refusal::bad)?;
    check_access(state, request.headers(), query.token)?;
    let room = state.hub.room(room_of(&request))?;
    let body = {
        // What comes now belongs to this request and to its own time limit; it is not the beginning of the next one.
        let _busy = connection.busy_guard();
        tokio::time::timeout(state.limits.header_timeout, read_body(state, request.into_body())).await
    };
    let body = body.map_err(|_| {
        let hint = "send it in one piece";
        Refusal::new(StatusCode::REQUEST_TIMEOUT, ErrorBody::new("body", "", "the body did not come in time", hint))
    })??;
    let post = decode_post_json(&body).map_err(|error| Refusal::bad_post(&error))?;
    check_text(state, post.text.len())?;
    let payload = post.text.len() as u64;
    connection
        .counters()
        .add_post(connection.slot(), ByteCounts { payload, envelope: body.len() as u64 - payload, framing: 0 });
    publish(&room, &post)
}

fn publish(room: &Room, post: &wire::Post<'_>) -> Result<Ack, Refusal> {
    let seq = room.publish(post).map_err(|_| Refusal::closing())?;
    Ok(Ack { ordinal: post.ordinal, seq })
}

/// Refuses a text that is too long.
pub(crate) fn check_text(state: &ServerState, found: usize) -> Result<(), Refusal> {
    let max = state.limits.message_bytes_max;
    if found <= max { Ok(()) } else { Err(too_large(max)) }
}

async fn read_body(state: &ServerState, body: Body) -> Result<bytes::Bytes, Refusal> {
    let max = state.limits.message_bytes_max;
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

fn check_access(state: &ServerState, headers: &HeaderMap, token: Option<&str>) -> Result<(), Refusal> {
    let unauthorized = |problem| Refusal::new(StatusCode::UNAUTHORIZED, problem);
    state.access.admits_token(headers, token).map_err(unauthorized)?;
    let forbidden = |problem| Refusal::new(StatusCode::FORBIDDEN, problem);
    state.access.admits_origin(headers).map_err(forbidden)
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
