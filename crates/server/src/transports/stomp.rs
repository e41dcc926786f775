//! STOMP 1.2 over WebSocket: CONNECT, SUBSCRIBE, SEND; a MESSAGE an item, written once for all whose subscription has the usual id.
//!
//! The room is the URL's, as for `websocket`, and so are the cursor and the token; [`wire::stomp::DESTINATION`] is all there is in it.

use std::convert::Infallible;

use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use wire::stomp::{
    DEFAULT_SUBSCRIPTION, DESTINATION, SUBPROTOCOL, StompFrame, encode_stomp, push_stomp_beat, push_stomp_frame,
};
use wire::{ByteCounts, ErrorBody, Framing, Joined, ServerItem, StartAt, decode_json, decode_post_json};

use crate::counters::Counter;
use crate::http::{
    ReadEndpoint, ReadRequest, Refusal, ResponseFuture, Subscriber, WebSocket, WebSocketEnd, check_text, upgrade,
};
use crate::hub::{Batch, Next};

pub(super) const ENDPOINT: ReadEndpoint =
    ReadEndpoint { parameters: &["after", "token"], chunked: false, answer: read };

fn read(visit: ReadRequest) -> ResponseFuture {
    Box::pin(std::future::ready(upgrade(visit, Some(SUBPROTOCOL), serve)))
}

async fn serve(subscriber: Subscriber, socket: WebSocket) {
    let mut session =
        StompSession { subscriber, socket, connected: false, wants_heartbeats: false, subscription: None };
    let end = match session.run().await {
        Ok(never) => match never {},
        Err(StompEnd::Ended(end)) => end,
        // What is wrong is said in the protocol's own frame, and ends the connection.
        Err(StompEnd::Refused(refusal)) => session.send_error(refusal).await,
    };
    session.socket.close(end, |_, _| true).await;
}

/// Why a session ends.
enum StompEnd {
    Ended(WebSocketEnd),
    /// The client did something wrong and is told.
    Refused(Refusal),
}

impl From<WebSocketEnd> for StompEnd {
    fn from(end: WebSocketEnd) -> Self {
        Self::Ended(end)
    }
}

impl From<Refusal> for StompEnd {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn refused(field: &str, found: &str, error: &str, hint: &str) -> StompEnd {
    StompEnd::Refused(Refusal::bad(ErrorBody::new(field, found, error, hint)))
}

struct StompSession {
    subscriber: Subscriber,
    socket: WebSocket,
    connected: bool,
    /// Whether the client wants to hear from us. It may ask for less than it gets.
    wants_heartbeats: bool,
    /// The id the client gave it.
    subscription: Option<String>,
}

impl StompSession {
    async fn run(&mut self) -> Result<Infallible, StompEnd> {
        let heartbeat = self.subscriber.state.limits.heartbeat;
        let ends = Instant::now() + self.subscriber.state.limits.websocket_age;
        let closing = self.subscriber.state.closing.clone();
        let mut beat = std::pin::pin!(sleep(self.subscriber.state.limits.header_timeout));
        loop {
            tokio::select! {
                biased;
                next = self.subscriber.reader.wait(), if self.subscription.is_some() => match next {
                    Next::Batch(batch) => self.deliver(&batch).await?,
                    Next::Closed => return Err(WebSocketEnd::going_away().into()),
                },
                message = self.socket.next() => {
                    let before = self.connected;
                    if let Some(message) = self.socket.handle_control_frame(message?).await? {
                        self.receive(message).await?;
                    }
                    if self.connected && !before {
                        beat.as_mut().reset(ends.min(Instant::now() + heartbeat));
                    }
                }
                () = beat.as_mut() => {
                    let now = Instant::now();
                    if self.connected && now >= ends {
                        return Err(WebSocketEnd::close(CloseCode::Away, "the connection is old enough").into());
                    }
                    beat.as_mut().reset(ends.min(now + heartbeat));
                    self.heartbeat().await?;
                }
                () = closing.cancelled(), if self.subscription.is_none() => return Err(WebSocketEnd::going_away().into()),
            }
        }
    }

    async fn deliver(&mut self, batch: &Batch) -> Result<(), StompEnd> {
        let id = self.subscription.as_deref().unwrap_or(DEFAULT_SUBSCRIPTION);
        if id == DEFAULT_SUBSCRIPTION {
            return Ok(self.socket.deliver(batch).await?);
        }
        let mut out = Vec::with_capacity(batch.bytes.len() * 2);
        let lines = batch.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let framing = lines.fold(0, |framing, line| {
            let item = decode_json(line).expect("our own items can be read");
            framing + encode_stomp(id, &item, &mut out) as u64
        });
        Ok(self.socket.deliver(&batch.reframed(out, framing)).await?)
    }

    async fn heartbeat(&mut self) -> Result<(), StompEnd> {
        if !self.connected {
            self.socket.count(Counter::TimedOut);
            return Err(WebSocketEnd::Disconnected.into());
        }
        if self.wants_heartbeats {
            let mut out = Vec::new();
            let framing = push_stomp_beat(&mut out) as u64;
            self.socket.write(&out, ByteCounts { framing, ..ByteCounts::default() }).await?;
        }
        // Not every client promises heart-beats; every one of them answers this.
        Ok(self.socket.ping().await?)
    }

    async fn receive(&mut self, message: Message) -> Result<(), StompEnd> {
        let bytes = message.into_data();
        let Ok(text) = std::str::from_utf8(&bytes) else {
            return Err(refused("frame", "", "a frame is not UTF-8", "send text"));
        };
        let frame = StompFrame::parse(text)
            .map_err(|error| refused("frame", text, &error.to_string(), "see the specification of STOMP 1.2"))?;
        let Some(frame) = frame else { return Ok(()) };
        match (frame.command, self.connected) {
            ("CONNECT" | "STOMP", false) => self.connect(&frame).await,
            (found, false) => Err(refused("command", found, "a connection begins with CONNECT", "send it first")),
            ("SEND", true) => self.publish(&frame, text.len()).await,
            ("SUBSCRIBE", true) => self.subscribe(&frame).await,
            ("UNSUBSCRIBE", true) => {
                self.subscription = None;
                self.receipt(&frame, &[]).await
            }
            ("DISCONNECT", true) => {
                self.receipt(&frame, &[]).await?;
                Err(WebSocketEnd::close(CloseCode::Normal, "goodbye").into())
            }
            (found, true) => {
                Err(refused("command", found, "not spoken here", "there is SEND, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT"))
            }
        }
    }

    async fn connect(&mut self, frame: &StompFrame<'_>) -> Result<(), StompEnd> {
        let versions = frame.header("accept-version").unwrap_or("1.0");
        if !versions.split(',').any(|version| version.trim() == "1.2") {
            return Err(refused("accept-version", versions, "another version is spoken here", "ask for 1.2"));
        }
        let ours = self.subscriber.state.limits.heartbeat;
        let asked = frame.header("heart-beat").unwrap_or("0,0");
        let wanted = asked.split_once(',').and_then(|(_, wanted)| wanted.trim().parse::<u64>().ok());
        let wanted = wanted.ok_or_else(|| refused("heart-beat", asked, "two whole numbers of ms", "write 0,0"))?;
        self.wants_heartbeats = wanted > 0;
        self.connected = true;
        let ms = ours.as_millis();
        let server = concat!("pushbench/", env!("CARGO_PKG_VERSION"));
        self.write("CONNECTED", &[("version", "1.2"), ("heart-beat", &format!("{ms},{ms}")), ("server", server)]).await
    }

    async fn subscribe(&mut self, frame: &StompFrame<'_>) -> Result<(), StompEnd> {
        check_destination(frame)?;
        let id = frame.header("id").ok_or_else(|| refused("id", "", "a subscription has an id", "give it one"))?;
        if self.subscription.is_some() {
            return Err(refused("id", id, "a second subscription", "open another connection for another room"));
        }
        let after = self.subscriber.reader.cursor();
        // One before may have had another id.
        let framing = if id == DEFAULT_SUBSCRIPTION { Framing::Stomp } else { Framing::JsonLines };
        if self.subscriber.reader.framing() != framing {
            let start = StartAt::After(after);
            let reader = self.subscriber.reader.room().reader(framing.into(), start);
            self.subscriber.reader = reader.map_err(|ahead| Refusal::cursor_ahead(start, ahead))?;
        }
        self.subscription = Some(id.to_owned());
        self.receipt(frame, &[]).await?;
        let mut out = Vec::new();
        let framing = encode_stomp(id, &ServerItem::Joined(Joined { after }), &mut out);
        let split =
            ByteCounts { framing: framing as u64, envelope: (out.len() - framing) as u64, ..ByteCounts::default() };
        Ok(self.socket.write(&out, split).await?)
    }

    async fn publish(&mut self, frame: &StompFrame<'_>, message_bytes: usize) -> Result<(), StompEnd> {
        check_destination(frame)?;
        let post = decode_post_json(frame.body.as_bytes()).map_err(|error| Refusal::bad_post(&error))?;
        check_text(&self.subscriber.state, post.text.len())?;
        self.socket.count_post(post.text.len(), message_bytes, message_bytes - frame.body.len());
        let seq = self.subscriber.reader.room().publish(&post).map_err(|_| WebSocketEnd::going_away())?;
        self.receipt(frame, &[("seq", &seq.to_string())]).await
    }

    /// Says that a frame was taken, if its sender wants to know.
    async fn receipt(&mut self, frame: &StompFrame<'_>, more: &[(&str, &str)]) -> Result<(), StompEnd> {
        let Some(id) = frame.header("receipt") else { return Ok(()) };
        let mut headers = vec![("receipt-id", id)];
        headers.extend_from_slice(more);
        self.write("RECEIPT", &headers).await
    }

    async fn write(&mut self, command: &str, headers: &[(&str, &str)]) -> Result<(), StompEnd> {
        let mut out = Vec::with_capacity(128);
        let framing = push_stomp_frame(command, headers, &mut out) as u64;
        Ok(self.socket.write(&out, ByteCounts { framing, ..ByteCounts::default() }).await?)
    }

    /// Says what is wrong, and how the connection ends then.
    async fn send_error(&mut self, refusal: Refusal) -> WebSocketEnd {
        let problem = refusal.into_body();
        let mut out = Vec::with_capacity(256);
        let item = ServerItem::Error(problem);
        let framing = encode_stomp("", &item, &mut out);
        let split =
            ByteCounts { framing: framing as u64, envelope: (out.len() - framing) as u64, ..ByteCounts::default() };
        if let Err(end) = self.socket.write(&out, split).await {
            return end;
        }
        WebSocketEnd::close(CloseCode::Policy, "see the ERROR before")
    }
}

fn check_destination(frame: &StompFrame<'_>) -> Result<(), StompEnd> {
    match frame.header("destination") {
        Some(DESTINATION) => Ok(()),
        other => {
            let hint = format!("the room is the URL's; write destination:{DESTINATION}");
            Err(refused("destination", other.unwrap_or(""), "there is no such destination", &hint))
        }
    }
}
