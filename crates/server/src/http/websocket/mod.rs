//! A WebSocket (RFC 6455) under a transport: handshake, reading, writing, pings and closing.
//!
//! Messages in a single frame are read here, and message frames are written to the socket directly,
//! because all readers of a room get the same bytes. So a WebSocket has no buffer while its client
//! sends nothing. tungstenite implements the rest: fragments, errors and closing. From the first
//! such frame on it reads the connection. Every frame of tungstenite is flushed before the next
//! message frame is written: its write buffer is empty then.

mod frame;
mod handshake;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use wire::{ByteCounts, Encoding, ErrorBody, WireError, ws_header_len};

use super::post::post_bytes_max;
use super::request::ReadRequest;
use crate::connection::{BusyGuard, Connection, CountedStream, with_scratch};
use crate::counters::{Counter, TransportSlot};
use crate::hub::{Batch, Reader};
use crate::refusal::Refusal;
use crate::state::ServerState;
use frame::{ClientFrame, PING, pong};
pub(crate) use handshake::{accept, upgraded_socket};

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
    state: &Arc<ServerState>,
    connection: &Arc<Connection>,
    read: ReadRequest,
    mut request: Request,
    subprotocol: Option<&'static str>,
    run: fn(Subscriber, WebSocket) -> F,
) -> Result<Response, Refusal>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut response = accept(&request)?;
    if let Some(name) = subprotocol {
        if !handshake::offers(request.headers(), name) {
            let hint = format!("request the subprotocol {name}");
            let error = "the subprotocol of this transport is missing";
            return Err(Refusal::bad_request(ErrorBody::new("sec-websocket-protocol", "", error, hint)));
        }
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    }
    let upgraded = hyper::upgrade::on(&mut request);
    let (state, connection) = (Arc::clone(state), Arc::clone(connection));
    state.tasks.clone().spawn(async move {
        let Some(socket) = upgraded_socket(upgraded).await else { return };
        let ReadRequest { reader, encoding, .. } = read;
        let websocket = WebSocket::new(&state, connection, socket);
        // A task of its own needs no memory for the upgrade.
        state.tasks.clone().spawn(run(Subscriber { state, reader, encoding }, websocket));
    });
    Ok(response)
}

pub(crate) struct WebSocket {
    connection: Arc<Connection>,
    slot: TransportSlot,
    link: Link,
    /// Bytes of frames that are not complete or not yet returned.
    unread: Vec<u8>,
    message_bytes_max: usize,
    /// Whether a frame has arrived since the last ping.
    is_alive: bool,
    /// Bytes of messages until the server closes it.
    bytes_left: u64,
    _busy: BusyGuard,
}

/// Who reads the socket.
enum Link {
    Direct(CountedStream),
    /// The library, and whether it has read all input.
    Library(Box<WebSocketStream<CountedStream>>, bool),
    /// Between the two.
    Changing,
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
    fn new(state: &ServerState, connection: Arc<Connection>, mut socket: CountedStream) -> Self {
        Self {
            _busy: socket.busy_guard(),
            slot: connection.stats.slot(),
            connection,
            link: Link::Direct(socket),
            unread: Vec::new(),
            message_bytes_max: post_bytes_max(state.limits.message_bytes_max),
            is_alive: true,
            bytes_left: state.limits.websocket_bytes_max,
        }
    }

    fn socket(&mut self) -> &mut CountedStream {
        match &mut self.link {
            Link::Direct(socket) => socket,
            Link::Library(ws, _) => ws.get_mut(),
            Link::Changing => unreachable!("`library` does not wait between the two"),
        }
    }

    /// Lets the library read from now on.
    fn library(&mut self) -> &mut WebSocketStream<CountedStream> {
        self.link = match std::mem::replace(&mut self.link, Link::Changing) {
            Link::Direct(mut socket) => {
                socket.put_back(&std::mem::take(&mut self.unread));
                let config = WebSocketConfig::default()
                    .read_buffer_size(READ_BUFFER_BYTES)
                    .write_buffer_size(0)
                    .max_message_size(Some(self.message_bytes_max))
                    .max_frame_size(Some(self.message_bytes_max));
                let ws = WebSocketStream::from_raw_socket(socket, Role::Server, Some(config)).now_or_never();
                Link::Library(Box::new(ws.expect("a WebSocket without handshake is made at once")), false)
            }
            link => link,
        };
        match &mut self.link {
            Link::Library(ws, _) => ws,
            Link::Direct(_) | Link::Changing => unreachable!("it was set above"),
        }
    }

    pub(crate) fn count(&self, count: Counter) {
        self.connection.stats.count(count);
    }

    /// The next message of any kind. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Message, WebSocketEnd> {
        let message = poll_fn(|cx| self.poll_next(cx)).await?;
        self.is_alive = true;
        Ok(message)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, WebSocketEnd>> {
        loop {
            let socket = match &mut self.link {
                Link::Direct(socket) => socket,
                Link::Library(ws, has_read_all) => {
                    // A session wakes for every delivery, so the library is polled only when the
                    // socket is readable.
                    if *has_read_all && ws.get_mut().poll_readable(cx).is_pending() {
                        return Poll::Pending;
                    }
                    let incoming = ws.poll_next_unpin(cx);
                    *has_read_all = incoming.is_pending();
                    return incoming.map(|message| Ok(message.ok_or(WebSocketEnd::Disconnected)??));
                }
                Link::Changing => unreachable!("`library` does not wait between the two"),
            };
            let max = self.message_bytes_max;
            let mut frame = ClientFrame::first(&self.unread, max);
            if let ClientFrame::Message(_, taken) = &frame {
                self.unread.drain(..*taken);
            } else if matches!(frame, ClientFrame::Incomplete) {
                let read = with_scratch(|scratch| {
                    let mut buffer = ReadBuf::new(scratch);
                    ready!(Pin::new(socket).poll_read(cx, &mut buffer))?;
                    let new = buffer.filled();
                    if self.unread.is_empty() {
                        frame = ClientFrame::first(new, max);
                        let taken = if let ClientFrame::Message(_, taken) = &frame { *taken } else { 0 };
                        self.unread.extend_from_slice(&new[taken..]);
                    } else {
                        self.unread.extend_from_slice(new);
                    }
                    Poll::Ready(std::io::Result::Ok(new.len()))
                });
                if ready!(read)? == 0 {
                    return Poll::Ready(Err(WebSocketEnd::Disconnected));
                }
            }
            match frame {
                ClientFrame::Message(message, _) => {
                    if self.unread.is_empty() {
                        self.unread = Vec::new();
                    }
                    return Poll::Ready(Ok(message));
                }
                ClientFrame::Incomplete => {}
                ClientFrame::Unusual => drop(self.library()),
            }
        }
    }

    /// Answers a control frame, and returns any other message. Not cancel safe.
    pub(crate) async fn handle_control_frame(&mut self, message: Message) -> Result<Option<Message>, WebSocketEnd> {
        match message {
            Message::Text(_) | Message::Binary(_) => return Ok(Some(message)),
            Message::Ping(payload) => match &mut self.link {
                Link::Library(ws, _) => ws.flush().await?,
                Link::Direct(_) | Link::Changing => self.socket().write_all(&pong(&payload)).await?,
            },
            Message::Close(frame) => {
                if frame.is_some_and(|frame| frame.reason == REFUSED_CODE_REASON) {
                    self.count(Counter::Malformed);
                }
                self.library().flush().await?;
                return Err(WebSocketEnd::Closed);
            }
            Message::Pong(_) | Message::Frame(_) => {}
        }
        Ok(None)
    }

    /// Writes a batch of message frames. It may be the last.
    pub(crate) async fn deliver(&mut self, batch: &Batch) -> Result<(), WebSocketEnd> {
        self.connection.stats.count_batch(self.slot, batch, 0);
        self.socket().write_all(&batch.bytes).await?;
        self.bytes_left = self.bytes_left.saturating_sub(batch.bytes.len() as u64);
        if self.bytes_left > 0 {
            return Ok(());
        }
        Err(WebSocketEnd::close(CloseCode::Away, "the connection has delivered its maximum number of bytes"))
    }

    /// Writes frames for this client only.
    pub(crate) async fn write(&mut self, frames: &[u8], byte_counts: ByteCounts) -> Result<(), WebSocketEnd> {
        self.connection.stats.counters().add_batch(self.slot, 0, 1, byte_counts);
        Ok(self.socket().write_all(frames).await?)
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
        Ok(self.socket().write_all(&PING).await?)
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
                    self.library().close(Some(CloseFrame { code, reason: reason.into() })).await.ok();
                    // After an invalid frame tungstenite reads nothing more.
                    while let Some(Ok(message)) = self.library().next().await {
                        if (message.is_text() || message.is_binary()) && !last(&self, &message) {
                            break;
                        }
                    }
                }
                WebSocketEnd::Closed => {}
                WebSocketEnd::Disconnected => return,
            }
            self.socket().close_gracefully().await.ok();
        };
        tokio::time::timeout(CLOSE_WAIT, closing).await.ok();
    }
}
