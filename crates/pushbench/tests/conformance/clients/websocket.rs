//! `websocket`: tokio-tungstenite, in text (JSON) and in binary.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use wire::{Ack, ClientItem, Encoding, ErrorBody, Post, ServerItem, decode_down, encode_up};

use super::{ClientOptions, End, Received, Refused, json, received};
use crate::test_server::{Node, TestServer};

pub(crate) struct Client {
    pub(super) cursor: u64,
    ws: WebSocketStream<TcpStream>,
    encoding: Encoding,
    author: u32,
    ordinal: u64,
    received: VecDeque<Received>,
}

impl Client {
    pub(super) async fn join(server: &TestServer, options: &ClientOptions) -> Result<Self, Refused> {
        let [Node { http, .. }, _] = server.next_nodes();
        let socket = TcpStream::connect(http).await.unwrap();
        let url = format!("ws://{http}/rooms/{}/websocket?{}", options.room, options.path_query());
        let ws = match client_async(url, socket).await {
            Ok((ws, _)) => ws,
            Err(Error::Http(answer)) => {
                let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
                let body = answer.body().clone().unwrap_or_default();
                let error_body = if body.is_empty() { ErrorBody::new("", "", "", "") } else { json::error_body(&body) };
                return Err(Refused { status: Some(answer.status().as_u16()), retry_after, error_body });
            }
            Err(error) => panic!("no WebSocket: {error}"),
        };
        let (encoding, author) = (options.encoding, options.author);
        let mut client = Self { cursor: 0, ws, encoding, author, ordinal: 0, received: VecDeque::new() };
        let first = client.ws.next().await.unwrap().unwrap();
        match read(encoding, &first) {
            Some(ServerItem::Joined(joined)) => client.cursor = joined.after,
            other => panic!("the first message is the join, not {other:?}"),
        }
        Ok(client)
    }

    pub(super) async fn post(&mut self, text: &str) -> Result<Ack, Refused> {
        self.ordinal += 1;
        let message = match self.encoding {
            Encoding::Json => Message::text(json::post(self.author, self.ordinal, text)),
            Encoding::Binary => {
                let mut out = Vec::new();
                let post = Post { author: self.author, ordinal: self.ordinal, text: text.into() };
                encode_up(&ClientItem::Post(post), &mut out);
                Message::binary(out)
            }
        };
        self.ws.send(message).await.unwrap();
        loop {
            let message = self.ws.next().await.expect("an answer to a post").unwrap();
            if let Message::Close(Some(frame)) = &message {
                let error_body = ErrorBody::new("close", &u16::from(frame.code).to_string(), frame.reason.as_str(), "");
                return Err(Refused { status: None, retry_after: None, error_body });
            }
            match read(self.encoding, &message) {
                Some(ServerItem::Ack(ack)) if ack.ordinal == self.ordinal => return Ok(ack),
                item => self.received.extend(item.and_then(|item| received(item, &mut self.cursor))),
            }
        }
    }

    pub(super) async fn receive(&mut self) -> Received {
        loop {
            if let Some(received) = self.received.pop_front() {
                return received;
            }
            let message = match self.ws.next().await {
                None => return Received::Ended(End::Broken("closed without a close frame".to_owned())),
                Some(Err(error)) => return Received::Ended(End::Broken(error.to_string())),
                Some(Ok(message)) => message,
            };
            if let Message::Close(frame) = message {
                // Sends the client's half of the closing handshake.
                while self.ws.next().await.is_some() {}
                let code = frame.map_or(1005, |frame| u16::from(frame.code));
                return Received::Ended(End::Close(code));
            }
            self.received.extend(read(self.encoding, &message).and_then(|item| received(item, &mut self.cursor)));
        }
    }
}

fn read(encoding: Encoding, message: &Message) -> Option<ServerItem<'_>> {
    match (encoding, message) {
        (Encoding::Json, Message::Text(text)) => Some(json::item(text.as_bytes())),
        (Encoding::Binary, Message::Binary(bytes)) => Some(decode_down(bytes).unwrap()),
        // The answer is sent with the next read.
        (_, Message::Ping(_)) => Some(ServerItem::Heartbeat),
        (_, Message::Pong(_)) => None,
        (encoding, other) => panic!("{other:?} on a connection opened for {}", encoding.name()),
    }
}
