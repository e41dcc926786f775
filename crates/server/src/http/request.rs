//! `GET /rooms/{room}/{transport}`: the checked request of a reader, and what a transport declares
//! about it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use wire::{BatchFormat, Encoding, ReadQuery, Reset, StartAt, Transport};

use crate::connection::Connection;
use crate::hub::Reader;
use crate::refusal::{Refusal, RefusalReason};
use crate::state::ServerState;

/// How a transport on the HTTP port answers a read request.
pub(crate) struct ReadEndpoint {
    /// The query parameters it accepts.
    pub(crate) parameters: &'static [&'static str],
    /// Whether its batches are chunks of one response.
    pub(crate) chunked: bool,
    /// A request header in which a reconnecting client names its cursor. It overrides the query.
    pub(crate) resume_header: Option<&'static str>,
    pub(crate) answer: fn(ReadRequest) -> ResponseFuture,
}

pub(crate) type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

/// A read request that was accepted.
pub(crate) struct ReadRequest {
    pub(crate) state: Arc<ServerState>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) reader: Reader,
    pub(crate) encoding: Encoding,
    pub(crate) hold_ms: Option<u64>,
    /// Whether the client named its cursor. Otherwise the response does.
    pub(crate) had_cursor: bool,
    /// Set when the log has restarted since the client's last message.
    pub(crate) reset: Option<Reset>,
    pub(crate) http: Request,
}

impl ReadRequest {
    /// Checks a request against its endpoint, the access rules and the room.
    pub(crate) fn parse(
        state: Arc<ServerState>,
        connection: Arc<Connection>,
        transport: Transport,
        endpoint: &ReadEndpoint,
        http: Request,
    ) -> Result<Self, Refusal> {
        let query =
            ReadQuery::parse(http.uri().query().unwrap_or(""), endpoint.parameters).map_err(Refusal::bad_request)?;
        check_access(&state, http.headers(), query.token)?;
        let encoding = query.encoding.unwrap_or(transport.default_encoding());
        let resume = endpoint.resume_header.map_or(Ok(None), |name| resume_cursor(name, http.headers()))?;
        let start = resume.unwrap_or(query.start);
        let room = state.hub.room(room_of(&http))?;
        let format = BatchFormat { framing: transport.framing(encoding), chunked: endpoint.chunked };
        let (reader, reset) = match room.reader(format, start) {
            Ok(reader) => (reader, None),
            Err(ahead) if resume.is_some() => (room.reader_from_start(format), Some(Reset { head: ahead.head })),
            Err(ahead) => return Err(Refusal::cursor_ahead(start, ahead)),
        };
        let hold_ms = query.hold_ms;
        Ok(Self { state, connection, reader, encoding, hold_ms, had_cursor: start != StartAt::Live, reset, http })
    }
}

/// Checks a request for `/stats`.
pub(crate) fn check_stats_request(state: &ServerState, request: &Request) -> Result<(), Refusal> {
    let query = ReadQuery::parse(request.uri().query().unwrap_or(""), &["token"]).map_err(Refusal::bad_request)?;
    check_access(state, request.headers(), query.token)
}

/// The connection of a routed request.
pub(crate) fn connection_of(request: &Request) -> Arc<Connection> {
    let connection = request.extensions().get::<Arc<Connection>>();
    Arc::clone(connection.expect("`router::http_connection` inserts it into every routed request"))
}

/// The room in the path `/rooms/{room}/{transport}`.
pub(super) fn room_of(request: &Request) -> &str {
    request.uri().path().split('/').nth(2).unwrap_or("")
}

/// Checks token and origin.
pub(super) fn check_access(state: &ServerState, headers: &HeaderMap, token: Option<&str>) -> Result<(), Refusal> {
    let unauthorized = |body| Refusal::new(RefusalReason::Unauthorized, body);
    state.access.admits_token(headers, token).map_err(unauthorized)?;
    let forbidden = |body| Refusal::new(RefusalReason::Forbidden, body);
    state.access.admits_origin(headers).map_err(forbidden)
}

/// The cursor in a header. It is newer than the one in the URL, which a browser keeps when it
/// reconnects.
fn resume_cursor(name: &str, headers: &HeaderMap) -> Result<Option<StartAt>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().unwrap_or("?");
    wire::parse_after(name, text).map(|seq| Some(StartAt::After(seq))).map_err(Refusal::bad_request)
}
