//! One chat client per transport behind one face, each made of somebody else's parts.

mod http;
mod json;
mod polling;
mod socketio;
mod stomp;
mod stream;
mod tcp;
mod websocket;

use wire::{Ack, Encoding, ErrorBody, Gap, Message, Reset, ServerItem, StartAt, Transport};

use crate::house::{House, within};

pub(crate) use http::read_refusal;

/// What a client asks for when it joins.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) transport: Transport,
    pub(crate) encoding: Encoding,
    pub(crate) room: String,
    pub(crate) start: StartAt,
    pub(crate) token: Option<String>,
    pub(crate) author: u32,
    /// Comes back to where it was: browsers say so in a header of their own.
    pub(crate) returns: bool,
    /// One connection a request.
    pub(crate) close_each: bool,
}

impl Wish {
    pub(crate) fn new(transport: Transport, room: &str) -> Self {
        Self {
            transport,
            encoding: transport.default_encoding(),
            room: room.to_owned(),
            start: StartAt::Live,
            token: None,
            author: transport.index() as u32,
            returns: false,
            close_each: false,
        }
    }

    /// Every transport in every encoding it has.
    pub(crate) fn all(room: &str) -> Vec<Self> {
        let pairs = Transport::ALL.into_iter().flat_map(|t| t.encodings().map(move |e| (t, e)));
        pairs.map(|(transport, encoding)| Self { encoding, ..Self::new(transport, room) }).collect()
    }

    pub(crate) fn after(self, seq: u64) -> Self {
        Self { start: StartAt::After(seq), ..self }
    }

    pub(crate) fn returning(self, seq: u64) -> Self {
        Self { returns: true, ..self.after(seq) }
    }

    pub(crate) async fn join(&self, house: &House) -> Client {
        self.try_join(house).await.unwrap_or_else(|refused| panic!("{self:?} was refused: {refused:?}"))
    }

    pub(crate) async fn try_join(&self, house: &House) -> Result<Client, Refused> {
        let joining = async {
            Ok(match self.transport {
                Transport::Tcp => Client::Tcp(tcp::Client::join(house, self).await?),
                Transport::Polling | Transport::LongPolling => {
                    Client::Polling(polling::Client::join(house, self).await?)
                }
                Transport::HttpStreaming | Transport::Sse => Client::Stream(stream::Client::join(house, self).await?),
                Transport::Websocket => Client::Websocket(Box::new(websocket::Client::join(house, self).await?)),
                Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => {
                    Client::Socketio(Box::new(socketio::Client::join(house, self).await?))
                }
                Transport::Stomp => Client::Stomp(Box::new(stomp::Client::join(house, self).await?)),
            })
        };
        within(&format!("an answer to {self:?}"), joining).await
    }

    fn path_query(&self) -> String {
        let mut query = vec![];
        if let (StartAt::After(seq), false) = (self.start, self.says_in_header()) {
            query.push(format!("after={seq}"));
        }
        if self.encoding != self.transport.default_encoding() {
            query.push(format!("encoding={}", self.encoding.name()));
        }
        if let Some(token) = &self.token {
            query.push(format!("token={token}"));
        }
        query.join("&")
    }

    fn says_in_header(&self) -> bool {
        self.returns && self.transport == Transport::Sse
    }
}

/// No, and why. `status` is what HTTP says; `tcp` only has the problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<String>,
    pub(crate) problem: ErrorBody,
}

/// What a client hears after it joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Message(Message<'static>),
    Gap(Gap),
    Reset(Reset),
    /// Nothing new, still here: a heart-beat, a ping, an empty answer.
    Beat,
    Ended(End),
}

/// How the server ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// tcp: said goodbye.
    Bye,
    /// The response came to its proper end.
    Complete,
    /// HTTP: an answer that is no messages.
    Status(u16),
    /// WebSocket: a close frame.
    Close(u16),
    Problem(ErrorBody),
    /// Cut off.
    Broken(String),
}

pub(crate) enum Client {
    Tcp(tcp::Client),
    Polling(polling::Client),
    Stream(stream::Client),
    Websocket(Box<websocket::Client>),
    Socketio(Box<socketio::Client>),
    Stomp(Box<stomp::Client>),
}

impl Client {
    /// Says something, and returns the place it got.
    pub(crate) async fn post(&mut self, text: &str) -> Ack {
        self.try_post(text).await.unwrap_or_else(|refused| panic!("a post was refused: {refused:?}"))
    }

    pub(crate) async fn try_post(&mut self, text: &str) -> Result<Ack, Refused> {
        let posting = async {
            match self {
                Self::Tcp(client) => client.post(text).await,
                Self::Polling(client) => client.poster.post(text).await,
                Self::Stream(client) => client.poster.post(text).await,
                Self::Websocket(client) => client.post(text).await,
                Self::Socketio(client) => client.post(text).await,
                Self::Stomp(client) => client.post(text).await,
            }
        };
        within("the answer to a post", posting).await
    }

    /// The next thing of any kind.
    pub(crate) async fn hear(&mut self) -> Heard {
        match self {
            Self::Tcp(client) => client.hear().await,
            Self::Polling(client) => client.hear().await,
            Self::Stream(client) => client.hear().await,
            Self::Websocket(client) => client.hear().await,
            Self::Socketio(client) => client.hear().await,
            Self::Stomp(client) => client.hear().await,
        }
    }

    /// The next thing that is not a beat.
    pub(crate) async fn next(&mut self) -> Heard {
        let what = format!("the next message behind {}", self.cursor());
        let next = async {
            loop {
                match self.hear().await {
                    Heard::Beat => {}
                    other => return other,
                }
            }
        };
        within(&what, next).await
    }

    pub(crate) async fn next_message(&mut self) -> Message<'static> {
        match self.next().await {
            Heard::Message(message) => message,
            other => panic!("a message was due, {other:?} came"),
        }
    }

    pub(crate) async fn next_messages(&mut self, count: usize) -> Vec<Message<'static>> {
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            messages.push(self.next_message().await);
        }
        messages
    }

    pub(crate) async fn next_beat(&mut self) {
        let heard = within("a heart-beat", self.hear()).await;
        assert_eq!(heard, Heard::Beat);
    }

    /// How the server ends it; what comes before is passed over.
    pub(crate) async fn end(&mut self) -> End {
        let end = async {
            loop {
                if let Heard::Ended(end) = self.hear().await {
                    return end;
                }
            }
        };
        within("the end", end).await
    }

    /// The last seq this client knows of.
    pub(crate) fn cursor(&self) -> u64 {
        match self {
            Self::Tcp(client) => client.cursor,
            Self::Polling(client) => client.cursor,
            Self::Stream(client) => client.cursor,
            Self::Websocket(client) => client.cursor,
            Self::Socketio(client) => client.cursor,
            Self::Stomp(client) => client.cursor,
        }
    }
}

/// What an item is to a client that has joined; `None` for those it waits for elsewhere.
fn heard(item: ServerItem<'_>, cursor: &mut u64) -> Option<Heard> {
    Some(match item {
        ServerItem::Message(message) => {
            *cursor = message.seq;
            Heard::Message(owned(message))
        }
        ServerItem::Gap(gap) => {
            *cursor = gap.to;
            Heard::Gap(gap)
        }
        ServerItem::Reset(reset) => {
            *cursor = 0;
            Heard::Reset(reset)
        }
        ServerItem::Heartbeat => Heard::Beat,
        ServerItem::Bye => Heard::Ended(End::Bye),
        ServerItem::Error(problem) => Heard::Ended(End::Problem(problem)),
        ServerItem::Ack(_) | ServerItem::Joined(_) => return None,
    })
}

fn owned(message: Message<'_>) -> Message<'static> {
    let Message { seq, author, ordinal, text } = message;
    Message { seq, author, ordinal, text: text.into_owned().into() }
}
