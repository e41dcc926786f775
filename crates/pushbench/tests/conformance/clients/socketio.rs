//! Socket.IO packet by packet: polling with reqwest, WebSocket with tungstenite, and the upgrade
//! between them.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use wire::{Ack, ClientItem, Encoding, ErrorBody, Gap, Post, StartAt, Transport, decode_down, encode_up};

use super::http::read_refusal;
use super::{ClientOptions, End, Received, Refused, json, received};
use crate::test_server::{Node, TestServer};

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

/// A packet, with its attachment if it has one.
#[derive(Debug)]
enum Packet {
    Text(String),
    Binary(Vec<u8>),
}

enum Line {
    Ws(Box<WebSocketStream<TcpStream>>),
    Polling { web: reqwest::Client, url: String },
}

pub(crate) struct Client {
    pub(super) cursor: u64,
    line: Line,
    address: SocketAddr,
    sid: String,
    encoding: Encoding,
    author: u32,
    ordinal: u64,
    packets: VecDeque<Packet>,
    received: VecDeque<Received>,
}

impl Client {
    pub(super) async fn join(server: &TestServer, options: &ClientOptions) -> Result<Self, Refused> {
        let [Node { http: address, .. }, _] = server.next_nodes();
        let line = match options.transport {
            Transport::SocketioWebsocket => Line::Ws(open(address, "").await?),
            _ => {
                let web = reqwest::Client::builder().no_proxy().build().unwrap();
                let upgrade = if options.transport == Transport::Socketio { "&upgrade=1" } else { "" };
                let url = format!("http://{address}/socket.io/?EIO=4&transport=polling{upgrade}");
                Line::Polling { web, url }
            }
        };
        let mut client = Self {
            cursor: 0,
            line,
            address,
            sid: String::new(),
            encoding: options.encoding,
            author: options.author,
            ordinal: 0,
            packets: VecDeque::new(),
            received: VecDeque::new(),
        };
        client.begin().await?;
        client.enter(options).await?;
        if options.transport == Transport::Socketio {
            client.upgrade().await?;
        }
        Ok(client)
    }

    /// Reads the session that the server opens.
    async fn begin(&mut self) -> Result<(), Refused> {
        if let Line::Polling { web, url } = &self.line {
            let answer = web.get(url).send().await.unwrap();
            if answer.status() != 200 {
                return Err(read_refusal(answer).await);
            }
            self.packets.push_back(Packet::Text(answer.text().await.unwrap()));
        }
        let open = self.text().await.expect("a session");
        let open: serde_json::Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        self.sid = open["sid"].as_str().unwrap().to_owned();
        if let Line::Polling { url, .. } = &mut self.line {
            url.push_str(&format!("&sid={}", self.sid));
        }
        Ok(())
    }

    /// Connects to the namespace and joins the room.
    async fn enter(&mut self, options: &ClientOptions) -> Result<(), Refused> {
        let auth = options.token.as_ref().map(|token| serde_json::json!({ "token": token }).to_string());
        self.send(&format!("40{}", auth.unwrap_or_default()), None).await;
        let answer = self.text().await.expect("an answer to the connect");
        if let Some(refused) = answer.strip_prefix("44") {
            let refused: serde_json::Value = serde_json::from_str(refused).unwrap();
            return Err(Refused {
                status: None,
                retry_after: None,
                error_body: sentence(refused["message"].as_str().unwrap()),
            });
        }
        assert!(answer.starts_with("40{"), "{answer}");
        let mut join = serde_json::json!({ "room": options.room, "encoding": options.encoding.name() });
        if let StartAt::After(seq) = options.start {
            join["after"] = seq.into();
        }
        self.send(&format!("420[\"join\",{join}]"), None).await;
        let answer = self.acknowledged(0).await;
        match answer.get("after") {
            Some(after) => self.cursor = after.as_u64().unwrap(),
            None => return Err(refused(&answer)),
        }
        Ok(())
    }

    async fn upgrade(&mut self) -> Result<(), Refused> {
        // Its connections end with it: a session needs one at a time.
        if let Line::Polling { web, .. } = &mut self.line {
            *web = reqwest::Client::new();
        }
        let mut ws = open(self.address, &format!("&sid={}", self.sid)).await?;
        ws.send(Message::text("2probe")).await.unwrap();
        assert_eq!(ws.next().await.unwrap().unwrap(), Message::text("3probe"));
        ws.send(Message::text("5")).await.unwrap();
        self.line = Line::Ws(ws);
        Ok(())
    }

    /// Sends a packet, and its attachment.
    async fn send(&mut self, text: &str, attached: Option<Vec<u8>>) {
        match &mut self.line {
            Line::Ws(ws) => {
                ws.send(Message::text(text)).await.unwrap();
                if let Some(bytes) = attached {
                    ws.send(Message::binary(bytes)).await.unwrap();
                }
            }
            Line::Polling { web, url } => {
                let attached = attached.map(|bytes| format!("\x1eb{}", STANDARD.encode(bytes)));
                let body = format!("{text}{}", attached.unwrap_or_default());
                let answer = web.post(&*url).body(body).send().await.unwrap();
                assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "ok"));
            }
        }
    }

    /// The next packet. `Err`: how the server ended the session.
    async fn packet(&mut self) -> Result<Packet, End> {
        loop {
            if let Some(packet) = self.packets.pop_front() {
                return Ok(packet);
            }
            match &mut self.line {
                Line::Ws(ws) => match ws.next().await {
                    Some(Ok(Message::Text(text))) => self.packets.push_back(Packet::Text(text.to_string())),
                    Some(Ok(Message::Binary(bytes))) => self.packets.push_back(Packet::Binary(bytes.to_vec())),
                    Some(Ok(Message::Close(frame))) => {
                        return Err(End::Close(frame.map_or(1005, |frame| u16::from(frame.code))));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(End::Broken(error.to_string())),
                    None => return Err(End::Broken("closed without a close frame".to_owned())),
                },
                Line::Polling { web, url } => match web.get(&*url).send().await {
                    Err(error) => return Err(End::Broken(error.to_string())),
                    Ok(answer) if answer.status() != 200 => return Err(End::Status(answer.status().as_u16())),
                    Ok(answer) => {
                        let body = answer.text().await.unwrap();
                        self.packets.extend(body.split('\x1e').map(|packet| match packet.strip_prefix('b') {
                            Some(encoded) => Packet::Binary(STANDARD.decode(encoded).unwrap()),
                            None => Packet::Text(packet.to_owned()),
                        }));
                    }
                },
            }
        }
    }

    /// The next text that is not a ping.
    async fn text(&mut self) -> Result<String, End> {
        loop {
            match self.packet().await? {
                Packet::Text(text) if text == "2" => self.send("3", None).await,
                Packet::Text(text) => return Ok(text),
                Packet::Binary(bytes) => panic!("{bytes:?} was not announced"),
            }
        }
    }

    /// The data of this acknowledgement. Packets before it are kept.
    async fn acknowledged(&mut self, id: u64) -> serde_json::Value {
        loop {
            let text = self.text().await.expect("an acknowledgement");
            if let Some(data) = text.strip_prefix(&format!("43{id}")) {
                let data: Vec<serde_json::Value> = serde_json::from_str(data).unwrap();
                return data.into_iter().next().unwrap();
            }
            let item = self.item(&text).await;
            self.received.extend(item);
        }
    }

    pub(super) async fn post(&mut self, text: &str) -> Result<Ack, Refused> {
        self.ordinal += 1;
        let id = self.ordinal;
        match self.encoding {
            Encoding::Json => {
                let post = json::post(self.author, self.ordinal, text);
                self.send(&format!("42{id}[\"post\",{post}]"), None).await;
            }
            Encoding::Binary => {
                let mut out = Vec::new();
                let post = Post { author: self.author, ordinal: self.ordinal, text: text.into() };
                encode_up(&ClientItem::Post(post), &mut out);
                self.send(&format!("451-{id}[\"post\",{PLACEHOLDER}]"), Some(out)).await;
            }
        }
        let answer = self.acknowledged(id).await;
        match answer.get("seq") {
            Some(seq) => Ok(Ack { ordinal: answer["ordinal"].as_u64().unwrap(), seq: seq.as_u64().unwrap() }),
            None => Err(refused(&answer)),
        }
    }

    pub(super) async fn receive(&mut self) -> Received {
        loop {
            if let Some(received) = self.received.pop_front() {
                return received;
            }
            match self.packet().await {
                Err(end) => return Received::Ended(end),
                Ok(Packet::Text(text)) if text == "2" => {
                    self.send("3", None).await;
                    return Received::Heartbeat;
                }
                Ok(Packet::Text(text)) => {
                    let item = self.item(&text).await;
                    self.received.extend(item);
                }
                Ok(Packet::Binary(bytes)) => panic!("{bytes:?} was not announced"),
            }
        }
    }

    /// The meaning of a packet for a client in a room.
    async fn item(&mut self, text: &str) -> Option<Received> {
        if matches!(text, "1" | "41") {
            return Some(Received::Ended(End::Bye));
        }
        if text == "6" {
            return None;
        }
        if text == format!("451-[\"message\",{PLACEHOLDER}]") {
            let Ok(Packet::Binary(bytes)) = self.packet().await else { panic!("expected an attachment") };
            assert_eq!(self.encoding, Encoding::Binary);
            return received(decode_down(&bytes).unwrap(), &mut self.cursor);
        }
        let (name, data): (String, serde_json::Value) = event(text);
        match name.as_str() {
            "message" => received(json::item(data.to_string().as_bytes()), &mut self.cursor),
            "gap" => {
                let gap: Gap = serde_json::from_value(data).unwrap();
                received(wire::ServerItem::Gap(gap), &mut self.cursor)
            }
            other => panic!("no event {other:?} is known"),
        }
    }
}

impl Drop for Client {
    /// Leaves as browsers do. A session on polling has no connection whose end would show that.
    fn drop(&mut self) {
        let Line::Polling { .. } = self.line else { return };
        let Ok(mut socket) = std::net::TcpStream::connect(self.address) else { return };
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", self.sid);
        let head = "host: localhost\r\nconnection: close\r\ncontent-length: 1\r\n";
        socket.write_all(format!("POST {path} HTTP/1.1\r\n{head}\r\n1").as_bytes()).ok();
        socket.read_to_end(&mut Vec::new()).ok();
    }
}

async fn open(address: SocketAddr, session: &str) -> Result<Box<WebSocketStream<TcpStream>>, Refused> {
    let socket = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket{session}");
    match client_async(url, socket).await {
        Ok((ws, _)) => Ok(Box::new(ws)),
        Err(Error::Http(answer)) => {
            let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            let error_body = json::error_body(answer.body().as_deref().unwrap_or_default());
            Err(Refused { status: Some(answer.status().as_u16()), retry_after, error_body })
        }
        Err(error) => panic!("no WebSocket: {error}"),
    }
}

fn event(text: &str) -> (String, serde_json::Value) {
    let event = text.strip_prefix("42").and_then(|event| serde_json::from_str(event).ok());
    event.unwrap_or_else(|| panic!("expected an event, received {text:?}"))
}

fn refused(answer: &serde_json::Value) -> Refused {
    Refused { status: None, retry_after: None, error_body: json::error_body(answer.to_string().as_bytes()) }
}

/// Parses the error body from the text of a refused CONNECT: `what is wrong (field: "value"); what
/// to do`.
fn sentence(message: &str) -> ErrorBody {
    let (error, rest) = message.split_once(" (").unwrap();
    let (field, rest) = rest.split_once(": \"").unwrap();
    let (value, hint) = rest.split_once("\"); ").unwrap();
    ErrorBody::new(field, value, error, hint)
}
