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

use crate::http::{Answer, Caller, Channel, End, HttpRead, Refusal, Visit, check_text, upgrade};
use crate::hub::{Batch, Next};
use crate::meter::Count;

pub(super) const READ: HttpRead = HttpRead { parameters: &["after", "token"], chunked: false, answer: read };

fn read(visit: Visit) -> Answer {
    Box::pin(std::future::ready(upgrade(visit, Some(SUBPROTOCOL), serve)))
}

async fn serve(caller: Caller, channel: Channel) {
    let mut session = Session { caller, channel, connected: false, beats: false, subscription: None };
    let end = match session.talk().await {
        Ok(never) => match never {},
        Err(Over::Ended(end)) => end,
        // What is wrong is said in the protocol's own frame, and ends the connection.
        Err(Over::Wrong(refusal)) => session.tell(refusal).await,
    };
    session.channel.close(end, |_, _| true).await;
}

/// Why a session ends.
enum Over {
    Ended(End),
    /// The client did something wrong and is told.
    Wrong(Refusal),
}

impl From<End> for Over {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

impl From<Refusal> for Over {
    fn from(refusal: Refusal) -> Self {
        Self::Wrong(refusal)
    }
}

fn wrong(field: &str, found: &str, error: &str, hint: &str) -> Over {
    Over::Wrong(Refusal::bad(ErrorBody::new(field, found, error, hint)))
}

struct Session {
    caller: Caller,
    channel: Channel,
    connected: bool,
    /// Whether the client wants to hear from us. It may ask for less than it gets.
    beats: bool,
    /// The id the client gave it.
    subscription: Option<String>,
}

impl Session {
    async fn talk(&mut self) -> Result<Infallible, Over> {
        let heartbeat = self.caller.app.limits.heartbeat;
        let ends = Instant::now() + self.caller.app.limits.websocket_age;
        let closing = self.caller.app.closing.clone();
        let mut beat = std::pin::pin!(sleep(self.caller.app.limits.header_timeout));
        loop {
            tokio::select! {
                biased;
                next = self.caller.reader.wait(), if self.subscription.is_some() => match next {
                    Next::Batch(batch) => self.deliver(&batch).await?,
                    Next::Closed => return Err(End::away().into()),
                },
                message = self.channel.next() => {
                    let before = self.connected;
                    if let Some(message) = self.channel.settle(message?).await? {
                        self.take(message).await?;
                    }
                    if self.connected && !before {
                        beat.as_mut().reset(ends.min(Instant::now() + heartbeat));
                    }
                }
                () = beat.as_mut() => {
                    let now = Instant::now();
                    if self.connected && now >= ends {
                        return Err(End::close(CloseCode::Away, "the connection is old enough").into());
                    }
                    beat.as_mut().reset(ends.min(now + heartbeat));
                    self.beat().await?;
                }
                () = closing.cancelled(), if self.subscription.is_none() => return Err(End::away().into()),
            }
        }
    }

    async fn deliver(&mut self, batch: &Batch) -> Result<(), Over> {
        let id = self.subscription.as_deref().unwrap_or(DEFAULT_SUBSCRIPTION);
        if id == DEFAULT_SUBSCRIPTION {
            return Ok(self.channel.deliver(batch).await?);
        }
        let mut out = Vec::with_capacity(batch.bytes.len() * 2);
        let lines = batch.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let framing = lines.fold(0, |framing, line| {
            let item = decode_json(line).expect("our own items can be read");
            framing + encode_stomp(id, &item, &mut out) as u64
        });
        Ok(self.channel.deliver(&batch.reframed(out, framing)).await?)
    }

    async fn beat(&mut self) -> Result<(), Over> {
        if !self.connected {
            self.channel.count(Count::TimedOut);
            return Err(End::Gone.into());
        }
        if self.beats {
            let mut out = Vec::new();
            let framing = push_stomp_beat(&mut out) as u64;
            self.channel.write(&out, ByteCounts { framing, ..ByteCounts::default() }).await?;
        }
        // Not every client promises heart-beats; every one of them answers this.
        Ok(self.channel.ping().await?)
    }

    async fn take(&mut self, message: Message) -> Result<(), Over> {
        let bytes = message.into_data();
        let Ok(text) = std::str::from_utf8(&bytes) else {
            return Err(wrong("frame", "", "a frame is not UTF-8", "send text"));
        };
        let frame = StompFrame::parse(text)
            .map_err(|error| wrong("frame", text, &error.to_string(), "see the specification of STOMP 1.2"))?;
        let Some(frame) = frame else { return Ok(()) };
        match (frame.command, self.connected) {
            ("CONNECT" | "STOMP", false) => self.connect(&frame).await,
            (found, false) => Err(wrong("command", found, "a connection begins with CONNECT", "send it first")),
            ("SEND", true) => self.publish(&frame, text.len()).await,
            ("SUBSCRIBE", true) => self.subscribe(&frame).await,
            ("UNSUBSCRIBE", true) => {
                self.subscription = None;
                self.receipt(&frame, &[]).await
            }
            ("DISCONNECT", true) => {
                self.receipt(&frame, &[]).await?;
                Err(End::close(CloseCode::Normal, "goodbye").into())
            }
            (found, true) => {
                Err(wrong("command", found, "not spoken here", "there is SEND, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT"))
            }
        }
    }

    async fn connect(&mut self, frame: &StompFrame<'_>) -> Result<(), Over> {
        let versions = frame.header("accept-version").unwrap_or("1.0");
        if !versions.split(',').any(|version| version.trim() == "1.2") {
            return Err(wrong("accept-version", versions, "another version is spoken here", "ask for 1.2"));
        }
        let ours = self.caller.app.limits.heartbeat;
        let asked = frame.header("heart-beat").unwrap_or("0,0");
        let wanted = asked.split_once(',').and_then(|(_, wanted)| wanted.trim().parse::<u64>().ok());
        let wanted = wanted.ok_or_else(|| wrong("heart-beat", asked, "two whole numbers of ms", "write 0,0"))?;
        self.beats = wanted > 0;
        self.connected = true;
        let ms = ours.as_millis();
        let server = concat!("pushbench/", env!("CARGO_PKG_VERSION"));
        self.write("CONNECTED", &[("version", "1.2"), ("heart-beat", &format!("{ms},{ms}")), ("server", server)]).await
    }

    async fn subscribe(&mut self, frame: &StompFrame<'_>) -> Result<(), Over> {
        check_destination(frame)?;
        let id = frame.header("id").ok_or_else(|| wrong("id", "", "a subscription has an id", "give it one"))?;
        if self.subscription.is_some() {
            return Err(wrong("id", id, "a second subscription", "open another connection for another room"));
        }
        let after = self.caller.reader.cursor();
        // One before may have had another id.
        let form = if id == DEFAULT_SUBSCRIPTION { Framing::Stomp } else { Framing::JsonLines };
        if self.caller.reader.form() != form {
            let start = StartAt::After(after);
            let reader = self.caller.reader.room().reader(form.into(), start);
            self.caller.reader = reader.map_err(|ahead| Refusal::cursor_ahead(start, ahead))?;
        }
        self.subscription = Some(id.to_owned());
        self.receipt(frame, &[]).await?;
        let mut out = Vec::new();
        let framing = encode_stomp(id, &ServerItem::Joined(Joined { after }), &mut out);
        let split =
            ByteCounts { framing: framing as u64, envelope: (out.len() - framing) as u64, ..ByteCounts::default() };
        Ok(self.channel.write(&out, split).await?)
    }

    async fn publish(&mut self, frame: &StompFrame<'_>, message_bytes: usize) -> Result<(), Over> {
        check_destination(frame)?;
        let post = decode_post_json(frame.body.as_bytes()).map_err(|error| Refusal::bad_post(&error))?;
        check_text(&self.caller.app, post.text.len())?;
        self.channel.count_post(post.text.len(), message_bytes, message_bytes - frame.body.len());
        let seq = self.caller.reader.room().publish(&post).map_err(|_| End::away())?;
        self.receipt(frame, &[("seq", &seq.to_string())]).await
    }

    /// Says that a frame was taken, if its sender wants to know.
    async fn receipt(&mut self, frame: &StompFrame<'_>, more: &[(&str, &str)]) -> Result<(), Over> {
        let Some(id) = frame.header("receipt") else { return Ok(()) };
        let mut headers = vec![("receipt-id", id)];
        headers.extend_from_slice(more);
        self.write("RECEIPT", &headers).await
    }

    async fn write(&mut self, command: &str, headers: &[(&str, &str)]) -> Result<(), Over> {
        let mut out = Vec::with_capacity(128);
        let framing = push_stomp_frame(command, headers, &mut out) as u64;
        Ok(self.channel.write(&out, ByteCounts { framing, ..ByteCounts::default() }).await?)
    }

    /// Says what is wrong, and how the connection ends then.
    async fn tell(&mut self, refusal: Refusal) -> End {
        let problem = refusal.into_problem();
        let mut out = Vec::with_capacity(256);
        let item = ServerItem::Error(problem);
        let framing = encode_stomp("", &item, &mut out);
        let split =
            ByteCounts { framing: framing as u64, envelope: (out.len() - framing) as u64, ..ByteCounts::default() };
        if let Err(end) = self.channel.write(&out, split).await {
            return end;
        }
        End::close(CloseCode::Policy, "see the ERROR before")
    }
}

fn check_destination(frame: &StompFrame<'_>) -> Result<(), Over> {
    match frame.header("destination") {
        Some(DESTINATION) => Ok(()),
        other => {
            let hint = format!("the room is the URL's; write destination:{DESTINATION}");
            Err(wrong("destination", other.unwrap_or(""), "there is no such destination", &hint))
        }
    }
}
