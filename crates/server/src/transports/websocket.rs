//! WebSocket: posts and acknowledgements of one client, and frames that all clients of a room
//! share.

use std::future::poll_fn;

use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use wire::{Ack, ClientItem, Encoding, Joined, ServerItem, WireError, decode_post_json, decode_up};

use crate::connection::Timer;
use crate::http::{ReadEndpoint, ReadKind, Subscriber, WebSocket, WebSocketEnd, upgrade};
use crate::hub::{Next, Published, Taken};
use crate::refusal::answer_to_post;

pub(super) static ENDPOINT: ReadEndpoint = ReadEndpoint {
    parameters: &["after", "encoding", "token"],
    kind: ReadKind::WebSocket(|state, connection, read, request| {
        upgrade(state, connection, read, request, None, serve)
    }),
};

async fn serve(subscriber: Subscriber, websocket: WebSocket) {
    let mut session = WebSocketSession { subscriber, websocket };
    let end = match session.run().await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    let WebSocketSession { subscriber, websocket } = session;
    // Posts that the client sent before it has the close frame are accepted, without an
    // acknowledgement.
    let away = end.is_going_away();
    Box::pin(websocket.close(end, |websocket, message| {
        !away || publish(&subscriber, websocket, message).is_ok_and(|(_, taken)| taken.is_ok())
    }))
    .await;
}

struct WebSocketSession {
    subscriber: Subscriber,
    websocket: WebSocket,
}

impl WebSocketSession {
    async fn run(&mut self) -> Result<std::convert::Infallible, WebSocketEnd> {
        let after = self.subscriber.reader.cursor();
        self.write(&ServerItem::Joined(Joined { after })).await?;
        let heartbeat = self.subscriber.state.limits.heartbeat;
        let ends = Instant::now() + self.subscriber.state.limits.websocket_age;
        let sleep = std::pin::pin!(sleep_until(ends.min(Instant::now() + heartbeat)));
        let mut timer = Timer::new(sleep);
        loop {
            tokio::select! {
                biased;
                next = self.subscriber.reader.wait() => match next {
                    Next::Batch(batch) => self.websocket.deliver(&batch).await?,
                    Next::Closed => return Err(WebSocketEnd::going_away()),
                },
                message = self.websocket.next() => {
                    if let Some(message) = self.websocket.handle_control_frame(message?).await? {
                        let (ordinal, taken) = publish(&self.subscriber, &self.websocket, &message)?;
                        let item = match taken {
                            Ok(Published::At(seq)) => ServerItem::Ack(Ack { ordinal, seq }),
                            // Boxed, because every connection reserves memory for it.
                            soon => Box::pin(answer_to_post(ordinal, soon)).await.ok_or_else(WebSocketEnd::going_away)?,
                        };
                        self.write(&item).await?;
                    }
                }
                () = poll_fn(|cx| timer.poll(cx)) => {
                    let now = Instant::now();
                    if now >= ends {
                        return Err(WebSocketEnd::close(CloseCode::Away, "the connection has reached its maximum age"));
                    }
                    timer.reset(ends.min(now + heartbeat));
                    self.websocket.ping().await?;
                }
            }
        }
    }

    /// Writes an item for this client only.
    async fn write(&mut self, item: &ServerItem<'_>) -> Result<(), WebSocketEnd> {
        let mut out = Vec::with_capacity(64);
        let byte_counts = self.subscriber.reader.format().framing.encode(item, &mut out);
        self.websocket.write(&out, byte_counts).await
    }
}

/// Publishes the post of a message. Returns its ordinal.
fn publish(subscriber: &Subscriber, websocket: &WebSocket, message: &Message) -> Result<(u64, Taken), WebSocketEnd> {
    let post = match (message, subscriber.encoding) {
        (Message::Text(text), Encoding::Json) => decode_post_json(text.as_bytes()).map_err(bad_message)?,
        (Message::Binary(bytes), Encoding::Binary) => match decode_up(bytes).map_err(bad_message)? {
            ClientItem::Post(post) => post,
            ClientItem::Join(_) => {
                return Err(WebSocketEnd::close(
                    CloseCode::Policy,
                    "the room is named by the URL; a join is not expected",
                ));
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
    websocket.count_post(post.text.len(), message.len(), 0);
    Ok((post.ordinal, subscriber.reader.room().publish(&post)))
}

fn bad_message(error: WireError) -> WebSocketEnd {
    let code = if error == WireError::NotUtf8 { CloseCode::Invalid } else { CloseCode::Policy };
    WebSocketEnd::close(code, &error.to_string())
}
