//! One HTTP connection: what every request on it meets first, and its end. A transport may take its socket over.

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
use super::request_body::{RequestBody, keeping_unread, read_past};
use crate::connection::{Connection, CountedStream, TakeoverFn};
use crate::counters::{Counter, TransportSlot};
use crate::http::{ReadEndpoint, ReadRequest, Refusal, cors, finish};
use crate::state::ServerState;
use crate::transports;

/// hyper's smallest, and more than a request head of ours ever needs.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Serves one connection until it ends.
pub(crate) async fn serve(state: Arc<ServerState>, router: Router, socket: CountedStream) {
    let connection = Arc::clone(socket.connection());
    let shared = Arc::clone(&state);
    let service =
        service_fn(move |request| answer_any(Arc::clone(&shared), router.clone(), Arc::clone(&connection), request));
    drive(&state, socket, service).await;
}

/// Tells a connection that the server is full, whatever it asks.
pub(crate) async fn refuse(state: Arc<ServerState>, socket: CountedStream) {
    let limit = state.limits.connections_max;
    let connection = Arc::clone(socket.connection());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        if !request.body().is_end_stream() {
            connection.set_unread_body();
        }
        let mut response = Refusal::full("connections", limit, "--connections-max").into_response();
        announce_end(&mut response);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    drive(&state, socket, service).await;
}

/// Reads are found before the router looks: a poll is little but its head, and the router's work would be a large part of it.
///
/// A reader's request is looked at before the future is made, and gone by then: hyper reads on into the buffer it came in, and would
/// otherwise take a new one. The rest is boxed, for every connection keeps room for the largest future.
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
    if let Some((transport, read)) = find_read(&request) {
        let request = request.map(|_| Body::empty());
        return Either::Left(answer_read(state, connection, transport, read, request).map(Ok));
    }
    Either::Right(Box::pin(answer(state, connection, request, Ok(router))))
}

/// The transport a request wants to read by, if it is a read. One with a body is left to the router.
fn find_read(request: &hyper::Request<Incoming>) -> Option<(Transport, ReadEndpoint)> {
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

/// Answers `GET /rooms/{room}/{transport}`. What needs the request is done before the future is polled.
fn answer_read(
    state: Arc<ServerState>,
    connection: Arc<Connection>,
    transport: Transport,
    read: ReadEndpoint,
    request: Request,
) -> impl Future<Output = Response> {
    connection.begin_request(TransportSlot::of(transport));
    let origin = request.headers().get(header::ORIGIN).cloned();
    let visit = ReadRequest::parse(Arc::clone(&state), Arc::clone(&connection), transport, &read, request);
    let answer = visit.map(read.answer);
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

/// Answers every request but a plain read: one that was refused already, a preflight, or what the router knows.
fn answer(
    state: Arc<ServerState>,
    connection: Arc<Connection>,
    request: hyper::Request<Incoming>,
    admitted: Result<Router, Refusal>,
) -> impl Future<Output = Result<Response, Infallible>> {
    connection.set_idle();
    let origin = request.headers().get(header::ORIGIN).cloned();
    // To read its body would send 100 (Continue) to a client that waits for it: it must not be asked for a body that is refused.
    let waits = request.headers().contains_key(header::EXPECT);
    let request = request.map(|body| Body::new(RequestBody::new(body)));
    let answering = keeping_unread(|| route(&state, &connection, admitted, request));
    async move {
        let mut answering = std::pin::pin!(answering);
        let mut response = answering.as_mut().await?;
        let unread = answering.take_value().and_then(RefCell::into_inner);
        cors::add_headers(&state.access, origin.as_ref(), response.headers_mut());
        if let Some(body) = unread.filter(|_| response.status() != StatusCode::SWITCHING_PROTOCOLS) {
            let ends = waits || response.headers().contains_key(header::CONNECTION);
            if ends || !Box::pin(read_past(&state, &connection, body)).await {
                connection.set_unread_body();
                announce_end(&mut response);
            }
        }
        Ok(response)
    }
}

/// Finds who answers a request. What it takes of the request is gone when the answer is there.
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

/// Says that the connection takes no further request.
fn announce_end(response: &mut Response) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// Why HTTP is over on a connection.
enum Ended {
    ByItself(hyper::Result<()>),
    TakenOver(TakeoverFn),
    /// The server is going away.
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
    let ended = poll_fn(|cx| match Pin::new(&mut http).poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Ended::ByItself(outcome)),
        Poll::Pending => match connection.take_takeover() {
            Some(handover) => Poll::Ready(Ended::TakenOver(handover)),
            // Held connections are told by their room. This loop turns once a delivery, and the token has locks that all would share.
            None if connection.is_busy() => Poll::Pending,
            None => closing.as_mut().poll(cx).map(|()| Ended::Closing),
        },
    });
    let outcome = match ended.await {
        Ended::ByItself(outcome) => outcome,
        Ended::TakenOver(handover) => {
            // The stream goes on as a task of its own: this one has room for all of HTTP in it.
            if let Some(parts) = http.into_parts() {
                state.tasks.spawn(handover(parts.io.into_inner()));
            }
            return;
        }
        Ended::Closing => {
            Pin::new(&mut http).graceful_shutdown();
            Pin::new(&mut http).await
        }
    };
    let mut has_unread_input = connection.has_unread_body();
    if let Err(error) = outcome {
        if error.is_parse() || error.is_parse_too_large() {
            connection.count(Counter::Malformed);
            has_unread_input = true;
        }
        tracing::debug!(%error, "an HTTP connection ended badly");
    }
    if let Some(parts) = http.into_parts().filter(|_| has_unread_input) {
        let mut socket = parts.io.into_inner();
        state.tasks.spawn(async move { drop(socket.close_gracefully().await) });
    }
}
