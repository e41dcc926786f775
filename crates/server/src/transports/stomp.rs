//! STOMP 1.2 over WebSocket: CONNECT, SUBSCRIBE, SEND, and a MESSAGE for each item.
//!
//! Clients whose subscription has the default id share their frames. Room, cursor and token are in
//! the URL, as for `websocket`. [`wire::stomp::DESTINATION`] is the only destination.

use std::convert::Infallible;

use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use wire::stomp::{
    DEFAULT_SUBSCRIPTION, DESTINATION, SUBPROTOCOL, StompFrame, encode_stomp, push_stomp_beat, push_stomp_frame,
};
use wire::{ByteCounts, ErrorBody, Framing, Joined, ServerItem, StartAt, decode_json, decode_post_json};

use crate::counters::Counter;
use crate::http::{ReadEndpoint, ReadKind, Subscriber, WebSocket, WebSocketEnd, check_text, upgrade};
use crate::hub::{Batch, Next, NotTaken};
use crate::refusal::Refusal;

pub(super) static ENDPOINT: ReadEndpoint = ReadEndpoint {
    parameters: &["after", "token"],
    kind: ReadKind::WebSocket(|state, connection, read, request| {
        upgrade(state, connection, read, request, Some(SUBPROTOCOL), serve)
    }),
};

async fn serve(subscriber: Subscriber, websocket: WebSocket) {
    let mut session =
        StompSession { subscriber, websocket, connected: false, wants_heartbeats: false, subscription: None };
    let end = match session.run().await {
        Ok(never) => match never {},
        Err(StompEnd::Ended(end)) => end,
        // An ERROR frame ends the connection.
        Err(StompEnd::Refused(refusal)) => session.send_error(refusal).await,
    };
    Box::pin(session.websocket.close(end, |_, _| true)).await;
}

/// Why a session ends.
enum StompEnd {
    Ended(WebSocketEnd),
    /// The client gets an ERROR frame.
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
    StompEnd::Refused(Refusal::bad_request(ErrorBody::new(field, found, error, hint)))
}

struct StompSession {
    subscriber: Subscriber,
    websocket: WebSocket,
    connected: bool,
    /// Whether the client asked for heartbeats. It gets them at the server's interval.
    wants_heartbeats: bool,
    /// Its id.
    subscription: Option<String>,
}

impl StompSession {
    async fn run(&mut self) -> Result<Infallible, StompEnd> {
        let heartbeat = self.subscriber.state.limits.heartbeat;
        let ends = Instant::now() + self.subscriber.state.limits.websocket_age;
        let closing = self.subscriber.state.closing.clone();
        let mut timer = std::pin::pin!(sleep(self.subscriber.state.limits.header_timeout));
        loop {
            tokio::select! {
                biased;
                next = self.subscriber.reader.wait(), if self.subscription.is_some() => match next {
                    Next::Batch(batch) => self.deliver(&batch).await?,
                    Next::Closed => return Err(WebSocketEnd::going_away().into()),
                },
                message = self.websocket.next() => {
                    let before = self.connected;
                    if let Some(message) = self.websocket.handle_control_frame(message?).await? {
                        self.receive(message).await?;
                    }
                    if self.connected && !before {
                        timer.as_mut().reset(ends.min(Instant::now() + heartbeat));
                    }
                }
                () = timer.as_mut() => {
                    let now = Instant::now();
                    if self.connected && now >= ends {
                        return Err(WebSocketEnd::close(CloseCode::Away, "the connection has reached its maximum age").into());
                    }
                    timer.as_mut().reset(ends.min(now + heartbeat));
                    self.heartbeat().await?;
                }
                () = closing.cancelled(), if self.subscription.is_none() => return Err(WebSocketEnd::going_away().into()),
            }
        }
    }

    async fn deliver(&mut self, batch: &Batch) -> Result<(), StompEnd> {
        let id = self.subscription.as_deref().unwrap_or(DEFAULT_SUBSCRIPTION);
        if id == DEFAULT_SUBSCRIPTION {
            return Ok(self.websocket.deliver(batch).await?);
        }
        let mut out = Vec::with_capacity(batch.bytes.len() * 2);
        let lines = batch.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let framing = lines.fold(0, |framing, line| {
            let item = decode_json(line).expect("the log holds valid items");
            framing + encode_stomp(id, &item, &mut out) as u64
        });
        Ok(self.websocket.deliver(&batch.reframed(out, framing)).await?)
    }

    async fn heartbeat(&mut self) -> Result<(), StompEnd> {
        if !self.connected {
            self.websocket.count(Counter::TimedOut);
            return Err(WebSocketEnd::Disconnected.into());
        }
        if self.wants_heartbeats {
            let mut out = Vec::new();
            let framing = push_stomp_beat(&mut out) as u64;
            self.websocket.write(&out, ByteCounts { framing, ..ByteCounts::default() }).await?;
        }
        // A client may promise no heartbeats of its own, but every client answers a ping.
        Ok(self.websocket.ping().await?)
    }

    async fn receive(&mut self, message: Message) -> Result<(), StompEnd> {
        let bytes = message.into_data();
        let Ok(text) = std::str::from_utf8(&bytes) else {
            return Err(refused("frame", "", "the frame is not UTF-8", "send text in UTF-8"));
        };
        let frame = StompFrame::parse(text)
            .map_err(|error| refused("frame", text, &error.to_string(), "see the specification of STOMP 1.2"))?;
        let Some(frame) = frame else { return Ok(()) };
        match (frame.command, self.connected) {
            ("CONNECT" | "STOMP", false) => self.connect(&frame).await,
            (found, false) => Err(refused("command", found, "the first frame must be CONNECT", "send CONNECT first")),
            ("SEND", true) => self.publish(&frame, text.len()).await,
            ("SUBSCRIBE", true) => self.subscribe(&frame).await,
            ("UNSUBSCRIBE", true) => {
                self.subscription = None;
                self.receipt(&frame, &[]).await
            }
            ("DISCONNECT", true) => {
                self.receipt(&frame, &[]).await?;
                Err(WebSocketEnd::close(CloseCode::Normal, "disconnected").into())
            }
            (found, true) => Err(refused(
                "command",
                found,
                "this command is not supported",
                "use SEND, SUBSCRIBE, UNSUBSCRIBE or DISCONNECT",
            )),
        }
    }

    async fn connect(&mut self, frame: &StompFrame<'_>) -> Result<(), StompEnd> {
        let versions = frame.header("accept-version").unwrap_or("1.0");
        if !versions.split(',').any(|version| version.trim() == "1.2") {
            return Err(refused("accept-version", versions, "version 1.2 is not among them", "offer version 1.2"));
        }
        let ours = self.subscriber.state.limits.heartbeat;
        let asked = frame.header("heart-beat").unwrap_or("0,0");
        let wanted = asked.split_once(',').and_then(|(_, wanted)| wanted.trim().parse::<u64>().ok());
        let wanted =
            wanted.ok_or_else(|| refused("heart-beat", asked, "not two whole numbers of milliseconds", "send 0,0"))?;
        self.wants_heartbeats = wanted > 0;
        self.connected = true;
        let ms = ours.as_millis();
        let server = concat!("pushbench/", env!("CARGO_PKG_VERSION"));
        self.write("CONNECTED", &[("version", "1.2"), ("heart-beat", &format!("{ms},{ms}")), ("server", server)]).await
    }

    async fn subscribe(&mut self, frame: &StompFrame<'_>) -> Result<(), StompEnd> {
        check_destination(frame)?;
        let id =
            frame.header("id").ok_or_else(|| refused("id", "", "a subscription needs an id", "add the header id"))?;
        if self.subscription.is_some() {
            return Err(refused(
                "id",
                id,
                "the connection has a subscription already",
                "open another connection for another room",
            ));
        }
        let after = self.subscriber.reader.cursor();
        // An earlier subscription may have had another id.
        let framing = if id == DEFAULT_SUBSCRIPTION { Framing::Stomp } else { Framing::JsonLines };
        if self.subscriber.reader.format().framing != framing {
            let start = StartAt::After(after);
            let reader = self.subscriber.reader.room().reader(framing.into(), start);
            self.subscriber.reader = reader.map_err(|ahead| Refusal::cursor_ahead(start, ahead))?;
        }
        self.subscription = Some(id.to_owned());
        self.receipt(frame, &[]).await?;
        let mut out = Vec::new();
        let framing = encode_stomp(id, &ServerItem::Joined(Joined { after }), &mut out);
        let byte_counts =
            ByteCounts { framing: framing as u64, envelope: (out.len() - framing) as u64, ..ByteCounts::default() };
        Ok(self.websocket.write(&out, byte_counts).await?)
    }

    async fn publish(&mut self, frame: &StompFrame<'_>, message_bytes: usize) -> Result<(), StompEnd> {
        check_destination(frame)?;
        let post = decode_post_json(frame.body.as_bytes()).map_err(|error| Refusal::bad_post(&error))?;
        check_text(&self.subscriber.state, post.text.len())?;
        self.websocket.count_post(post.text.len(), message_bytes, message_bytes - frame.body.len());
        let taken = match self.subscriber.reader.room().publish(&post) {
            Ok(published) => published.seq().await,
            Err(not_taken) => Err(not_taken),
        };
        let seq = taken.map_err(|not_taken| match not_taken {
            NotTaken::Closed => StompEnd::from(WebSocketEnd::going_away()),
            NotTaken::Away => StompEnd::Refused(Refusal::log_away()),
        })?;
        self.receipt(frame, &[("seq", &seq.to_string())]).await
    }

    /// Sends a RECEIPT if the frame asks for one.
    async fn receipt(&mut self, frame: &StompFrame<'_>, more: &[(&str, &str)]) -> Result<(), StompEnd> {
        let Some(id) = frame.header("receipt") else { return Ok(()) };
        let mut headers = vec![("receipt-id", id)];
        headers.extend_from_slice(more);
        self.write("RECEIPT", &headers).await
    }

    async fn write(&mut self, command: &str, headers: &[(&str, &str)]) -> Result<(), StompEnd> {
        let mut out = Vec::with_capacity(128);
        let framing = push_stomp_frame(command, headers, &mut out) as u64;
        Ok(self.websocket.write(&out, ByteCounts { framing, ..ByteCounts::default() }).await?)
    }

    /// Sends an ERROR frame. Returns how the connection ends.
    async fn send_error(&mut self, refusal: Refusal) -> WebSocketEnd {
        let mut out = Vec::with_capacity(256);
        let item = ServerItem::Error(refusal.body);
        let framing = encode_stomp("", &item, &mut out);
        let byte_counts =
            ByteCounts { framing: framing as u64, envelope: (out.len() - framing) as u64, ..ByteCounts::default() };
        if let Err(end) = self.websocket.write(&out, byte_counts).await {
            return end;
        }
        WebSocketEnd::close(CloseCode::Policy, "see the ERROR frame")
    }
}

fn check_destination(frame: &StompFrame<'_>) -> Result<(), StompEnd> {
    match frame.header("destination") {
        Some(DESTINATION) => Ok(()),
        other => {
            let hint = format!("the URL names the room; use destination:{DESTINATION}");
            Err(refused("destination", other.unwrap_or(""), "unknown destination", &hint))
        }
    }
}
