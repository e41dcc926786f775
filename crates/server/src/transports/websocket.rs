//! WebSocket: posts up with acknowledgements, shared pre-written frames down.

use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use wire::{Ack, ClientItem, Encoding, Joined, ServerItem, WireError, decode_post_json, decode_up};

use crate::http::{Answer, Caller, Channel, End, HttpRead, Visit, upgrade};
use crate::hub::Next;

pub(super) const READ: HttpRead =
    HttpRead { parameters: &["after", "encoding", "token"], chunked: false, answer: read };

fn read(visit: Visit) -> Answer {
    Box::pin(std::future::ready(upgrade(visit, None, serve)))
}

async fn serve(caller: Caller, channel: Channel) {
    let mut session = Session { caller, channel };
    let end = match session.talk().await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    let Session { caller, channel } = session;
    // A client that posted before it heard us has posted; who comes back sees it without an acknowledgement.
    let away = end.is_away();
    channel.close(end, |channel, message| !away || publish(&caller, channel, message).is_ok()).await;
}

struct Session {
    caller: Caller,
    channel: Channel,
}

impl Session {
    async fn talk(&mut self) -> Result<std::convert::Infallible, End> {
        let after = self.caller.reader.cursor();
        self.write(&ServerItem::Joined(Joined { after })).await?;
        let heartbeat = self.caller.app.limits.heartbeat;
        let ends = Instant::now() + self.caller.app.limits.websocket_age;
        let mut beat = std::pin::pin!(sleep_until(ends.min(Instant::now() + heartbeat)));
        loop {
            tokio::select! {
                biased;
                next = self.caller.reader.wait() => match next {
                    Next::Batch(batch) => self.channel.deliver(&batch).await?,
                    Next::Closed => return Err(End::away()),
                },
                message = self.channel.next() => {
                    if let Some(message) = self.channel.settle(message?).await? {
                        let ack = publish(&self.caller, &self.channel, &message)?;
                        self.write(&ServerItem::Ack(ack)).await?;
                    }
                }
                () = beat.as_mut() => {
                    let now = Instant::now();
                    if now >= ends {
                        return Err(End::close(CloseCode::Away, "the connection is old enough"));
                    }
                    beat.as_mut().reset(ends.min(now + heartbeat));
                    self.channel.ping().await?;
                }
            }
        }
    }

    /// Writes an item that is this client's alone.
    async fn write(&mut self, item: &ServerItem<'_>) -> Result<(), End> {
        let mut out = Vec::with_capacity(64);
        let split = self.caller.reader.form().encode(item, &mut out);
        self.channel.write(&out, split).await
    }
}

/// Publishes the post a message holds.
fn publish(caller: &Caller, channel: &Channel, message: &Message) -> Result<Ack, End> {
    let post = match (message, caller.encoding) {
        (Message::Text(text), Encoding::Json) => decode_post_json(text.as_bytes()).map_err(bad_message)?,
        (Message::Binary(bytes), Encoding::Binary) => match decode_up(bytes).map_err(bad_message)? {
            ClientItem::Post(post) => post,
            ClientItem::Join(_) => return Err(End::close(CloseCode::Policy, "the room was joined by the URL")),
        },
        (_, encoding) => {
            let expected = format!("this connection was opened for {} messages", encoding.name());
            return Err(End::close(CloseCode::Unsupported, &expected));
        }
    };
    let max = caller.app.limits.message_bytes_max;
    if post.text.len() > max {
        return Err(End::close(CloseCode::Size, &format!("a message has at most {max} bytes of text")));
    }
    channel.count_post(post.text.len(), message.len(), 0);
    let seq = caller.reader.room().publish(&post).map_err(|_| End::away())?;
    Ok(Ack { ordinal: post.ordinal, seq })
}

fn bad_message(error: WireError) -> End {
    let code = if error == WireError::NotUtf8 { CloseCode::Invalid } else { CloseCode::Policy };
    End::close(code, &error.to_string())
}
