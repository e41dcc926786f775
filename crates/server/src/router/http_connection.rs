//! One HTTP connection: the first steps of every request, and the end of the connection. A
//! transport may take its socket over.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::Either;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tower_service::Service;
use wire::Transport;

use super::host;
use super::request_body::{RequestBody, discard, keeping_unread};
use crate::connection::{Connection, CountedStream, TakeoverFn};
use crate::counters::{Counter, TransportSlot};
use crate::http::{ReadEndpoint, ReadRequest, cors, finish};
use crate::refusal::Refusal;
use crate::state::ServerState;
use crate::transports;

/// hyper's smallest buffer, larger than any request head that the server expects.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Serves one connection until it ends.
pub(crate) async fn serve(state: Arc<ServerState>, router: Router, socket: CountedStream) {
    let connection = Arc::clone(socket.connection());
    let shared = Arc::clone(&state);
    let service =
        service_fn(move |request| answer_any(Arc::clone(&shared), router.clone(), Arc::clone(&connection), request));
    drive(&state, socket, service).await;
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
    drive(&state, socket, service).await;
}

/// Answers one request. Read requests bypass the router: its work would be a large part of the cost
/// of a poll.
///
/// A read request is parsed and dropped before the future is created. hyper then reads on into the
/// same buffer instead of allocating a new one. All other futures are boxed, because every
/// connection reserves memory for the largest one.
fn answer_any(
    state: Arc<ServerState>,
    router: Router,
    connection: Arc<Connection>,
    mut request: hyper::Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> {
    if let Err(refusal) = host::check(&state.access, &mut request) {
        connection.begin_request(TransportSlot::OTHER);
        return Either::Right(Box::pin(answer(state, connection, request, Err(refusal))));
    }
    if let Some((transport, endpoint)) = find_read(&request) {
        let request = request.map(|_| Body::empty());
        return Either::Left(answer_read(state, connection, transport, endpoint, request).map(Ok));
    }
    Either::Right(Box::pin(answer(state, connection, request, Ok(router))))
}

/// The transport and endpoint of a read request. One with a body is left to the router.
fn find_read(request: &hyper::Request<Incoming>) -> Option<(Transport, &'static ReadEndpoint)> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) || !request.body().is_end_stream() {
        return None;
    }
    let mut path = request.uri().path().split('/').skip(1);
    match (path.next(), path.next(), path.next(), path.next()) {
        (Some("rooms"), Some(_), Some(name), None) => {
            let transport = name.parse().ok()?;
            Some((transport, transports::endpoint(transport)?))
        }
        _ => None,
    }
}

/// Answers `GET /rooms/{room}/{transport}`. The request is parsed before the future is polled.
fn answer_read(
    state: Arc<ServerState>,
    connection: Arc<Connection>,
    transport: Transport,
    endpoint: &ReadEndpoint,
    request: Request,
) -> impl Future<Output = Response> + use<> {
    connection.begin_request(TransportSlot::of(transport));
    let origin = request.headers().get(header::ORIGIN).cloned();
    let read = ReadRequest::parse(Arc::clone(&state), Arc::clone(&connection), transport, endpoint, request);
    let answer = read.map(endpoint.answer);
    async move {
        let outcome = match answer {
            Ok(answer) => answer.await,
            Err(refusal) => Err(refusal),
        };
        let mut response = finish(&state, &connection, outcome);
        cors::add_headers(&state.access, origin.as_ref(), response.headers_mut());
        response
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
    let origin = request.headers().get(header::ORIGIN).cloned();
    // A client with `expect: 100-continue` sends its body only if the server polls it, and a
    // refused body must not be polled.
    let waits_for_continue = request.headers().contains_key(header::EXPECT);
    let request = request.map(|body| Body::new(RequestBody::new(body)));
    let answering = keeping_unread(|| route(&state, &connection, admitted, request));
    async move {
        let mut answering = std::pin::pin!(answering);
        let mut response = answering.as_mut().await?;
        let unread = answering.take_value().and_then(RefCell::into_inner);
        cors::add_headers(&state.access, origin.as_ref(), response.headers_mut());
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

/// Why HTTP ends on a connection.
enum HttpEnd {
    Finished(hyper::Result<()>),
    TakenOver(TakeoverFn),
    /// The server is shutting down.
    Closing,
}

async fn drive<S>(state: &ServerState, socket: CountedStream, service: S)
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
        Poll::Pending => match connection.takeover.take() {
            Some(handover) => Poll::Ready(HttpEnd::TakenOver(handover)),
            // Busy connections are ended by their room. This closure runs once per delivery, and
            // the token has locks that all connections share.
            None if connection.state.is_busy() => Poll::Pending,
            None => closing.as_mut().poll(cx).map(|()| HttpEnd::Closing),
        },
    });
    let outcome = match end.await {
        HttpEnd::Finished(outcome) => outcome,
        HttpEnd::TakenOver(handover) => {
            // The stream continues in a new task: the future of this one is as large as all of
            // HTTP.
            if let Some(parts) = http.into_parts() {
                state.tasks.spawn(handover(parts.io.into_inner()));
            }
            return;
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
        let mut socket = parts.io.into_inner();
        state.tasks.spawn(async move { drop(socket.close_gracefully().await) });
    }
}
