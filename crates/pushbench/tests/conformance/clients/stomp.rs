//! `stomp`: hand-written frames on tokio-tungstenite.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use wire::{Ack, ErrorBody};

use super::{ClientOptions, End, Received, Refused, json, received};
use crate::test_server::{Node, TestServer};

/// Clients so far.
static JOINED: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Client {
    pub(super) cursor: u64,
    ws: WebSocketStream<TcpStream>,
    author: u32,
    ordinal: u64,
    received: VecDeque<Received>,
}

/// A parsed frame.
#[derive(Debug, Default)]
struct Frame {
    command: String,
    headers: HashMap<String, String>,
    body: String,
}

fn parse(text: &str) -> Frame {
    if text == "\n" {
        return Frame::default();
    }
    let (head, body) = text.strip_suffix('\0').unwrap().split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let command = lines.next().unwrap().to_owned();
    let headers =
        lines.map(|line| line.split_once(':').unwrap()).map(|(key, value)| (key.to_owned(), value.to_owned()));
    Frame { command, headers: headers.collect(), body: body.to_owned() }
}

impl Client {
    pub(super) async fn join(server: &TestServer, options: &ClientOptions) -> Result<Self, Refused> {
        let [Node { http, .. }, _] = server.next_nodes();
        let socket = TcpStream::connect(http).await.unwrap();
        let url = format!("ws://{http}/rooms/{}/stomp?{}", options.room, options.path_query());
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "v12.stomp, v11.stomp".parse().unwrap());
        let ws = match client_async(request, socket).await {
            Ok((ws, answer)) => {
                assert_eq!(answer.headers()["sec-websocket-protocol"], "v12.stomp");
                ws
            }
            Err(Error::Http(answer)) => {
                let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
                let error_body = json::error_body(answer.body().as_deref().unwrap_or_default());
                return Err(Refused { status: Some(answer.status().as_u16()), retry_after, error_body });
            }
            Err(error) => panic!("no WebSocket: {error}"),
        };
        let mut client = Self { cursor: 0, ws, author: options.author, ordinal: 0, received: VecDeque::new() };
        client.send("CONNECT\naccept-version:1.1,1.2\nhost:x\nheart-beat:0,1\n\n\0").await;
        let connected = client.frame().await.unwrap();
        assert_eq!((connected.command.as_str(), connected.headers["version"].as_str()), ("CONNECTED", "1.2"));
        // Every second client uses a subscription id for which the server has no shared frames.
        let id = if JOINED.fetch_add(1, Relaxed).is_multiple_of(2) { "sub-0" } else { "mine" };
        client.send(&format!("SUBSCRIBE\nid:{id}\ndestination:/messages\nreceipt:in\n\n\0")).await;
        let receipt = client.frame().await.unwrap();
        assert_eq!((receipt.command.as_str(), receipt.headers["receipt-id"].as_str()), ("RECEIPT", "in"));
        let joined = client.frame().await.unwrap();
        assert_eq!(joined.headers["subscription"], id);
        let wire::ServerItem::Joined(joined) = json::item(joined.body.as_bytes()) else {
            panic!("expected the joined item")
        };
        client.cursor = joined.after;
        Ok(client)
    }

    async fn send(&mut self, frame: &str) {
        self.ws.send(Message::text(frame)).await.unwrap();
    }

    /// The next frame. An empty one is a heartbeat.
    async fn frame(&mut self) -> Result<Frame, End> {
        loop {
            match self.ws.next().await {
                Some(Ok(Message::Text(text))) => return Ok(parse(text.as_str())),
                Some(Ok(Message::Close(frame))) => {
                    while self.ws.next().await.is_some() {}
                    return Err(End::Close(frame.map_or(1005, |frame| u16::from(frame.code))));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(End::Broken(error.to_string())),
                None => return Err(End::Broken("closed without a close frame".to_owned())),
            }
        }
    }

    pub(super) async fn post(&mut self, text: &str) -> Result<Ack, Refused> {
        self.ordinal += 1;
        let post = json::post(self.author, self.ordinal, text);
        let receipt = self.ordinal;
        self.send(&format!("SEND\ndestination:/messages\nreceipt:{receipt}\n\n{post}\0")).await;
        loop {
            let frame = match self.frame().await {
                Ok(frame) => frame,
                Err(End::Close(code)) => {
                    let error_body = ErrorBody::new("close", &code.to_string(), "", "");
                    return Err(Refused { status: None, retry_after: None, error_body });
                }
                Err(end) => panic!("{end:?} instead of an answer to a post"),
            };
            match frame.command.as_str() {
                "RECEIPT" if frame.headers["receipt-id"] == receipt.to_string() => {
                    return Ok(Ack { ordinal: receipt, seq: frame.headers["seq"].parse().unwrap() });
                }
                "ERROR" => {
                    let error_body = json::error_body(frame.body.as_bytes());
                    return Err(Refused { status: None, retry_after: None, error_body });
                }
                _ => {
                    let item = self.item(&frame);
                    self.received.extend(item);
                }
            }
        }
    }

    pub(super) async fn receive(&mut self) -> Received {
        loop {
            if let Some(received) = self.received.pop_front() {
                return received;
            }
            match self.frame().await {
                Err(end) => return Received::Ended(end),
                Ok(frame) => {
                    let item = self.item(&frame);
                    self.received.extend(item);
                }
            }
        }
    }

    fn item(&mut self, frame: &Frame) -> Option<Received> {
        match frame.command.as_str() {
            "" => Some(Received::Heartbeat),
            "MESSAGE" | "ERROR" => received(json::item(frame.body.as_bytes()), &mut self.cursor),
            _ => None,
        }
    }
}
