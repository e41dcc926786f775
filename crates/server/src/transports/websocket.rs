//! WebSocket: posts up with acknowledgements, shared pre-written frames down.
//!
//! tungstenite owns the protocol: handshake key, reading, masks, fragments, control frames, closing. Message frames go past it, straight
//! into the socket, because every reader of a room gets the same bytes. That is sound for one reason: whatever tungstenite
//! wants to send is flushed before the next message frame is written, so its write buffer is empty by then.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::Response;
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use wire::{Ack, Down, Encoding, Joined, Problem, Split, Up, WireError, decode_post_json, decode_up};

use super::{Answer, HttpRead};
use crate::app::App;
use crate::http::{Refusal, Visit};
use crate::hub::{Batch, Next, Reader};
use crate::meter::{Count, Label};
use crate::net::{Gauge, Socket};

pub(super) const READ: HttpRead =
    HttpRead { parameters: &["after", "encoding", "token"], chunked: false, answer: read };

/// Room for a few posts; longer ones make it grow while they are read.
const READ_BUFFER_BYTES: usize = 1 << 10;
/// How long a client may take to answer our close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// A client's frame header (RFC 6455): two bytes, a mask, and for longer messages two more.
const CLIENT_HEADER_BYTES: u64 = 6;
const CLIENT_HEADER_BYTES_LONG: u64 = 8;
const SHORT_MESSAGE_BYTES_MAX: usize = 125;

fn read(visit: Visit) -> Answer {
    Box::pin(std::future::ready(upgrade(visit)))
}

fn upgrade(mut visit: Visit) -> Result<Response, Refusal> {
    let accept = check_handshake(&visit.request)?;
    let upgraded = hyper::upgrade::on(&mut visit.request);
    visit.app.tasks.clone().spawn(async move {
        let upgraded = match upgraded.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!(%error, "the client left during the upgrade"),
        };
        let Ok(parts) = upgraded.downcast::<TokioIo<Socket>>() else {
            return tracing::error!("an upgraded connection is not the socket that was accepted");
        };
        // Nothing of hyper's may live on here: its read buffer alone is larger than a session.
        let (socket, read_already) = (parts.io.into_inner(), parts.read_buf.to_vec());
        drop(parts.read_buf);
        let session = Session::new(visit, socket, read_already).await;
        session.run().await;
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Checks what RFC 6455 asks of the request, and derives the answer to its key.
fn check_handshake(request: &axum::extract::Request) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    let refuse = |status, field: &str, hint: &str| {
        let found = headers.get(field).and_then(|value| value.to_str().ok()).unwrap_or("");
        Refusal::new(status, Problem::new(field, found, "this is no WebSocket handshake", hint))
    };
    let upgrades =
        has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket");
    if !upgrades || request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(refuse(StatusCode::UPGRADE_REQUIRED, "upgrade", "connect with a WebSocket client"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refuse(StatusCode::UPGRADE_REQUIRED, "sec-websocket-version", "version 13 is spoken here"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let key = key.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "sec-websocket-key", "send 16 bytes in base64"))?;
    Ok(HeaderValue::from_str(&derive_accept_key(key.as_bytes())).expect("base64 is a header value"))
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

struct Session {
    app: Arc<App>,
    gauge: Arc<Gauge>,
    label: Label,
    reader: Reader,
    encoding: Encoding,
    ws: WebSocketStream<Socket>,
    /// Whether tungstenite has taken all that came.
    drained: bool,
    /// Whether anything came since the last ping.
    alive: bool,
}

/// Why a session ends.
enum End {
    /// We close it, with this code.
    Close(CloseCode, String),
    /// It is over already.
    Gone,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
                Self::Close(CloseCode::Size, format!("a message has at most {max_size} bytes"))
            }
            Error::Utf8(_) => Self::Close(CloseCode::Invalid, WireError::NotUtf8.to_string()),
            // Went away without a word, as clients do.
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Gone,
            Error::Protocol(error) => Self::Close(CloseCode::Protocol, error.to_string()),
            other => {
                tracing::debug!(error = %other, "a WebSocket ended");
                Self::Gone
            }
        }
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        tracing::debug!(%error, "a WebSocket ended");
        Self::Gone
    }
}

impl Session {
    async fn new(visit: Visit, socket: Socket, read_already: Vec<u8>) -> Self {
        let Visit { app, gauge, reader, encoding, .. } = visit;
        let message_bytes_max = crate::http::post_bytes_max(app.limits.message_bytes_max);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let ws = WebSocketStream::from_partially_read(socket, read_already, Role::Server, Some(config)).await;
        Self { app, label: gauge.label(), gauge, reader, encoding, ws, drained: false, alive: true }
    }

    async fn run(mut self) {
        let _held = self.ws.get_mut().hold();
        let end = match self.talk().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        if let End::Close(code, reason) = end {
            if code != CloseCode::Away {
                self.gauge.count(Count::Malformed);
            }
            let frame = CloseFrame { code, reason: reason.into() };
            let closing = async {
                let away = code == CloseCode::Away;
                self.ws.close(Some(frame)).await.ok();
                while let Some(Ok(message)) = self.ws.next().await {
                    // A client that posted before it heard us has posted; who comes back sees it without an acknowledgement.
                    if away && (message.is_text() || message.is_binary()) && self.publish(&message).is_err() {
                        break;
                    }
                }
                // After a bad frame tungstenite reads no more.
                self.ws.get_mut().linger().await.ok();
            };
            tokio::time::timeout(CLOSE_WAIT, closing).await.ok();
        }
    }

    async fn talk(&mut self) -> Result<std::convert::Infallible, End> {
        let after = self.reader.cursor();
        self.write(&Down::Joined(Joined { after })).await?;
        let heartbeat = self.app.limits.heartbeat;
        let ends = Instant::now() + self.app.limits.websocket_age;
        let mut beat = std::pin::pin!(sleep_until(ends.min(Instant::now() + heartbeat)));
        loop {
            tokio::select! {
                biased;
                next = self.reader.wait() => match next {
                    Next::Batch(batch) => self.deliver(batch).await?,
                    Next::Closed => return Err(End::Close(CloseCode::Away, "the server is going away".to_owned())),
                },
                incoming = poll_fn(|cx| poll_incoming(&mut self.ws, &mut self.drained, cx)) => {
                    self.alive = true;
                    self.take(incoming.ok_or(End::Gone)??).await?;
                }
                () = beat.as_mut() => {
                    let now = Instant::now();
                    if now >= ends {
                        return Err(End::Close(CloseCode::Away, "the connection is old enough".to_owned()));
                    }
                    beat.as_mut().reset(ends.min(now + heartbeat));
                    self.ping().await?;
                }
            }
        }
    }

    async fn deliver(&mut self, batch: Batch) -> Result<(), End> {
        self.gauge.deliver(self.label, &batch, 0);
        Ok(self.ws.get_mut().write_all(&batch.bytes).await?)
    }

    async fn take(&mut self, message: Message) -> Result<(), End> {
        match message {
            Message::Text(_) | Message::Binary(_) => {
                let ack = self.publish(&message)?;
                self.write(&Down::Ack(ack)).await
            }
            // tungstenite has made its answer; it must be gone before the next message frame.
            Message::Ping(_) | Message::Close(_) => Ok(self.ws.flush().await?),
            Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    /// Publishes the post a message holds.
    fn publish(&mut self, message: &Message) -> Result<Ack, End> {
        let post = match (message, self.encoding) {
            (Message::Text(text), Encoding::Json) => decode_post_json(text.as_bytes()).map_err(bad_message)?,
            (Message::Binary(bytes), Encoding::Binary) => match decode_up(bytes).map_err(bad_message)? {
                Up::Post(post) => post,
                Up::Join(_) => return Err(End::Close(CloseCode::Policy, "the room was joined by the URL".to_owned())),
            },
            _ => {
                let expected = format!("this connection was opened for {} messages", self.encoding.name());
                return Err(End::Close(CloseCode::Policy, expected));
            }
        };
        let payload = post.text.len();
        let max = self.app.limits.message_bytes_max;
        if payload > max {
            return Err(End::Close(CloseCode::Size, format!("a message has at most {max} bytes of text")));
        }
        let framing =
            if message.len() <= SHORT_MESSAGE_BYTES_MAX { CLIENT_HEADER_BYTES } else { CLIENT_HEADER_BYTES_LONG };
        let envelope = (message.len() - payload) as u64;
        self.gauge.meter().add_post(self.label, Split { payload: payload as u64, envelope, framing });
        let away = |_| End::Close(CloseCode::Away, "the server is going away".to_owned());
        let seq = self.reader.room().publish(&post).map_err(away)?;
        Ok(Ack { ordinal: post.ordinal, seq })
    }

    /// Writes an item that is this client's alone.
    async fn write(&mut self, item: &Down<'_>) -> Result<(), End> {
        let mut out = Vec::with_capacity(64);
        let split = self.reader.form().encode(item, &mut out);
        self.gauge.meter().add_batch(self.label, 0, 1, split);
        Ok(self.ws.get_mut().write_all(&out).await?)
    }

    async fn ping(&mut self) -> Result<(), End> {
        if !std::mem::take(&mut self.alive) {
            self.gauge.count(Count::TimedOut);
            return Err(End::Gone);
        }
        Ok(self.ws.send(Message::Ping(Bytes::new())).await?)
    }
}

/// The next message from the client. A session wakes for every delivery; tungstenite is asked only when something came.
fn poll_incoming(
    ws: &mut WebSocketStream<Socket>,
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

fn bad_message(error: WireError) -> End {
    let code = if error == WireError::NotUtf8 { CloseCode::Invalid } else { CloseCode::Policy };
    // A close frame has 125 bytes, two of them for the code.
    let reason: String = error.to_string().chars().take(100).collect();
    End::Close(code, reason)
}
