//! The HTTP port: its routes, and the life of a connection.

#[cfg(feature = "echo")]
mod echo;
mod host;
mod http_connection;
mod page;
mod request_body;
mod room_connection;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use tokio::io::AsyncWriteExt;
use wire::{ErrorBody, Transport};

pub(crate) use http_connection::refuse;
use room_connection::RoomEnd;

use crate::connection::CountedStream;
use crate::counters::TransportSlot;
use crate::http::{answer_post, answer_presence, check_stats_request, connection_of, json, refuse_read_with_body};
use crate::refusal::{Refusal, RefusalReason};
use crate::state::ServerState;
use crate::transports;

/// Path of the statistics.
const STATS_PATH: &str = "/stats";

/// Serves one connection until it ends.
pub(crate) async fn serve(state: Arc<ServerState>, router: Router, mut socket: CountedStream) {
    loop {
        match room_connection::serve(&state, &mut socket).await {
            Ok(RoomEnd::Unusual) => {
                // Boxed: most connections never need the library, and its future is large.
                match Box::pin(http_connection::serve(&state, &router, socket)).await {
                    Some(returned) => socket = returned,
                    None => return,
                }
            }
            Ok(RoomEnd::Stream(stream)) => {
                state.tasks.spawn(stream.serve(socket));
                return;
            }
            Ok(RoomEnd::Closes) => return drop(socket.close_gracefully().await),
            Ok(RoomEnd::Ended) => return drop(socket.shutdown().await),
            Err(error) => return tracing::debug!(%error, "an HTTP connection ended"),
        }
    }
}

/// Every route but the reads of rooms, which are answered without the router.
pub(crate) fn router(state: &Arc<ServerState>) -> Router {
    let mut router = Router::new();
    for transport in Transport::ALL.into_iter().filter(|transport| transport.has_room_url()) {
        let (for_reads, for_posts) = (Arc::clone(state), Arc::clone(state));
        let read = move |request: Request| refuse_read_with_body(for_reads, transport, request);
        let post = move |request: Request| answer_post(for_posts, transport, request);
        router = router.route(&format!("/rooms/{{room}}/{transport}"), get(read).post(post));
    }
    let service = transports::socketio::open(state);
    let socketio = move |request: Request| async move { service.answer(request).await };
    let for_presence = Arc::clone(state);
    let presence = move |request: Request| answer_presence(for_presence, request);
    let router = router.merge(page::routes(state)).route("/rooms/{room}/presence", post(presence));
    let state = Arc::clone(state);
    #[cfg(feature = "echo")]
    let router = {
        let state = Arc::clone(&state);
        router.route(echo::PATH, get(move |request: Request| echo::answer(state, request)))
    };
    router
        .route(transports::socketio::PATH, any(socketio))
        .route(STATS_PATH, get(move |request: Request| async move { stats(&state, &request) }))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
}

fn stats(state: &ServerState, request: &Request) -> Response {
    connection_of(request).begin_request(TransportSlot::OTHER);
    match check_stats_request(state, request) {
        Ok(()) => json(StatusCode::OK, &state.stats()),
        Err(refusal) => refusal.into_response(),
    }
}

async fn unknown_path(request: Request) -> Response {
    connection_of(&request).begin_request(TransportSlot::OTHER);
    let names: Vec<_> = Transport::ALL.into_iter().filter(|t| t.has_room_url()).map(Transport::name).collect();
    let hint = format!("use /, {STATS_PATH}, /socket.io/, or /rooms/NAME/ followed by presence, {}", names.join(", "));
    let body = ErrorBody::new("path", request.uri().path(), "unknown path", hint);
    Refusal::new(RefusalReason::NotFound, body).into_response()
}

async fn wrong_method(request: Request) -> Response {
    connection_of(&request).begin_request(TransportSlot::OTHER);
    let hint = "see the Allow header of this response";
    let body = ErrorBody::new("method", request.method().as_str(), "this path does not support the method", hint);
    Refusal::new(RefusalReason::MethodNotAllowed, body).into_response()
}
