//! The layer between the HTTP port and socketioxide: origins, limits and counters, as for the other
//! transports.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{self, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use socketioxide::socket::Sid;
use wire::ByteCounts;

use super::library::{Library, SEPARATOR};
use super::request::{EngineRequest, slot_of, unknown_session};
use super::sessions::{SessionHandle, Sessions};
use super::stream::Stream;
use super::upgrade::UpgradeAttempt;
use crate::connection::Connection;
use crate::counters::{Counter, TransportSlot};
use crate::http::{RequestHead, accept, check_origin, connection_of, finish, upgraded_socket};
use crate::refusal::Refusal;
use crate::state::ServerState;

/// Answers the requests of Engine.IO.
pub(crate) struct SocketIoService {
    pub(super) state: Arc<ServerState>,
    pub(super) library: Library,
    pub(super) sessions: Arc<Sessions>,
}

impl SocketIoService {
    /// Answers anything below `/socket.io/`.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let connection = connection_of(&request);
        let slot = slot_of(request.uri().query().unwrap_or(""));
        connection.begin_request(slot);
        let outcome = match self.admit(&request) {
            Ok(kind) => self.dispatch(&connection, kind, request).await,
            Err(refusal) => Err(refusal),
        };
        finish(&self.state, &connection, outcome)
    }

    fn admit(&self, request: &Request) -> Result<EngineRequest, Refusal> {
        check_origin(&self.state, &RequestHead::of(request))?;
        let kind = EngineRequest::parse(request.method(), request.uri().query().unwrap_or(""))?;
        if matches!(kind, EngineRequest::Open | EngineRequest::OpenWebSocket) && self.state.is_closing() {
            return Err(Refusal::closing());
        }
        Ok(kind)
    }

    async fn dispatch(
        &self,
        connection: &Arc<Connection>,
        kind: EngineRequest,
        mut request: Request,
    ) -> Result<Response, Refusal> {
        // A session may outlive the connections of its requests.
        request.extensions_mut().remove::<Arc<Connection>>();
        match kind {
            EngineRequest::Open => self.open(connection, request).await,
            EngineRequest::OpenWebSocket => self.open_websocket(connection, request),
            EngineRequest::Poll(sid) => self.poll(connection, sid, request).await,
            EngineRequest::Post(sid) => self.post(connection, sid, request).await,
            EngineRequest::Upgrade(sid) => self.upgrade(connection, sid, request),
        }
    }

    /// Begins a session. Sessions on polling count as connections, because they cost as much.
    fn begin(&self, slot: TransportSlot) -> Result<Arc<SessionHandle>, Refusal> {
        let full = || Refusal::full("connections", self.state.limits.connections_max, "--connections-max");
        self.sessions.begin(slot).ok_or_else(full)
    }

    fn find(&self, sid: Sid) -> Result<Arc<SessionHandle>, Refusal> {
        self.sessions.find(sid).ok_or_else(|| unknown_session(sid.as_str()))
    }

    async fn open(&self, connection: &Connection, mut request: Request) -> Result<Response, Refusal> {
        let session = self.begin(connection.stats.slot())?;
        request.extensions_mut().insert(Arc::clone(&session));
        let answer = self.library.answer(request).await;
        if let Some(sid) = sid_of(answer.body()) {
            session.register(sid);
        }
        Ok(counted(connection, answer))
    }

    fn open_websocket(&self, connection: &Connection, mut request: Request) -> Result<Response, Refusal> {
        let response = accept(&request)?;
        let session = self.begin(connection.stats.slot())?;
        session.observe_writes(connection);
        connection.state.set_busy();
        request.extensions_mut().insert(session);
        let upgraded = hyper::upgrade::on(&mut request);
        let (library, request) = (self.library.clone(), request.map(drop));
        self.state.tasks.spawn(async move {
            if let Some(socket) = upgraded_socket(upgraded).await {
                library.open(Stream::new(socket), request);
            }
        });
        Ok(response)
    }

    fn upgrade(&self, connection: &Connection, sid: Sid, mut request: Request) -> Result<Response, Refusal> {
        let response = accept(&request)?;
        let attempt = UpgradeAttempt::begin(sid, self.find(sid)?)?;
        connection.state.set_busy();
        let upgraded = hyper::upgrade::on(&mut request);
        let (state, library) = (Arc::clone(&self.state), self.library.clone());
        self.state.tasks.spawn(async move {
            if let Some(socket) = upgraded_socket(upgraded).await {
                attempt.run(&state, &library, Stream::to_probe(socket)).await;
            }
        });
        Ok(response)
    }

    async fn poll(&self, connection: &Arc<Connection>, sid: Sid, request: Request) -> Result<Response, Refusal> {
        let session = self.find(sid)?;
        let _busy = connection.busy_guard();
        let answer = session.upgrade.poll(sid, self.library.answer(request)).await?.unwrap_or_else(noop);
        if answer.status() == StatusCode::OK {
            count_answer(connection, answer.body());
            session.backpressure.written(answer.body().len());
        }
        Ok(counted(connection, answer))
    }

    async fn post(&self, connection: &Arc<Connection>, sid: Sid, request: Request) -> Result<Response, Refusal> {
        self.find(sid)?;
        let _busy = connection.busy_guard();
        let answer = tokio::time::timeout(self.state.limits.header_timeout, self.library.answer(request)).await;
        let answer = answer.map_err(|_| Refusal::late_body())?;
        Ok(counted(connection, answer))
    }
}

/// Counts a response with an error status.
fn counted(connection: &Connection, answer: http::Response<Bytes>) -> Response {
    if answer.status().is_client_error() || answer.status().is_server_error() {
        connection.stats.count(Counter::Malformed);
    }
    answer.map(Body::from)
}

/// The response to a poll that ends without packets.
fn noop() -> http::Response<Bytes> {
    let mut answer = http::Response::new(Bytes::from_static(b"6"));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    answer
}

/// The session id in the response that opens the session.
fn sid_of(body: &[u8]) -> Option<Sid> {
    #[derive(serde::Deserialize)]
    struct Open<'a> {
        sid: &'a str,
    }
    let open: Open<'_> = serde_json::from_slice(body.strip_prefix(b"0")?).ok()?;
    Sid::from_str(open.sid).ok()
}

/// Counts the response to a poll. The bytes of its messages were counted when they were queued.
fn count_answer(connection: &Connection, body: &Bytes) {
    let packets = || body.split(|byte| char::from(*byte) == SEPARATOR);
    let frames = packets().count() as u64;
    if packets().any(|packet| packet.starts_with(b"42") || packet.starts_with(b"45")) {
        connection.stats.count(Counter::Batches);
    } else if !packets().any(|packet| packet.starts_with(b"4")) {
        connection.stats.count(Counter::EmptyAnswers);
    }
    let byte_counts = ByteCounts { framing: frames - 1, ..ByteCounts::default() };
    connection.stats.counters().add_batch(connection.stats.slot(), 0, frames, byte_counts);
}
