//! `GET /rooms/{room}/{transport}`: the checked request of a reader, and what a transport declares
//! about it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use wire::{BatchFormat, Encoding, ReadQuery, Reset, StartAt, Transport, Wrapping};

use super::request_head::RequestHead;
use crate::config::ServerLimits;
use crate::connection::Connection;
use crate::hub::Reader;
use crate::refusal::{Refusal, RefusalReason};
use crate::state::ServerState;

/// How a transport on the HTTP port answers a read request.
pub(crate) struct ReadEndpoint {
    /// The query parameters it accepts.
    pub(crate) parameters: &'static [&'static str],
    pub(crate) kind: ReadKind,
}

/// The kinds of answers to a read request.
pub(crate) enum ReadKind {
    /// A response for each batch. The function says how long to wait for one.
    Poll(fn(&ReadRequest, &ServerLimits) -> Result<Duration, Refusal>),
    /// A response that stays open.
    Stream(&'static StreamKind),
    /// A WebSocket.
    WebSocket(WebSocketUpgrade),
}

/// Answers the handshake of a WebSocket.
pub(crate) type WebSocketUpgrade =
    fn(&Arc<ServerState>, &Arc<Connection>, ReadRequest, Request) -> Result<Response, Refusal>;

/// The differences between the streaming transports.
pub(crate) struct StreamKind {
    pub(crate) content_type: &'static str,
    /// Bytes before the joined item.
    pub(crate) preamble: &'static [u8],
    /// A chunk without an item.
    pub(crate) heartbeat: &'static [u8],
    /// Whether items have ids, so that a client may name its cursor in `Last-Event-ID`.
    pub(crate) has_event_ids: bool,
}

impl ReadKind {
    const fn wrapping(&self) -> Wrapping {
        match self {
            Self::Poll(_) => Wrapping::Body,
            Self::Stream(_) => Wrapping::Chunk,
            Self::WebSocket(_) => Wrapping::None,
        }
    }
}

/// A read request that was accepted.
pub(crate) struct ReadRequest {
    pub(crate) reader: Reader,
    pub(crate) encoding: Encoding,
    pub(crate) hold_ms: Option<u64>,
    /// Whether the client named its cursor. Otherwise the response does.
    pub(crate) had_cursor: bool,
    /// Set when the log has restarted since the client's last message.
    pub(crate) reset: Option<Reset>,
}

/// A read request that was checked.
pub(crate) enum ParsedRead {
    Accepted(ReadRequest),
    /// The reader needs more of the shared log.
    NotCopied(StartAt),
}

impl ReadRequest {
    /// Checks a request against its endpoint, the access rules and the room. `earlier`: the reader
    /// of the last request on the connection. `is_copied`: the shared log has just been asked.
    pub(crate) fn parse(
        state: &ServerState,
        transport: Transport,
        endpoint: &ReadEndpoint,
        head: &RequestHead<'_>,
        earlier: Option<Reader>,
        is_copied: bool,
    ) -> Result<ParsedRead, Refusal> {
        let query = ReadQuery::parse(head.query, endpoint.parameters).map_err(Refusal::bad_request)?;
        check_access(state, head, query.token)?;
        let encoding = query.encoding.unwrap_or(transport.default_encoding());
        let resume = resume_cursor(&endpoint.kind, head)?;
        let start = resume.unwrap_or(query.start);
        if !is_copied && !state.covers(head.room, start) {
            return Ok(ParsedRead::NotCopied(start));
        }
        let format = BatchFormat { framing: transport.framing(encoding), wrapping: endpoint.kind.wrapping() };
        let (reader, reset) = match state.hub.reader(earlier, head.room, format, start)? {
            Ok(reader) => (reader, None),
            Err(ahead) if resume.is_some() => {
                (state.hub.room(head.room)?.reader_from_start(format), Some(Reset { head: ahead.head }))
            }
            Err(ahead) => return Err(Refusal::cursor_ahead(start, ahead)),
        };
        let had_cursor = start != StartAt::Live;
        Ok(ParsedRead::Accepted(Self { reader, encoding, hold_ms: query.hold_ms, had_cursor, reset }))
    }
}

/// Checks a request for `/stats`.
pub(crate) fn check_stats_request(state: &ServerState, request: &Request) -> Result<(), Refusal> {
    let head = RequestHead::of(request);
    let query = ReadQuery::parse(head.query, &["token"]).map_err(Refusal::bad_request)?;
    check_access(state, &head, query.token)
}

/// The connection of a routed request.
pub(crate) fn connection_of(request: &Request) -> Arc<Connection> {
    let connection = request.extensions().get::<Arc<Connection>>();
    Arc::clone(connection.expect("`router::http_connection` inserts it into every routed request"))
}

/// Checks token and origin.
pub(super) fn check_access(state: &ServerState, head: &RequestHead<'_>, token: Option<&str>) -> Result<(), Refusal> {
    let unauthorized = |body| Refusal::new(RefusalReason::Unauthorized, body);
    state.access.admits_token(head.authorization, token).map_err(unauthorized)?;
    check_origin(state, head)
}

/// Checks the origin.
pub(crate) fn check_origin(state: &ServerState, head: &RequestHead<'_>) -> Result<(), Refusal> {
    let forbidden = |body| Refusal::new(RefusalReason::Forbidden, body);
    state.access.admits_origin(head.origin, head.host.unwrap_or("")).map_err(forbidden)
}

/// The cursor in the header with which a browser reconnects to a stream of events. It is newer than
/// the one in the URL, which the browser keeps.
fn resume_cursor(kind: &ReadKind, head: &RequestHead<'_>) -> Result<Option<StartAt>, Refusal> {
    match (kind, head.last_event_id) {
        (ReadKind::Stream(StreamKind { has_event_ids: true, .. }), Some(id)) => {
            wire::parse_after("Last-Event-ID", id).map(|seq| Some(StartAt::After(seq))).map_err(Refusal::bad_request)
        }
        _ => Ok(None),
    }
}
