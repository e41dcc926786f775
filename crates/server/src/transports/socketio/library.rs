//! Calls into socketioxide: requests on polling, and WebSockets that the server has opened.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http;
use bytes::Bytes;
use http_body_util::{BodyExt, Collected};
use socketioxide::service::SocketIoService;
use socketioxide::socket::Sid;
use tower_service::Service;

use super::PATH;
use super::stream::Stream;

/// Between two packets in the body of a request or answer on polling.
pub(super) const SEPARATOR: char = '\x1e';

/// The service of socketioxide. The router in it answers the remaining requests; there are none.
#[derive(Clone)]
pub(super) struct Library(pub(super) SocketIoService<Router>);

impl Library {
    /// Answers a request on polling. A cancelled poll loses no packet: engineioxide 0.17.9 takes
    /// packets from its queue only when it returns them.
    pub(super) async fn answer(&self, request: Request) -> http::Response<Bytes> {
        let Ok(answer) = self.0.clone().call(request).await;
        let (head, body) = answer.into_parts();
        // The body is complete; this does not wait.
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        http::Response::from_parts(head, body)
    }

    /// Answers a poll of a session.
    pub(super) async fn poll(&self, sid: Sid) -> http::Response<Bytes> {
        self.answer(request("polling", sid, Body::empty())).await
    }

    /// Upgrades a session to a WebSocket.
    pub(super) fn upgrade(&self, sid: Sid, stream: Stream) {
        self.open(stream, request("websocket", sid, ()));
    }

    /// Opens or upgrades a session on a WebSocket, depending on the request.
    pub(super) fn open(&self, stream: Stream, request: http::Request<()>) {
        if let Err(error) = self.0.clone().call((stream, request)).into_inner() {
            tracing::error!(%error, "socketioxide refused a request that the server had checked");
        }
    }
}

fn request<B>(transport: &str, sid: Sid, body: B) -> http::Request<B> {
    let target = format!("{PATH}?EIO=4&transport={transport}&sid={sid}");
    http::Request::get(target).body(body).expect("a session's id is valid in a query")
}
