//! The HTTP port: which request goes where, and the life of a connection.

#[cfg(feature = "echo")]
mod echo;
mod host;
mod http_connection;
mod request_body;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use wire::{ErrorBody, Transport};

pub(crate) use http_connection::{refuse, serve};

use crate::counters::TransportSlot;
use crate::http::{ReadRequest, Refusal, answer_post, connection_of, json, refuse_read_with_body};
use crate::state::ServerState;
use crate::transports;

/// Everything but a room's read: posts, control, and what is not there.
pub(crate) fn router(state: &Arc<ServerState>) -> Router {
    let mut router = Router::new();
    for transport in Transport::ALL.into_iter().filter(|transport| transport.has_room_url()) {
        let (reader_app, poster_app) = (Arc::clone(state), Arc::clone(state));
        let refuse = move |request: Request| refuse_read_with_body(reader_app, transport, request);
        let take = move |request: Request| answer_post(poster_app, transport, request);
        let methods = get(refuse).post(take);
        router = router.route(&format!("/rooms/{{room}}/{transport}"), methods);
    }
    let door = transports::socketio::open(state);
    let knock = move |request: Request| async move { door.answer(request).await };
    let state = Arc::clone(state);
    #[cfg(feature = "echo")]
    let router = {
        let state = Arc::clone(&state);
        router.route(echo::PATH, get(move |request: Request| echo::answer(state, request)))
    };
    router
        .route(transports::socketio::PATH, any(knock))
        .route("/control/usage", get(move |request: Request| async move { usage(&state, &request) }))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
}

fn usage(state: &ServerState, request: &Request) -> Response {
    connection_of(request).begin_request(TransportSlot::OTHER);
    match ReadRequest::check_control(state, request.uri(), request.headers()) {
        Ok(()) => json(StatusCode::OK, &state.stats()),
        Err(refusal) => refusal.into_response(),
    }
}

async fn no_such_path(request: Request) -> Response {
    connection_of(&request).begin_request(TransportSlot::OTHER);
    let names: Vec<_> = Transport::ALL.into_iter().filter(|t| t.has_room_url()).map(Transport::name).collect();
    let hint =
        format!("there is /control/usage, /socket.io/, and /rooms/NAME/ followed by one of {}", names.join(", "));
    let problem = ErrorBody::new("path", request.uri().path(), "nothing lives here", hint);
    Refusal::new(StatusCode::NOT_FOUND, problem).into_response()
}

async fn no_such_method(request: Request) -> Response {
    connection_of(&request).begin_request(TransportSlot::OTHER);
    let hint = "see the Allow header of this answer";
    let problem = ErrorBody::new("method", request.method().as_str(), "not with this method", hint);
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, problem).into_response()
}
