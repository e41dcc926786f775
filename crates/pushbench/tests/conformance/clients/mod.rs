//! One chat client per transport behind one interface, each made of other libraries.

mod http;
mod json;
mod polling;
mod socketio;
mod stomp;
mod stream;
mod tcp;
mod websocket;

use wire::{Ack, Encoding, ErrorBody, Gap, Message, Reset, ServerItem, StartAt, Transport};

use crate::test_server::{TestServer, within};

pub(crate) use http::read_refusal;

/// How a client joins.
#[derive(Debug, Clone)]
pub(crate) struct ClientOptions {
    pub(crate) transport: Transport,
    pub(crate) encoding: Encoding,
    pub(crate) room: String,
    pub(crate) start: StartAt,
    pub(crate) token: Option<String>,
    pub(crate) author: u32,
    /// Resumes at its cursor. Browsers send it in a header.
    pub(crate) resumes: bool,
    /// A new connection for each request.
    pub(crate) close_each: bool,
}

impl ClientOptions {
    pub(crate) fn new(transport: Transport, room: &str) -> Self {
        Self {
            transport,
            encoding: transport.default_encoding(),
            room: room.to_owned(),
            start: StartAt::Live,
            token: None,
            author: transport.index() as u32,
            resumes: false,
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

    pub(crate) fn resuming(self, seq: u64) -> Self {
        Self { resumes: true, ..self.after(seq) }
    }

    pub(crate) async fn join(&self, server: &TestServer) -> Client {
        self.try_join(server).await.unwrap_or_else(|refused| panic!("{self:?} was refused: {refused:?}"))
    }

    pub(crate) async fn try_join(&self, server: &TestServer) -> Result<Client, Refused> {
        let joining = async {
            Ok(match self.transport {
                Transport::Tcp => Client::Tcp(tcp::Client::join(server, self).await?),
                Transport::Polling | Transport::LongPolling => {
                    Client::Polling(polling::Client::join(server, self).await?)
                }
                Transport::HttpStreaming | Transport::Sse => Client::Stream(stream::Client::join(server, self).await?),
                Transport::Websocket => Client::Websocket(Box::new(websocket::Client::join(server, self).await?)),
                Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => {
                    Client::Socketio(Box::new(socketio::Client::join(server, self).await?))
                }
                Transport::Stomp => Client::Stomp(Box::new(stomp::Client::join(server, self).await?)),
            })
        };
        within(&format!("an answer to {self:?}"), joining).await
    }

    fn path_query(&self) -> String {
        let mut query = vec![];
        if let (StartAt::After(seq), false) = (self.start, self.resumes_in_header()) {
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

    fn resumes_in_header(&self) -> bool {
        self.resumes && self.transport == Transport::Sse
    }
}

/// A refusal. `status` is that of HTTP; `tcp` has only the error body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<String>,
    pub(crate) error_body: ErrorBody,
}

/// What a client receives after the join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    Message(Message<'static>),
    Gap(Gap),
    Reset(Reset),
    /// A heartbeat, a ping or an empty response.
    Heartbeat,
    Ended(End),
}

/// How the server ended the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// tcp: the item `Bye`.
    Bye,
    /// The response ended completely.
    Complete,
    /// HTTP: a response without messages.
    Status(u16),
    /// WebSocket: a close frame.
    Close(u16),
    Problem(ErrorBody),
    /// The connection broke.
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
    /// Posts a text and returns its acknowledgement.
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

    /// The next item of any kind.
    pub(crate) async fn receive(&mut self) -> Received {
        match self {
            Self::Tcp(client) => client.receive().await,
            Self::Polling(client) => client.receive().await,
            Self::Stream(client) => client.receive().await,
            Self::Websocket(client) => client.receive().await,
            Self::Socketio(client) => client.receive().await,
            Self::Stomp(client) => client.receive().await,
        }
    }

    /// The next item that is not a heartbeat.
    pub(crate) async fn next(&mut self) -> Received {
        let what = format!("the next message behind {}", self.cursor());
        let next = async {
            loop {
                match self.receive().await {
                    Received::Heartbeat => {}
                    other => return other,
                }
            }
        };
        within(&what, next).await
    }

    pub(crate) async fn next_message(&mut self) -> Message<'static> {
        match self.next().await {
            Received::Message(message) => message,
            other => panic!("expected a message, received {other:?}"),
        }
    }

    pub(crate) async fn next_messages(&mut self, count: usize) -> Vec<Message<'static>> {
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            messages.push(self.next_message().await);
        }
        messages
    }

    pub(crate) async fn next_heartbeat(&mut self) {
        let received = within("a heart-beat", self.receive()).await;
        assert_eq!(received, Received::Heartbeat);
    }

    /// How the server ends the session. Skips earlier items.
    pub(crate) async fn end(&mut self) -> End {
        let end = async {
            loop {
                if let Received::Ended(end) = self.receive().await {
                    return end;
                }
            }
        };
        within("the end", end).await
    }

    /// The last sequence number this client knows.
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

/// The meaning of an item for a client that has joined, or `None` for items that it waits for
/// elsewhere.
fn received(item: ServerItem<'_>, cursor: &mut u64) -> Option<Received> {
    Some(match item {
        ServerItem::Message(message) => {
            *cursor = message.seq;
            Received::Message(owned(message))
        }
        ServerItem::Gap(gap) => {
            *cursor = gap.to;
            Received::Gap(gap)
        }
        ServerItem::Reset(reset) => {
            *cursor = 0;
            Received::Reset(reset)
        }
        ServerItem::Heartbeat => Received::Heartbeat,
        ServerItem::Bye => Received::Ended(End::Bye),
        ServerItem::Error(error_body) => Received::Ended(End::Problem(error_body)),
        ServerItem::Ack(_) | ServerItem::Joined(_) => return None,
    })
}

fn owned(message: Message<'_>) -> Message<'static> {
    let Message { seq, author, ordinal, text } = message;
    Message { seq, author, ordinal, text: text.into_owned().into() }
}
