//! A WebSocket under a transport: the handshake, what comes in, what goes out past tungstenite, pings, and the closing.
//!
//! tungstenite owns the protocol: handshake key, reading, masks, fragments, control frames, closing. Message frames go past it, straight
//! into the socket, because every reader of a room gets the same bytes. That is sound for one reason: whatever tungstenite
//! wants to send is flushed before the next message frame is written, so its write buffer is empty by then.

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
use wire::{ByteCounts, Encoding, ErrorBody, WireError};

use super::{ReadRequest, Refusal, post_bytes_max};
use crate::connection::{Connection, CountedStream};
use crate::counters::{Counter, TransportSlot};
use crate::hub::{Batch, Reader};
use crate::state::ServerState;

/// Room for a few posts; longer ones make it grow while they are read.
const READ_BUFFER_BYTES: usize = 1 << 10;
/// What tungstenite makes of a close frame whose code no endpoint may send. It answers with 1002.
const REFUSED_CODE_REASON: &str = "Protocol violation";
/// How long a client may take to answer our close frame, and to close its connection.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// Who came, and where it stands.
pub(crate) struct Subscriber {
    pub(crate) state: Arc<ServerState>,
    pub(crate) reader: Reader,
    pub(crate) encoding: Encoding,
}

/// Answers a handshake, and has `talk` speak on the socket until it has closed it.
pub(crate) fn upgrade<F>(
    mut visit: ReadRequest,
    subprotocol: Option<&'static str>,
    talk: fn(Subscriber, WebSocket) -> F,
) -> Result<Response, Refusal>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut response = accept(&visit.request)?;
    if let Some(name) = subprotocol {
        if !offers(visit.request.headers(), name) {
            let hint = format!("ask for the subprotocol {name}");
            let problem = ErrorBody::new("sec-websocket-protocol", "", "another protocol is spoken here", hint);
            return Err(Refusal::bad(problem));
        }
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    }
    let upgraded = hyper::upgrade::on(&mut visit.request);
    visit.state.tasks.clone().spawn(async move {
        let Some((socket, read_already)) = upgraded_stream(upgraded).await else { return };
        let ReadRequest { state, connection, reader, encoding, .. } = visit;
        let mut channel = WebSocket::new(&state, connection, socket, read_already).await;
        let _busy = channel.ws.get_mut().busy_guard();
        talk(Subscriber { state, reader, encoding }, channel).await;
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

/// Waits until the response to a handshake is sent. Returns the socket and the bytes that were read behind the request, or `None` when the
/// client has closed the connection.
pub(crate) async fn upgraded_stream(upgraded: OnUpgrade) -> Option<(CountedStream, Vec<u8>)> {
    let upgraded = upgraded.await.inspect_err(|error| tracing::debug!(%error, "the client left during the upgrade"));
    let Ok(parts) = upgraded.ok()?.downcast::<TokioIo<CountedStream>>() else {
        tracing::error!("an upgraded connection is not the socket that was accepted");
        return None;
    };
    // Nothing of hyper's may live on here: its read buffer alone is larger than a session.
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

/// Checks what RFC 6455 asks of the request, and derives the answer to its key.
fn check_handshake(request: &Request) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    let refuse = |status, field: &str, hint: &str| {
        let found = headers.get(field).and_then(|value| value.to_str().ok()).unwrap_or("");
        Refusal::new(status, ErrorBody::new(field, found, "this is no WebSocket handshake", hint))
    };
    let upgrades =
        has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket");
    if !upgrades || request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(refuse(StatusCode::UPGRADE_REQUIRED, "upgrade", "connect with a WebSocket client"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refuse(StatusCode::UPGRADE_REQUIRED, "sec-websocket-version", "version 13 is spoken here"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    let key = key.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "sec-websocket-key", "send 16 bytes in base64"))?;
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
    /// Whether tungstenite has taken all that came.
    drained: bool,
    /// Whether anything came since the last ping.
    alive: bool,
}

/// Why a session ends.
pub(crate) enum WebSocketEnd {
    /// We close it, with this code.
    Close(CloseCode, String),
    /// The client closed it, and has its answer.
    Closed,
    /// The connection is over already.
    Disconnected,
}

impl WebSocketEnd {
    /// Closes with a reason that fits.
    pub(crate) fn close(code: CloseCode, reason: &str) -> Self {
        // A close frame has 125 bytes, two of them for the code.
        Self::Close(code, reason.chars().take(100).collect())
    }

    /// The server is going away.
    pub(crate) fn going_away() -> Self {
        Self::close(CloseCode::Away, "the server is going away")
    }

    /// Whether the client did nothing wrong and is sent away.
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
            // Went away without a word, as clients do.
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
    async fn new(
        state: &ServerState,
        connection: Arc<Connection>,
        socket: CountedStream,
        read_already: Vec<u8>,
    ) -> Self {
        let message_bytes_max = post_bytes_max(state.limits.message_bytes_max);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let ws = WebSocketStream::from_partially_read(socket, read_already, Role::Server, Some(config)).await;
        Self { slot: connection.slot(), connection, ws, drained: false, alive: true }
    }

    pub(crate) fn count(&self, count: Counter) {
        self.connection.count(count);
    }

    /// The next message of any kind. May be given up at any time.
    pub(crate) async fn next(&mut self) -> Result<Message, WebSocketEnd> {
        let message = poll_fn(|cx| poll_incoming(&mut self.ws, &mut self.drained, cx))
            .await
            .ok_or(WebSocketEnd::Disconnected)??;
        self.alive = true;
        Ok(message)
    }

    /// Answers a control frame; what is data comes back. Must not be given up half-way.
    pub(crate) async fn handle_control_frame(&mut self, message: Message) -> Result<Option<Message>, WebSocketEnd> {
        match message {
            Message::Text(_) | Message::Binary(_) => return Ok(Some(message)),
            // tungstenite has made its answer; it must be gone before the next message frame.
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

    /// Writes a batch of message frames.
    pub(crate) async fn deliver(&mut self, batch: &Batch) -> Result<(), WebSocketEnd> {
        self.connection.count_batch(self.slot, batch, 0);
        Ok(self.ws.get_mut().write_all(&batch.bytes).await?)
    }

    /// Writes frames that are this client's alone.
    pub(crate) async fn write(&mut self, frames: &[u8], split: ByteCounts) -> Result<(), WebSocketEnd> {
        self.connection.counters().add_batch(self.slot, 0, 1, split);
        Ok(self.ws.get_mut().write_all(frames).await?)
    }

    /// Counts a post that came as a message of so many bytes, `around` of them neither its text nor what is around that.
    pub(crate) fn count_post(&self, text: usize, message: usize, around: usize) {
        // RFC 6455: two bytes, a mask, and for longer messages their length.
        let header = match message {
            0..=125 => 6,
            126..=65_535 => 8,
            _ => 14,
        };
        let (payload, envelope) = (text as u64, (message - around - text) as u64);
        self.connection
            .counters()
            .add_post(self.slot, ByteCounts { payload, envelope, framing: header + around as u64 });
    }

    /// Asks for a sign of life; whoever gave none since the last time is gone.
    pub(crate) async fn ping(&mut self) -> Result<(), WebSocketEnd> {
        if !std::mem::take(&mut self.alive) {
            self.connection.count(Counter::TimedOut);
            return Err(WebSocketEnd::Disconnected);
        }
        Ok(self.ws.send(Message::Ping(Bytes::new())).await?)
    }

    /// Ends it. What the client sent before it heard of that goes to `last`, until that wants no more.
    pub(crate) async fn close(mut self, end: WebSocketEnd, mut last: impl FnMut(&Self, &Message) -> bool) {
        let closing = async {
            match end {
                WebSocketEnd::Close(code, reason) => {
                    if !matches!(code, CloseCode::Away | CloseCode::Normal) {
                        self.count(Counter::Malformed);
                    }
                    self.ws.close(Some(CloseFrame { code, reason: reason.into() })).await.ok();
                    // After a bad frame tungstenite reads no more.
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

/// The next message from the client. A session wakes for every delivery; tungstenite is asked only when something came.
fn poll_incoming(
    ws: &mut WebSocketStream<CountedStream>,
    drained: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Message, Error>>> {
    if *drained && ws.get_ref().poll_readable(cx).is_pending() {
        return Poll::Pending;
    }
    let incoming = ws.poll_next_unpin(cx);
    *drained = incoming.is_pending();
    incoming
}
