//! `POST /rooms/{room}/{transport}`: posts over HTTP.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use wire::{Ack, ByteCounts, ErrorBody, ReadQuery, Transport, decode_post_json};

use super::request::{check_access, connection_of};
use super::request_head::RequestHead;
use super::response::{finish, json};
use crate::connection::Connection;
use crate::counters::TransportSlot;
use crate::hub::{Published, Room};
use crate::refusal::{Refusal, RefusalReason};
use crate::state::ServerState;

/// Maximum bytes of a post as JSON: each byte of its text escaped, and the fields around it.
pub(crate) const fn post_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max * 6 + 128
}

/// Answers a post with its sequence number.
pub(crate) async fn answer_post(state: Arc<ServerState>, transport: Transport, request: Request) -> Response {
    let connection = connection_of(&request);
    connection.begin_request(TransportSlot::of(transport));
    let outcome = accept_post(&state, &connection, request).await;
    finish(&state, &connection, outcome.map(|ack| ack_response(&connection, &ack)))
}

/// Refuses a read request with a body. The response may begin a stream or a WebSocket, and bytes of
/// the body would then be read as something else.
pub(crate) async fn refuse_read_with_body(state: Arc<ServerState>, transport: Transport, request: Request) -> Response {
    let connection = connection_of(&request);
    connection.begin_request(TransportSlot::of(transport));
    let hint = "send the request without content-length and transfer-encoding";
    let body = ErrorBody::new("body", "", "a read request must not have a body", hint);
    finish(&state, &connection, Err(Refusal::bad_request(body)))
}

fn ack_response(connection: &Connection, ack: &Ack) -> Response {
    let response = json(StatusCode::OK, ack);
    let envelope = response.body().size_hint().lower();
    let byte_counts = ByteCounts { envelope, ..ByteCounts::default() };
    connection.stats.counters().add_batch(connection.stats.slot(), 0, 0, byte_counts);
    response
}

async fn accept_post(state: &ServerState, connection: &Arc<Connection>, request: Request) -> Result<Ack, Refusal> {
    let room = check_post(state, &RequestHead::of(&request))?;
    let body = body_of(state, connection, request).await?;
    let (ordinal, published) = publish_body(state, connection, &room, &body)?;
    Ok(Ack { ordinal, seq: published.seq().await? })
}

/// Reads the body of a request. It may be as long as a post.
pub(super) async fn body_of(
    state: &ServerState,
    connection: &Arc<Connection>,
    request: Request,
) -> Result<Bytes, Refusal> {
    // The body belongs to this request and has a time limit of its own. It does not begin the next
    // request.
    let _busy = connection.busy_guard();
    let reading = read_body(state, request.into_body());
    tokio::time::timeout(state.limits.header_timeout, reading).await.map_err(|_| Refusal::late_body())?
}

/// Checks a post before its body is read, and returns its room.
pub(crate) fn check_post(state: &ServerState, head: &RequestHead<'_>) -> Result<Arc<Room>, Refusal> {
    let query = ReadQuery::parse(head.query, &["token"]).map_err(Refusal::bad_request)?;
    check_access(state, head, query.token)?;
    Ok(state.hub.room(head.room)?)
}

/// Publishes the post in a body, and returns its ordinal.
pub(crate) fn publish_body(
    state: &ServerState,
    connection: &Connection,
    room: &Room,
    body: &[u8],
) -> Result<(u64, Published), Refusal> {
    let post = decode_post_json(body).map_err(|error| Refusal::bad_post(&error))?;
    check_text(state, post.text.len())?;
    let payload = post.text.len() as u64;
    let byte_counts = ByteCounts { payload, envelope: body.len() as u64 - payload, framing: 0 };
    connection.stats.counters().add_post(connection.stats.slot(), byte_counts);
    Ok((post.ordinal, room.publish(&post)?))
}

/// Refuses a text that is too long.
pub(crate) fn check_text(state: &ServerState, bytes: usize) -> Result<(), Refusal> {
    let max = state.limits.message_bytes_max;
    if bytes <= max { Ok(()) } else { Err(too_large(max)) }
}

async fn read_body(state: &ServerState, body: Body) -> Result<Bytes, Refusal> {
    let max = state.limits.message_bytes_max;
    // Refused before the body is polled: polling would send 100 (Continue).
    if body.size_hint().lower() > post_bytes_max(max) as u64 {
        return Err(too_large(max));
    }
    match Limited::new(body, post_bytes_max(max)).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(max)),
        Err(error) => {
            let error = format!("the body is incomplete: {error}");
            Err(Refusal::bad_request(ErrorBody::new("body", "", error, "send the whole body")))
        }
    }
}

fn too_large(max: usize) -> Refusal {
    let hint = "split it into several messages, or start the server with a larger --message-bytes-max";
    let body = ErrorBody::new("text", "", format!("a message has at most {max} bytes of text"), hint);
    Refusal::new(RefusalReason::TooLarge, body)
}
