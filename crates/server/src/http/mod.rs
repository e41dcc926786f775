//! HTTP: the connections, the routes, and what the transports on it have in common.

mod refusal;
mod stream;
mod visit;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tower_service::Service;
use wire::{Problem, Transport};

pub(crate) use refusal::Refusal;
pub(crate) use stream::stream_response;
pub(crate) use visit::{Visit, finish, post_bytes_max};

use crate::app::App;
use crate::meter::Label;
use crate::net::{Gauge, Socket};
use crate::transports;

/// hyper's smallest, and more than a request head of ours ever needs.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// The whole HTTP surface.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for transport in Transport::ALL {
        let Some(read) = transports::http_read(transport) else { continue };
        let (reading, posting) = (Arc::clone(app), Arc::clone(app));
        let methods = get(move |request: Request| transports::answer_read(reading, transport, read, request))
            .merge(post(move |request: Request| visit::answer_post(posting, transport, request)));
        router = router.route(&format!("/rooms/{{room}}/{transport}"), methods);
    }
    let usage_app = Arc::clone(app);
    router
        .route("/control/usage", get(move |request: Request| async move { usage(&usage_app, &request) }))
        .fallback(|request: Request| async move { no_such_path(&request) })
        .method_not_allowed_fallback(|request: Request| async move { no_such_method(&request) })
}

/// Serves one connection until it ends.
pub(crate) async fn serve(app: Arc<App>, router: Router, socket: Socket) {
    let gauge = Arc::clone(socket.gauge());
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&gauge));
        router.clone().call(request)
    });
    drive(&app, socket, service).await;
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

async fn drive<S>(app: &App, socket: Socket, service: S)
where
    S: hyper::service::HttpService<Incoming, ResBody = Body, Error = Infallible>,
    S::Future: Send,
{
    let gauge = Arc::clone(socket.gauge());
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut closing = std::pin::pin!(app.closing.cancelled());
    let ended = poll_fn(|cx| match connection.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        // Held connections are told by their room. This loop turns once a delivery, and the token has locks that all would share.
        Poll::Pending if gauge.is_held() => Poll::Pending,
        Poll::Pending => closing.as_mut().poll(cx).map(|()| None),
    });
    let outcome = match ended.await {
        Some(outcome) => outcome,
        None => {
            connection.as_mut().graceful_shutdown();
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

/// The gauge of the connection a request came on.
pub(crate) fn gauge_of(request: &Request) -> Arc<Gauge> {
    Arc::clone(request.extensions().get::<Arc<Gauge>>().expect("`serve` puts it into every request"))
}

fn usage(app: &App, request: &Request) -> Response {
    gauge_of(request).begin_request(Label::OTHER);
    match Visit::admit_control(app, request) {
        Ok(()) => json(StatusCode::OK, &app.usage()),
        Err(refusal) => refusal.into_response(),
    }
}

fn no_such_path(request: &Request) -> Response {
    gauge_of(request).begin_request(Label::OTHER);
    let names: Vec<_> = Transport::ALL.into_iter().filter(|t| t.is_http()).map(Transport::name).collect();
    let hint = format!("there is /control/usage, and /rooms/NAME/ followed by one of {}", names.join(", "));
    Refusal::new(StatusCode::NOT_FOUND, Problem::new("path", request.uri().path(), "nothing lives here", hint))
        .into_response()
}

fn no_such_method(request: &Request) -> Response {
    gauge_of(request).begin_request(Label::OTHER);
    let problem = Problem::new(
        "method",
        request.method().as_str(),
        "not with this method",
        "see the Allow header of this answer",
    );
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
