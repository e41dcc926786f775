//! `POST /rooms/{room}/presence`: reports of who is in a room.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use wire::{ErrorBody, People, PresenceReport, ReadQuery};

use super::post::body_of;
use super::request::{check_access, connection_of};
use super::request_head::RequestHead;
use super::response::{finish, json};
use crate::connection::Connection;
use crate::counters::TransportSlot;
use crate::presence::{PEOPLE_MAX, RoomFull};
use crate::refusal::{Refusal, RefusalReason};
use crate::state::ServerState;

/// Answers a report with everybody in the room.
pub(crate) async fn answer_presence(state: Arc<ServerState>, request: Request) -> Response {
    let connection = connection_of(&request);
    connection.begin_request(TransportSlot::OTHER);
    let outcome = accept(&state, &connection, request).await;
    finish(&state, &connection, outcome.map(|people| json(StatusCode::OK, &people)))
}

async fn accept(state: &ServerState, connection: &Arc<Connection>, request: Request) -> Result<People, Refusal> {
    let head = RequestHead::of(&request);
    let query = ReadQuery::parse(head.query, &["token"]).map_err(Refusal::bad_request)?;
    check_access(state, &head, query.token)?;
    let name = head.path.strip_prefix("/rooms/").and_then(|path| path.strip_suffix("/presence")).unwrap_or("");
    let room = state.hub.room(name)?;
    let body = body_of(state, connection, request).await?;
    let report: PresenceReport = serde_json::from_slice(&body).map_err(|error| {
        let hint = "send {\"author\":1,\"name\":\"Anna\"}, or without a name to leave";
        Refusal::bad_request(ErrorBody::new("body", "", error.to_string(), hint))
    })?;
    state.presence.report(room, report).map_err(|RoomFull| {
        let body = ErrorBody::new("presence", "", format!("the room has {PEOPLE_MAX} people"), "use another room");
        Refusal::new(RefusalReason::Unavailable, body)
    })
}
