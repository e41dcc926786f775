//! A connection on the HTTP port that is served by an HTTP library: the first steps of its
//! requests, and its end.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, Either};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tower_service::Service;
use wire::Transport;

use super::host;
use super::request_body::{RequestBody, discard, keeping_unread};
use crate::connection::{Connection, CountedStream};
use crate::counters::{Counter, TransportSlot};
use crate::http::{
    HEAD_BYTES_MAX, ParsedRead, ReadEndpoint, ReadKind, ReadRequest, RequestHead, WebSocketUpgrade, cors, finish,
};
use crate::refusal::Refusal;
use crate::state::ServerState;
use crate::transports;

/// The head of a request that `room_connection` has to answer.
type RoomRequest = OnceLock<Vec<u8>>;

/// Serves a connection until it ends, or until there is a request for `room_connection`. Returns
/// its socket then, with that request unread.
pub(super) async fn serve(state: &Arc<ServerState>, router: &Router, socket: CountedStream) -> Option<CountedStream> {
    let connection = Arc::clone(socket.connection());
    let room_request = RoomRequest::new();
    let service = service_fn(|request| answer_any(state, router, &connection, &room_request, request));
    drive(state, socket, &room_request, service).await
}

/// Answers every request with the error that the server is full.
pub(crate) async fn refuse(state: Arc<ServerState>, socket: CountedStream) {
    let limit = state.limits.connections_max;
    let connection = Arc::clone(socket.connection());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        if !request.body().is_end_stream() {
            connection.state.set_unread_body();
        }
        let mut response = Refusal::full("connections", limit, "--connections-max").into_response();
        announce_end(&mut response);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    drive(&state, socket, &RoomRequest::new(), service).await;
}

/// Answers one request. The futures are boxed, because every connection reserves memory for the
/// largest one.
fn answer_any(
    state: &Arc<ServerState>,
    router: &Router,
    connection: &Arc<Connection>,
    room_request: &RoomRequest,
    mut request: hyper::Request<Incoming>,
) -> BoxFuture<'static, Result<Response, Infallible>> {
    let (state, connection) = (Arc::clone(state), Arc::clone(connection));
    if let Err(refusal) = host::check(&state.access, &mut request) {
        connection.begin_request(TransportSlot::OTHER);
        return Box::pin(answer(state, connection, request, Err(refusal)));
    }
    match find_read(&request) {
        Some((transport, endpoint)) => match &endpoint.kind {
            ReadKind::WebSocket(upgrade) => {
                let (parts, _) = request.into_parts();
                Box::pin(open_websocket(
                    state,
                    connection,
                    (transport, endpoint, *upgrade),
                    Request::from_parts(parts, ()),
                ))
            }
            ReadKind::Poll(_) | ReadKind::Stream(_) => {
                room_request.get_or_init(|| RequestHead::of(&request).to_bytes());
                Box::pin(std::future::pending())
            }
        },
        None => Box::pin(answer(state, connection, request, Ok(router.clone()))),
    }
}

/// The transport and endpoint of a read request. One with a body is left to the router.
fn find_read(request: &hyper::Request<Incoming>) -> Option<(Transport, &'static ReadEndpoint)> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) || !request.body().is_end_stream() {
        return None;
    }
    let transport = RequestHead::of(request).transport?;
    Some((transport, transports::endpoint(transport)?))
}

/// Answers `GET /rooms/{room}/{transport}` of a WebSocket.
async fn open_websocket(
    state: Arc<ServerState>,
    connection: Arc<Connection>,
    (transport, endpoint, upgrade): (Transport, &ReadEndpoint, WebSocketUpgrade),
    request: Request<()>,
) -> Result<Response, Infallible> {
    connection.begin_request(TransportSlot::of(transport));
    let cors = cors::headers_for(&state.access, &request);
    let read = read_request(&state, transport, endpoint, &RequestHead::of(&request)).await;
    let outcome = read.and_then(|read| upgrade(&state, &connection, read, request.map(|()| Body::empty())));
    let mut response = finish(&state, &connection, outcome);
    response.headers_mut().extend(cors.into_iter().flatten());
    Ok(response)
}

async fn read_request(
    state: &Arc<ServerState>,
    transport: Transport,
    endpoint: &ReadEndpoint,
    head: &RequestHead<'_>,
) -> Result<ReadRequest, Refusal> {
    let parse = |is_copied| ReadRequest::parse(state, transport, endpoint, head, None, is_copied);
    let mut parsed = parse(false)?;
    if let ParsedRead::NotCopied(start) = parsed {
        let room = Box::pin(state.copy(head.room, start)).await?;
        parsed = parse(true)?;
        drop(room);
    }
    match parsed {
        ParsedRead::Accepted(read) => Ok(read),
        ParsedRead::NotCopied(_) => Err(Refusal::log_away()),
    }
}

/// Answers every request but a read: a refused one, a preflight, or a route of the router.
fn answer(
    state: Arc<ServerState>,
    connection: Arc<Connection>,
    request: hyper::Request<Incoming>,
    admitted: Result<Router, Refusal>,
) -> impl Future<Output = Result<Response, Infallible>> {
    connection.state.set_idle();
    let cors = cors::headers_for(&state.access, &request);
    // A client with `expect: 100-continue` sends its body only if the server polls it, and a
    // refused body must not be polled.
    let waits_for_continue = request.headers().contains_key(header::EXPECT);
    let request = request.map(|body| Body::new(RequestBody::new(body)));
    let answering = keeping_unread(|| route(&state, &connection, admitted, request));
    async move {
        let mut answering = std::pin::pin!(answering);
        let mut response = answering.as_mut().await?;
        let unread = answering.take_value().and_then(RefCell::into_inner);
        response.headers_mut().extend(cors.into_iter().flatten());
        if let Some(body) = unread.filter(|_| response.status() != StatusCode::SWITCHING_PROTOCOLS) {
            let ends = waits_for_continue || response.headers().contains_key(header::CONNECTION);
            if ends || !Box::pin(discard(&state, &connection, body)).await {
                connection.state.set_unread_body();
                announce_end(&mut response);
            }
        }
        Ok(response)
    }
}

/// Finds the handler of a request and calls it.
fn route(
    state: &ServerState,
    connection: &Arc<Connection>,
    admitted: Result<Router, Refusal>,
    mut request: Request,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let response = match admitted {
        Err(refusal) => finish(state, connection, Err(refusal)),
        Ok(_) if cors::is_preflight(&request) => cors::answer_preflight(state, connection, &request),
        Ok(mut router) => {
            request.extensions_mut().insert(Arc::clone(connection));
            return Either::Right(router.call(request));
        }
    };
    Either::Left(std::future::ready(Ok(response)))
}

/// Announces that the connection accepts no further request.
fn announce_end(response: &mut Response) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// Why the library's work on a connection ends.
enum HttpEnd {
    Finished(hyper::Result<()>),
    /// The next request is one for `room_connection`.
    RoomRequest,
    /// The server is shutting down.
    Closing,
}

async fn drive<S>(
    state: &ServerState,
    socket: CountedStream,
    room_request: &RoomRequest,
    service: S,
) -> Option<CountedStream>
where
    S: hyper::service::HttpService<Incoming, ResBody = Body, Error = Infallible>,
    S::Future: Send,
{
    let connection = Arc::clone(socket.connection());
    let mut http = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut closing = std::pin::pin!(state.closing.cancelled());
    let end = poll_fn(|cx| match Pin::new(&mut http).poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(HttpEnd::Finished(outcome)),
        // Not before the responses to earlier requests are written.
        Poll::Pending if room_request.get().is_some() && !connection.state.is_write_blocked() => {
            Poll::Ready(HttpEnd::RoomRequest)
        }
        // A busy connection is ended by its session.
        Poll::Pending if connection.state.is_busy() => Poll::Pending,
        Poll::Pending => closing.as_mut().poll(cx).map(|()| HttpEnd::Closing),
    });
    let outcome = match end.await {
        HttpEnd::Finished(outcome) => outcome,
        HttpEnd::RoomRequest => {
            let parts = http.into_parts()?;
            let mut socket = parts.io.into_inner();
            socket.put_back(&parts.read_buf);
            socket.put_back(room_request.get()?);
            return Some(socket);
        }
        HttpEnd::Closing => {
            Pin::new(&mut http).graceful_shutdown();
            Pin::new(&mut http).await
        }
    };
    let mut has_unread_input = connection.state.has_unread_body();
    if let Err(error) = outcome {
        if error.is_parse() || error.is_parse_too_large() {
            connection.stats.count(Counter::Malformed);
            has_unread_input = true;
        }
        tracing::debug!(%error, "an HTTP connection failed");
    }
    if let Some(parts) = http.into_parts().filter(|_| has_unread_input) {
        parts.io.into_inner().close_gracefully().await.ok();
    }
    None
}
