//! What stands between the HTTP port and socketioxide: origins, limits and counting, as they are for everybody else.

use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use socketioxide::service::SocketIoService;
use socketioxide::socket::Sid;
use tower_service::Service;
use wire::{Problem, Split, Transport};

use super::entries::{Entries, Entry};
use crate::app::App;
use crate::http::{Refusal, finish, gauge_of};
use crate::meter::{Count, Label};
use crate::net::Gauge;

/// Between two packets of a poll's answer.
const SEPARATOR: u8 = 0x1e;

/// What socketioxide does not answer, nobody does.
pub(super) type Io = SocketIoService<Router>;

/// What the query says.
struct Ask {
    websocket: bool,
    sid: Option<Sid>,
    label: Label,
}

impl Ask {
    /// A session that says `upgrade=1` is one that means to; others are counted where they are, until they do.
    fn parse(query: &str) -> Self {
        let of = |key: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|(k, _)| *k == key));
        let websocket = of("transport").is_some_and(|(_, value)| value == "websocket");
        let sid = of("sid").and_then(|(_, value)| Sid::from_str(value).ok());
        let transport = match (websocket, of("sid").is_some() || of("upgrade").is_some()) {
            (true, false) => Transport::SocketioWebsocket,
            (false, _) if of("upgrade").is_none() => Transport::SocketioPolling,
            _ => Transport::Socketio,
        };
        Self { websocket, sid, label: Label::of(transport) }
    }
}

/// The way in.
pub(crate) struct Door {
    pub(super) app: Arc<App>,
    pub(super) service: Io,
    pub(super) entries: Arc<Entries>,
}

impl Door {
    /// Answers anything below `/socket.io/`.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let gauge = gauge_of(&request);
        let ask = Ask::parse(request.uri().query().unwrap_or(""));
        gauge.begin_request(ask.label);
        let outcome = self.admit(&request, &ask);
        let outcome = match outcome {
            Ok(()) => self.pass_on(&gauge, ask, request).await,
            Err(refusal) => Err(refusal),
        };
        finish(&self.app, &gauge, outcome)
    }

    fn admit(&self, request: &Request, ask: &Ask) -> Result<(), Refusal> {
        let forbidden = |problem| Refusal::new(StatusCode::FORBIDDEN, problem);
        self.app.access.admits_origin(request.headers()).map_err(forbidden)?;
        let begins = ask.sid.is_none() && request.method() == Method::GET;
        if begins && self.app.closing.is_cancelled() {
            return Err(Refusal::closing());
        }
        Ok(())
    }

    /// A session on polling is no connection, but it costs as much.
    fn begin(&self, label: Label) -> Result<Arc<Entry>, Refusal> {
        let full = || Refusal::full("connections", self.app.limits.connections_max, "--connections-max");
        self.entries.begin(label).ok_or_else(full)
    }

    async fn pass_on(&self, gauge: &Arc<Gauge>, ask: Ask, mut request: Request) -> Result<Response, Refusal> {
        let held = gauge.hold();
        let entry = if ask.sid.is_some() { None } else { Some(self.begin(ask.label)?) };
        let flow = match (&entry, ask.sid) {
            (Some(entry), _) => Some(Arc::clone(&entry.flow)),
            (None, sid) => sid.and_then(|sid| self.entries.flow(sid)),
        };
        if let Some(flow) = flow.as_ref().filter(|_| ask.websocket) {
            gauge.drain_into(flow);
        }
        // A session may outlive the connections of its requests.
        request.extensions_mut().remove::<Arc<Gauge>>();
        if let Some(entry) = &entry {
            request.extensions_mut().insert(Arc::clone(entry));
        }
        let (polls, posts) = (request.method() == Method::GET, request.method() == Method::POST);
        let answering = self.service.clone().call(request);
        let answer = if posts {
            let answer = tokio::time::timeout(self.app.limits.header_timeout, answering).await;
            answer.map_err(|_| {
                let problem = Problem::new("body", "", "the body did not come in time", "send it in one piece");
                Refusal::new(StatusCode::REQUEST_TIMEOUT, problem)
            })?
        } else {
            answering.await
        };
        let (head, body) = match answer {
            Ok(response) => response.into_parts(),
            Err(never) => match never {},
        };
        if head.status.is_client_error() || head.status.is_server_error() {
            gauge.count(Count::Malformed);
        }
        drop(held);
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            gauge.keep();
        }
        if ask.websocket {
            return Ok(Response::from_parts(head, Body::new(body)));
        }
        // It is whole already: this waits for nothing.
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body = if polls { repaired(body) } else { body };
        if polls && head.status == StatusCode::OK && ask.sid.is_some() {
            count_answer(gauge, &body);
            if let Some(flow) = flow {
                flow.drain(body.len());
            }
        }
        if let Some((entry, sid)) = entry.zip(sid_of(&body)) {
            entry.name(sid);
        }
        // Its length may have changed.
        let mut head = head;
        head.headers.remove(header::CONTENT_LENGTH);
        Ok(Response::from_parts(head, Body::from(body)))
    }
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

/// Puts back what engineioxide 0.17 leaves out: an event that a question waited for stands in the answer without a separator between
/// its packet and its attachment, and no client can tell the two apart.
fn repaired(body: Bytes) -> Bytes {
    if !body.starts_with(b"45") || body.contains(&SEPARATOR) {
        return body;
    }
    // Base64 has no brackets: the last one ends the packet.
    let Some(end) = body.iter().rposition(|byte| *byte == b']') else { return body };
    if body.get(end + 1) != Some(&b'b') {
        return body;
    }
    [&body[..=end], &[SEPARATOR], &body[end + 1..]].concat().into()
}

/// Counts a poll's answer. What its messages are made of was counted when they were given to the session.
fn count_answer(gauge: &Gauge, body: &Bytes) {
    let packets = || body.split(|byte| *byte == SEPARATOR);
    let frames = packets().count() as u64;
    if packets().any(|packet| packet.starts_with(b"42") || packet.starts_with(b"45")) {
        gauge.count(Count::Batches);
    } else if !packets().any(|packet| packet.starts_with(b"4")) {
        gauge.count(Count::EmptyAnswers);
    }
    let split = Split { framing: frames - 1, ..Split::default() };
    gauge.meter().add_batch(gauge.label(), 0, frames, split);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_is_a_packet_of_its_own() {
        let of = |body: &'static str| repaired(Bytes::from(body));
        assert_eq!(of("451-[\"a\",{\"num\":0}]baGk="), "451-[\"a\",{\"num\":0}]\u{1e}baGk=");
        for right in ["451-[\"a\",{\"num\":0}]\u{1e}baGk=", "42[\"a\",\"]b\"]", "2", ""] {
            assert_eq!(of(right), right);
        }
    }

    #[test]
    fn whose_request_it_is() {
        let of = |query: &str| Ask::parse(query).label;
        let sid = Sid::new();
        assert_eq!(of("EIO=4&transport=polling"), Label::of(Transport::SocketioPolling));
        assert_eq!(of(&format!("EIO=4&transport=polling&sid={sid}")), Label::of(Transport::SocketioPolling));
        assert_eq!(of("EIO=4&transport=polling&upgrade=1"), Label::of(Transport::Socketio));
        assert_eq!(of("EIO=4&transport=websocket"), Label::of(Transport::SocketioWebsocket));
        assert_eq!(of(&format!("EIO=4&transport=websocket&sid={sid}")), Label::of(Transport::Socketio));
        assert_eq!(Ask::parse(&format!("sid={sid}")).sid, Some(sid));
    }
}
