//! WebSocket: posts up with acknowledgements, shared pre-written frames down.

use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use wire::{Ack, ClientItem, Encoding, Joined, ServerItem, WireError, decode_post_json, decode_up};

use crate::http::{ReadEndpoint, ReadRequest, ResponseFuture, Subscriber, WebSocket, WebSocketEnd, upgrade};
use crate::hub::Next;

pub(super) const ENDPOINT: ReadEndpoint =
    ReadEndpoint { parameters: &["after", "encoding", "token"], chunked: false, answer: read };

fn read(visit: ReadRequest) -> ResponseFuture {
    Box::pin(std::future::ready(upgrade(visit, None, serve)))
}

async fn serve(subscriber: Subscriber, socket: WebSocket) {
    let mut session = WebsocketSession { subscriber, socket };
    let end = match session.run().await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    let WebsocketSession { subscriber, socket } = session;
    // A client that posted before it heard us has posted; who comes back sees it without an acknowledgement.
    let away = end.is_going_away();
    socket.close(end, |socket, message| !away || publish(&subscriber, socket, message).is_ok()).await;
}

struct WebsocketSession {
    subscriber: Subscriber,
    socket: WebSocket,
}

impl WebsocketSession {
    async fn run(&mut self) -> Result<std::convert::Infallible, WebSocketEnd> {
        let after = self.subscriber.reader.cursor();
        self.write(&ServerItem::Joined(Joined { after })).await?;
        let heartbeat = self.subscriber.state.limits.heartbeat;
        let ends = Instant::now() + self.subscriber.state.limits.websocket_age;
        let mut beat = std::pin::pin!(sleep_until(ends.min(Instant::now() + heartbeat)));
        loop {
            tokio::select! {
                biased;
                next = self.subscriber.reader.wait() => match next {
                    Next::Batch(batch) => self.socket.deliver(&batch).await?,
                    Next::Closed => return Err(WebSocketEnd::going_away()),
                },
                message = self.socket.next() => {
                    if let Some(message) = self.socket.handle_control_frame(message?).await? {
                        let ack = publish(&self.subscriber, &self.socket, &message)?;
                        self.write(&ServerItem::Ack(ack)).await?;
                    }
                }
                () = beat.as_mut() => {
                    let now = Instant::now();
                    if now >= ends {
                        return Err(WebSocketEnd::close(CloseCode::Away, "the connection is old enough"));
                    }
                    beat.as_mut().reset(ends.min(now + heartbeat));
                    self.socket.ping().await?;
                }
            }
        }
    }

    /// Writes an item that is this client's alone.
    async fn write(&mut self, item: &ServerItem<'_>) -> Result<(), WebSocketEnd> {
        let mut out = Vec::with_capacity(64);
        let split = self.subscriber.reader.framing().encode(item, &mut out);
        self.socket.write(&out, split).await
    }
}

/// Publishes the post a message holds.
fn publish(subscriber: &Subscriber, socket: &WebSocket, message: &Message) -> Result<Ack, WebSocketEnd> {
    let post = match (message, subscriber.encoding) {
        (Message::Text(text), Encoding::Json) => decode_post_json(text.as_bytes()).map_err(bad_message)?,
        (Message::Binary(bytes), Encoding::Binary) => match decode_up(bytes).map_err(bad_message)? {
            ClientItem::Post(post) => post,
            ClientItem::Join(_) => {
                return Err(WebSocketEnd::close(CloseCode::Policy, "the room was joined by the URL"));
            }
        },
        (_, encoding) => {
            let expected = format!("this connection was opened for {} messages", encoding.name());
            return Err(WebSocketEnd::close(CloseCode::Unsupported, &expected));
        }
    };
    let max = subscriber.state.limits.message_bytes_max;
    if post.text.len() > max {
        return Err(WebSocketEnd::close(CloseCode::Size, &format!("a message has at most {max} bytes of text")));
    }
    socket.count_post(post.text.len(), message.len(), 0);
    let seq = subscriber.reader.room().publish(&post).map_err(|_| WebSocketEnd::going_away())?;
    Ok(Ack { ordinal: post.ordinal, seq })
}

fn bad_message(error: WireError) -> WebSocketEnd {
    let code = if error == WireError::NotUtf8 { CloseCode::Invalid } else { CloseCode::Policy };
    WebSocketEnd::close(code, &error.to_string())
}
