//! A WebSocket (RFC 6455) under a transport: handshake, reading, writing, pings and closing.
//!
//! tungstenite implements the protocol: the handshake key, reading, masks, fragments, control
//! frames and closing. Message frames bypass it and are written to the socket directly, because all
//! readers of a room get the same bytes. This is correct because every frame of tungstenite is
//! flushed before the next message frame is written: its write buffer is empty then.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::Response;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use wire::{ByteCounts, Encoding, ErrorBody, WireError, ws_header_len};

use super::{ReadRequest, post_bytes_max};
use crate::connection::{Connection, CountedStream};
use crate::counters::{Counter, TransportSlot};
use crate::hub::{Batch, Reader};
use crate::refusal::{Refusal, RefusalReason};
use crate::state::ServerState;

/// Enough for a few posts. The buffer grows while a longer one is read.
const READ_BUFFER_BYTES: usize = 1 << 10;
/// The reason that tungstenite reports for a close frame with a code that no endpoint may send. It
/// answers such a frame with 1002.
const REFUSED_CODE_REASON: &str = "Protocol violation";
/// How long a client may take to answer a close frame and to close its connection.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// A client that was accepted on a WebSocket: its cursor and its encoding.
pub(crate) struct Subscriber {
    pub(crate) state: Arc<ServerState>,
    pub(crate) reader: Reader,
    pub(crate) encoding: Encoding,
}

/// Answers a handshake and spawns `run` on the WebSocket.
pub(crate) fn upgrade<F>(
    mut request: ReadRequest,
    subprotocol: Option<&'static str>,
    run: fn(Subscriber, WebSocket) -> F,
) -> Result<Response, Refusal>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut response = accept(&request.http)?;
    if let Some(name) = subprotocol {
        if !offers(request.http.headers(), name) {
            let hint = format!("request the subprotocol {name}");
            let error = "the subprotocol of this transport is missing";
            return Err(Refusal::bad_request(ErrorBody::new("sec-websocket-protocol", "", error, hint)));
        }
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    }
    let upgraded = hyper::upgrade::on(&mut request.http);
    request.state.tasks.clone().spawn(async move {
        let Some((socket, unread)) = upgraded_stream(upgraded).await else { return };
        let ReadRequest { state, connection, reader, encoding, .. } = request;
        let mut websocket = WebSocket::new(&state, connection, socket, unread).await;
        let _busy = websocket.ws.get_mut().busy_guard();
        run(Subscriber { state, reader, encoding }, websocket).await;
    });
    Ok(response)
}

/// Accepts a WebSocket handshake.
pub(crate) fn accept(request: &Request) -> Result<Response, Refusal> {
    let accept = check_handshake(request)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Waits until the response to a handshake is sent. Returns the socket and the bytes read after the
/// request, or `None` when the client has closed the connection.
pub(crate) async fn upgraded_stream(upgraded: OnUpgrade) -> Option<(CountedStream, Vec<u8>)> {
    let upgraded = upgraded
        .await
        .inspect_err(|error| tracing::debug!(%error, "the client closed the connection during the upgrade"));
    let Ok(parts) = upgraded.ok()?.downcast::<TokioIo<CountedStream>>() else {
        tracing::error!("an upgraded connection is not the socket that was accepted");
        return None;
    };
    // Keep nothing of hyper: its read buffer alone is larger than the state of a session.
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

/// Checks the request as RFC 6455 §4.2.1 requires, and derives the accept key.
fn check_handshake(request: &Request) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    let refuse = |reason, field: &str, hint: &str| {
        let found = headers.get(field).and_then(|value| value.to_str().ok()).unwrap_or("");
        Refusal::new(reason, ErrorBody::new(field, found, "not a valid WebSocket handshake", hint))
    };
    let upgrades =
        has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket");
    if !upgrades || request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(refuse(RefusalReason::UpgradeRequired, "upgrade", "connect with a WebSocket client"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refuse(RefusalReason::UpgradeRequired, "sec-websocket-version", "use version 13"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    let key = key.ok_or_else(|| refuse(RefusalReason::BadRequest, "sec-websocket-key", "send 16 bytes in base64"))?;
    Ok(HeaderValue::from_str(&derive_accept_key(key.as_bytes())).expect("base64 is a header value"))
}

/// Whether these are 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let digits = key.strip_suffix(b"==").filter(|digits| digits.len() == 22);
    digits.is_some_and(|digits| digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')))
}

fn offers(headers: &HeaderMap, subprotocol: &str) -> bool {
    has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, subprotocol)
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

pub(crate) struct WebSocket {
    connection: Arc<Connection>,
    slot: TransportSlot,
    ws: WebSocketStream<CountedStream>,
    /// Whether tungstenite has read all input.
    has_read_all: bool,
    /// Whether a frame has arrived since the last ping.
    is_alive: bool,
    /// Bytes of messages until the server closes it.
    bytes_left: u64,
}

/// Why a WebSocket session ends.
pub(crate) enum WebSocketEnd {
    /// The server closes it with this code.
    Close(CloseCode, String),
    /// The client has closed it, and its close frame is answered.
    Closed,
    /// The connection has ended.
    Disconnected,
}

impl WebSocketEnd {
    /// Closes with a reason, shortened to the size of a control frame.
    pub(crate) fn close(code: CloseCode, reason: &str) -> Self {
        // A control frame has at most 125 bytes, 2 of them for the code (RFC 6455 §5.5).
        Self::Close(code, reason.chars().take(100).collect())
    }

    /// The server is shutting down (1001).
    pub(crate) fn going_away() -> Self {
        Self::close(CloseCode::Away, "the server is shutting down")
    }

    /// Whether the server ends the session without an error of the client.
    pub(crate) const fn is_going_away(&self) -> bool {
        matches!(self, Self::Close(CloseCode::Away, _))
    }
}

impl From<Error> for WebSocketEnd {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
                Self::Close(CloseCode::Size, format!("a message has at most {max_size} bytes"))
            }
            Error::Utf8(_) => Self::Close(CloseCode::Invalid, WireError::NotUtf8.to_string()),
            // The client has closed the connection without a close frame.
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Disconnected,
            Error::Protocol(error) => Self::Close(CloseCode::Protocol, error.to_string()),
            other => {
                tracing::debug!(error = %other, "a WebSocket ended");
                Self::Disconnected
            }
        }
    }
}

impl From<std::io::Error> for WebSocketEnd {
    fn from(error: std::io::Error) -> Self {
        tracing::debug!(%error, "a WebSocket ended");
        Self::Disconnected
    }
}

impl WebSocket {
    async fn new(state: &ServerState, connection: Arc<Connection>, socket: CountedStream, unread: Vec<u8>) -> Self {
        let message_bytes_max = post_bytes_max(state.limits.message_bytes_max);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let ws = WebSocketStream::from_partially_read(socket, unread, Role::Server, Some(config)).await;
        let bytes_left = state.limits.websocket_bytes_max;
        Self { slot: connection.stats.slot(), connection, ws, has_read_all: false, is_alive: true, bytes_left }
    }

    pub(crate) fn count(&self, count: Counter) {
        self.connection.stats.count(count);
    }

    /// The next message of any kind. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Message, WebSocketEnd> {
        let message = poll_fn(|cx| poll_incoming(&mut self.ws, &mut self.has_read_all, cx))
            .await
            .ok_or(WebSocketEnd::Disconnected)??;
        self.is_alive = true;
        Ok(message)
    }

    /// Answers a control frame, and returns any other message. Not cancel safe.
    pub(crate) async fn handle_control_frame(&mut self, message: Message) -> Result<Option<Message>, WebSocketEnd> {
        match message {
            Message::Text(_) | Message::Binary(_) => return Ok(Some(message)),
            // The pong of tungstenite must be flushed before the next message frame.
            Message::Ping(_) => self.ws.flush().await?,
            Message::Close(frame) => {
                if frame.is_some_and(|frame| frame.reason == REFUSED_CODE_REASON) {
                    self.count(Counter::Malformed);
                }
                self.ws.flush().await?;
                return Err(WebSocketEnd::Closed);
            }
            Message::Pong(_) | Message::Frame(_) => {}
        }
        Ok(None)
    }

    /// Writes a batch of message frames. It may be the last.
    pub(crate) async fn deliver(&mut self, batch: &Batch) -> Result<(), WebSocketEnd> {
        self.connection.stats.count_batch(self.slot, batch, 0);
        self.ws.get_mut().write_all(&batch.bytes).await?;
        self.bytes_left = self.bytes_left.saturating_sub(batch.bytes.len() as u64);
        if self.bytes_left > 0 {
            return Ok(());
        }
        Err(WebSocketEnd::close(CloseCode::Away, "the connection has delivered its maximum number of bytes"))
    }

    /// Writes frames for this client only.
    pub(crate) async fn write(&mut self, frames: &[u8], byte_counts: ByteCounts) -> Result<(), WebSocketEnd> {
        self.connection.stats.counters().add_batch(self.slot, 0, 1, byte_counts);
        Ok(self.ws.get_mut().write_all(frames).await?)
    }

    /// Counts a post in a message of `message` bytes: `text` bytes of text, `subprotocol` bytes of
    /// a subprotocol's frame, and JSON or binary fields.
    pub(crate) fn count_post(&self, text: usize, message: usize, subprotocol: usize) {
        let byte_counts = ByteCounts {
            payload: text as u64,
            envelope: (message - subprotocol - text) as u64,
            framing: (ws_header_len(message, true) + subprotocol) as u64,
        };
        self.connection.stats.counters().add_post(self.slot, byte_counts);
    }

    /// Sends a ping. Fails if no frame has arrived since the last one.
    pub(crate) async fn ping(&mut self) -> Result<(), WebSocketEnd> {
        if !std::mem::take(&mut self.is_alive) {
            self.connection.stats.count(Counter::TimedOut);
            return Err(WebSocketEnd::Disconnected);
        }
        Ok(self.ws.send(Message::Ping(Bytes::new())).await?)
    }

    /// Ends the WebSocket. Messages that the client sends before it has the close frame go to
    /// `last`, until it returns false.
    pub(crate) async fn close(mut self, end: WebSocketEnd, mut last: impl FnMut(&Self, &Message) -> bool) {
        let closing = async {
            match end {
                WebSocketEnd::Close(code, reason) => {
                    if !matches!(code, CloseCode::Away | CloseCode::Normal) {
                        self.count(Counter::Malformed);
                    }
                    self.ws.close(Some(CloseFrame { code, reason: reason.into() })).await.ok();
                    // After an invalid frame tungstenite reads nothing more.
                    while let Some(Ok(message)) = self.ws.next().await {
                        if (message.is_text() || message.is_binary()) && !last(&self, &message) {
                            break;
                        }
                    }
                }
                WebSocketEnd::Closed => {}
                WebSocketEnd::Disconnected => return,
            }
            self.ws.get_mut().close_gracefully().await.ok();
        };
        tokio::time::timeout(CLOSE_WAIT, closing).await.ok();
    }
}

/// The next message from the client. A session wakes for every delivery, so tungstenite is polled
/// only when the socket is readable.
fn poll_incoming(
    ws: &mut WebSocketStream<CountedStream>,
    has_read_all: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Message, Error>>> {
    if *has_read_all && ws.get_ref().poll_readable(cx).is_pending() {
        return Poll::Pending;
    }
    let incoming = ws.poll_next_unpin(cx);
    *has_read_all = incoming.is_pending();
    incoming
}
