//! HTTP: the connections, the routes, and what the transports on it have in common.

mod channel;
#[cfg(feature = "echo")]
mod echo;
mod refusal;
mod stream;
mod visit;

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
use axum::routing::{any, get};
use futures_util::FutureExt;
use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tower_service::Service;
use wire::{Problem, Transport};

pub(crate) use channel::{Caller, Channel, End, upgrade};
pub(crate) use refusal::Refusal;
pub(crate) use stream::{StreamKind, stream};
pub(crate) use visit::{Visit, check_text, finish, post_bytes_max};

use crate::app::App;
use crate::meter::Label;
use crate::net::{Gauge, Handover, Socket};
use crate::transports::{self, HttpRead};

/// hyper's smallest, and more than a request head of ours ever needs.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Everything but a room's read: posts, control, and what is not there.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for transport in Transport::ALL.into_iter().filter(|transport| transport.has_room_url()) {
        let app = Arc::clone(app);
        let take = move |request: Request| visit::answer_post(app, transport, request);
        // GET never comes here; it is named for the `Allow` of an answer that refuses another method.
        let methods = get(no_such_method).post(take);
        router = router.route(&format!("/rooms/{{room}}/{transport}"), methods);
    }
    let door = transports::socketio::open(app);
    let knock = move |request: Request| async move { door.answer(request).await };
    let app = Arc::clone(app);
    #[cfg(feature = "echo")]
    let router = {
        let app = Arc::clone(&app);
        router.route(echo::PATH, get(move |request: Request| echo::answer(app, request)))
    };
    router
        .route(transports::socketio::PATH, any(knock))
        .route("/control/usage", get(move |request: Request| async move { usage(&app, &request) }))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
}

/// Serves one connection until it ends.
pub(crate) async fn serve(app: Arc<App>, router: Router, socket: Socket) {
    let gauge = Arc::clone(socket.gauge());
    let shared = Arc::clone(&app);
    let service =
        service_fn(move |request| answer_any(Arc::clone(&shared), router.clone(), Arc::clone(&gauge), request));
    drive(&app, socket, service).await;
}

/// Reads are found before the router looks: a poll is little but its head, and the router's work would be a large part of it.
///
/// A reader's request is looked at before the future is made, and gone by then: hyper reads on into the buffer it came in, and would
/// otherwise take a new one. The rest is boxed, for every connection keeps room for the largest future.
fn answer_any(
    app: Arc<App>,
    mut router: Router,
    gauge: Arc<Gauge>,
    mut request: hyper::Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> {
    if let Some((transport, read)) = find_read(&request) {
        // A reader has nothing to tell but its head.
        let request = request.map(|_| Body::empty());
        return Either::Left(transports::answer_read(app, gauge, transport, read, request).map(Ok));
    }
    request.extensions_mut().insert(gauge);
    Either::Right(Box::pin(async move { router.call(request).await }))
}

/// The transport a request wants to read by, if it is a read.
fn find_read(request: &hyper::Request<Incoming>) -> Option<(Transport, HttpRead)> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let mut path = request.uri().path().split('/').skip(1);
    match (path.next(), path.next(), path.next(), path.next()) {
        (Some("rooms"), Some(_), Some(name), None) => {
            let transport = name.parse().ok()?;
            Some((transport, transports::http_read(transport)?))
        }
        _ => None,
    }
}

/// The gauge of the connection a request came on.
pub(crate) fn gauge_of(request: &Request) -> Arc<Gauge> {
    Arc::clone(request.extensions().get::<Arc<Gauge>>().expect("`answer_any` puts it into every routed request"))
}

/// Tells a connection that the server is full, whatever it asks.
pub(crate) async fn refuse(app: Arc<App>, socket: Socket) {
    let limit = app.limits.connections_max;
    let service = service_fn(move |_: hyper::Request<Incoming>| async move {
        let mut response = Refusal::full("connections", limit, "--connections-max").into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        Ok::<_, Infallible>(response)
    });
    drive(&app, socket, service).await;
}

/// Why HTTP is over on a connection.
enum Ended {
    ByItself(hyper::Result<()>),
    TakenOver(Handover),
    /// The server is going away.
    Closing,
}

async fn drive<S>(app: &App, socket: Socket, service: S)
where
    S: hyper::service::HttpService<Incoming, ResBody = Body, Error = Infallible>,
    S::Future: Send,
{
    let gauge = Arc::clone(socket.gauge());
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut closing = std::pin::pin!(app.closing.cancelled());
    let ended = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Ended::ByItself(outcome)),
        Poll::Pending => match gauge.taken_over() {
            Some(handover) => Poll::Ready(Ended::TakenOver(handover)),
            // Held connections are told by their room. This loop turns once a delivery, and the token has locks that all would share.
            None if gauge.is_held() => Poll::Pending,
            None => closing.as_mut().poll(cx).map(|()| Ended::Closing),
        },
    });
    let outcome = match ended.await {
        Ended::ByItself(outcome) => outcome,
        Ended::TakenOver(handover) => {
            // The stream goes on as a task of its own: this one has room for all of HTTP in it.
            if let Some(parts) = connection.into_parts() {
                app.tasks.spawn(handover(parts.io.into_inner()));
            }
            return;
        }
        Ended::Closing => {
            Pin::new(&mut connection).graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        if error.is_parse() || error.is_parse_too_large() {
            gauge.count(crate::meter::Count::Malformed);
        }
        tracing::debug!(%error, "an HTTP connection ended badly");
    }
}

fn usage(app: &App, request: &Request) -> Response {
    gauge_of(request).begin_request(Label::OTHER);
    match Visit::admit_control(app, request.uri(), request.headers()) {
        Ok(()) => json(StatusCode::OK, &app.usage()),
        Err(refusal) => refusal.into_response(),
    }
}

async fn no_such_path(request: Request) -> Response {
    gauge_of(&request).begin_request(Label::OTHER);
    let names: Vec<_> = Transport::ALL.into_iter().filter(|t| t.has_room_url()).map(Transport::name).collect();
    let hint =
        format!("there is /control/usage, /socket.io/, and /rooms/NAME/ followed by one of {}", names.join(", "));
    let problem = Problem::new("path", request.uri().path(), "nothing lives here", hint);
    Refusal::new(StatusCode::NOT_FOUND, problem).into_response()
}

async fn no_such_method(request: Request) -> Response {
    gauge_of(&request).begin_request(Label::OTHER);
    let hint = "see the Allow header of this answer";
    let problem = Problem::new("method", request.method().as_str(), "not with this method", hint);
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, problem).into_response()
}

/// A JSON answer that nobody may cache.
pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("our own answers have string keys");
    answer(status, "application/json", Body::from(body))
}

/// An answer that nobody may cache.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
