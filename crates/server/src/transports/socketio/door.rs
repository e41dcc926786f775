//! What stands between the HTTP port and socketioxide: origins, limits and counting, as they are for everybody else.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{self, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use socketioxide::socket::Sid;
use wire::{ByteCounts, ErrorBody};

use super::entries::{Entries, Entry};
use super::library::{Library, SEPARATOR};
use super::request::{EngineRequest, label_of, unknown_session};
use super::stream::Stream;
use super::upgrade::UpgradeAttempt;
use crate::app::App;
use crate::http::{Refusal, accept, finish, gauge_of, socket_of};
use crate::meter::{Count, Label};
use crate::net::Gauge;

/// The way in.
pub(crate) struct Door {
    pub(super) app: Arc<App>,
    pub(super) library: Library,
    pub(super) entries: Arc<Entries>,
}

impl Door {
    /// Answers anything below `/socket.io/`.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let gauge = gauge_of(&request);
        let label = label_of(request.uri().query().unwrap_or(""));
        gauge.begin_request(label);
        let outcome = match self.admit(&request) {
            Ok(kind) => self.pass_on(&gauge, kind, request).await,
            Err(refusal) => Err(refusal),
        };
        finish(&self.app, &gauge, outcome)
    }

    fn admit(&self, request: &Request) -> Result<EngineRequest, Refusal> {
        let forbidden = |problem| Refusal::new(StatusCode::FORBIDDEN, problem);
        self.app.access.admits_origin(request.headers()).map_err(forbidden)?;
        let kind = EngineRequest::parse(request.method(), request.uri().query().unwrap_or(""))?;
        if matches!(kind, EngineRequest::Open | EngineRequest::OpenWebSocket) && self.app.closing.is_cancelled() {
            return Err(Refusal::closing());
        }
        Ok(kind)
    }

    async fn pass_on(
        &self,
        gauge: &Arc<Gauge>,
        kind: EngineRequest,
        mut request: Request,
    ) -> Result<Response, Refusal> {
        // A session may outlive the connections of its requests.
        request.extensions_mut().remove::<Arc<Gauge>>();
        match kind {
            EngineRequest::Open => self.open(gauge, request).await,
            EngineRequest::OpenWebSocket => self.open_websocket(gauge, request),
            EngineRequest::Poll(sid) => self.poll(gauge, sid, request).await,
            EngineRequest::Post(sid) => self.post(gauge, sid, request).await,
            EngineRequest::Upgrade(sid) => self.upgrade(gauge, sid, request),
        }
    }

    /// A session on polling is no connection, but it costs as much.
    fn begin(&self, label: Label) -> Result<Arc<Entry>, Refusal> {
        let full = || Refusal::full("connections", self.app.limits.connections_max, "--connections-max");
        self.entries.begin(label).ok_or_else(full)
    }

    fn find(&self, sid: Sid) -> Result<Arc<Entry>, Refusal> {
        self.entries.find(sid).ok_or_else(|| unknown_session(sid.as_str()))
    }

    async fn open(&self, gauge: &Gauge, mut request: Request) -> Result<Response, Refusal> {
        let entry = self.begin(gauge.label())?;
        request.extensions_mut().insert(Arc::clone(&entry));
        let answer = self.library.answer(request).await;
        if let Some(sid) = sid_of(answer.body()) {
            entry.name(sid);
        }
        Ok(counted(gauge, answer))
    }

    fn open_websocket(&self, gauge: &Gauge, mut request: Request) -> Result<Response, Refusal> {
        let response = accept(&request)?;
        let entry = self.begin(gauge.label())?;
        gauge.drain_into(&entry.flow);
        gauge.keep();
        request.extensions_mut().insert(entry);
        let upgraded = hyper::upgrade::on(&mut request);
        let (library, request) = (self.library.clone(), request.map(drop));
        self.app.tasks.spawn(async move {
            if let Some((socket, unread)) = socket_of(upgraded).await {
                library.open(Stream::new(socket, unread), request);
            }
        });
        Ok(response)
    }

    fn upgrade(&self, gauge: &Gauge, sid: Sid, mut request: Request) -> Result<Response, Refusal> {
        let response = accept(&request)?;
        let attempt = UpgradeAttempt::begin(sid, self.find(sid)?)?;
        gauge.keep();
        let upgraded = hyper::upgrade::on(&mut request);
        let (app, library) = (Arc::clone(&self.app), self.library.clone());
        self.app.tasks.spawn(async move {
            if let Some((socket, unread)) = socket_of(upgraded).await {
                attempt.run(&app, &library, Stream::to_probe(socket, unread)).await;
            }
        });
        Ok(response)
    }

    async fn poll(&self, gauge: &Arc<Gauge>, sid: Sid, request: Request) -> Result<Response, Refusal> {
        let entry = self.find(sid)?;
        let _held = gauge.hold();
        let answer = entry.upgrade.poll(sid, self.library.answer(request)).await?.unwrap_or_else(noop);
        if answer.status() == StatusCode::OK {
            count_answer(gauge, answer.body());
            entry.flow.drain(answer.body().len());
        }
        Ok(counted(gauge, answer))
    }

    async fn post(&self, gauge: &Arc<Gauge>, sid: Sid, request: Request) -> Result<Response, Refusal> {
        self.find(sid)?;
        let _held = gauge.hold();
        let answer = tokio::time::timeout(self.app.limits.header_timeout, self.library.answer(request)).await;
        let answer = answer.map_err(|_| {
            let problem = ErrorBody::new("body", "", "the body did not come in time", "send it in one piece");
            Refusal::new(StatusCode::REQUEST_TIMEOUT, problem)
        })?;
        Ok(counted(gauge, answer))
    }
}

/// Counts an answer that refuses the request.
fn counted(gauge: &Gauge, answer: http::Response<Bytes>) -> Response {
    if answer.status().is_client_error() || answer.status().is_server_error() {
        gauge.count(Count::Malformed);
    }
    answer.map(Body::from)
}

/// The answer to a poll that ends without packets.
fn noop() -> http::Response<Bytes> {
    let mut answer = http::Response::new(Bytes::from_static(b"6"));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    answer
}

/// The name that a session's first answer gives it.
fn sid_of(body: &[u8]) -> Option<Sid> {
    #[derive(serde::Deserialize)]
    struct Open<'a> {
        sid: &'a str,
    }
    let open: Open<'_> = serde_json::from_slice(body.strip_prefix(b"0")?).ok()?;
    Sid::from_str(open.sid).ok()
}

/// Counts a poll's answer. What its messages are made of was counted when they were given to the session.
fn count_answer(gauge: &Gauge, body: &Bytes) {
    let packets = || body.split(|byte| char::from(*byte) == SEPARATOR);
    let frames = packets().count() as u64;
    if packets().any(|packet| packet.starts_with(b"42") || packet.starts_with(b"45")) {
        gauge.count(Count::Batches);
    } else if !packets().any(|packet| packet.starts_with(b"4")) {
        gauge.count(Count::EmptyAnswers);
    }
    let split = ByteCounts { framing: frames - 1, ..ByteCounts::default() };
    gauge.meter().add_batch(gauge.label(), 0, frames, split);
}
