//! Engine.IO by hand: sessions on polling and on WebSockets, packet by packet.

use std::future::Future;

use serde_json::Value;
use wire::{ClientItem, Post, Transport, encode_up};

use crate::clients::ClientOptions;
use crate::raw::{Answer, Raw, WsFrame, masked};
use crate::test_server::{StatsByTransport, TestServer, within};

pub(crate) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
pub(crate) const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
/// The argument of an event that is its attachment.
pub(crate) const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;
pub(crate) const ALL: [Transport; 3] = [Transport::SocketioPolling, Transport::SocketioWebsocket, Transport::Socketio];

/// A session on polling, and its connection.
pub(crate) struct Session {
    pub(crate) raw: Raw,
    pub(crate) target: String,
    pub(crate) sid: String,
}

impl Session {
    pub(crate) async fn open(server: &TestServer) -> Self {
        let (raw, answer) = first(server, false).await;
        assert_eq!((answer.status, answer.body[0]), (200, b'0'));
        let open: Value = serde_json::from_slice(&answer.body[1..]).unwrap();
        assert_eq!(open["upgrades"], serde_json::json!(["websocket"]));
        let sid = open["sid"].as_str().unwrap().to_owned();
        Self { raw, target: format!("{POLLING}&sid={sid}"), sid }
    }

    /// A session in a namespace.
    pub(crate) async fn connected(server: &TestServer, namespace: &str) -> Self {
        let mut session = Self::open(server).await;
        assert_eq!(session.send(&format!("40{namespace}")).await.status, 200);
        session.until(&format!("40{namespace}{{\"sid\"")).await;
        session
    }

    /// A session in a room, with its cursor at the newest message.
    pub(crate) async fn joined(server: &TestServer, room: &str) -> Self {
        let mut session = Self::connected(server, "").await;
        assert_eq!(session.send(&format!("420[\"join\",{{\"room\":\"{room}\"}}]")).await.status, 200);
        session.until("430").await;
        session
    }

    pub(crate) async fn send(&mut self, packets: &str) -> Answer {
        self.raw.ask("POST", &self.target, "", packets).await
    }

    pub(crate) async fn poll(&mut self) -> Answer {
        self.raw.ask("GET", &self.target, "", "").await
    }

    /// The status of a poll and its packets.
    pub(crate) async fn packets(&mut self) -> (u16, String) {
        let answer = self.poll().await;
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    /// Polls, and runs `then` as soon as the server has the poll.
    pub(crate) async fn poll_and<T>(
        &mut self,
        server: &TestServer,
        then: impl Future<Output = T>,
    ) -> ((u16, String), T) {
        let before = server.stats_of(Transport::SocketioPolling).await.requests;
        let then = async {
            server.until("the poll", |usage| usage.of(Transport::SocketioPolling).requests > before).await;
            then.await
        };
        tokio::join!(self.packets(), then)
    }

    /// Polls until a packet begins with `prefix`.
    pub(crate) async fn until(&mut self, start: &str) -> String {
        loop {
            let (status, body) = self.packets().await;
            assert_eq!(status, 200, "expected {start:?}: {body}");
            if let Some(packet) = body.split('\x1e').find(|packet| packet.starts_with(start)) {
                return packet.to_owned();
            }
        }
    }

    /// Polls until the session has ended.
    pub(crate) async fn until_over(&mut self) {
        while self.poll().await.status == 200 {}
    }

    /// Opens a WebSocket for this session, and returns the answer to its handshake.
    pub(crate) async fn try_websocket(&self, server: &TestServer) -> (Raw, Answer) {
        let mut raw = Raw::connect(server.http).await;
        let answer = raw.upgrade(&format!("{WEBSOCKET}&sid={}", self.sid)).await;
        (raw, answer)
    }

    pub(crate) async fn websocket(&self, server: &TestServer) -> Raw {
        let (raw, answer) = self.try_websocket(server).await;
        assert_eq!(answer.status, 101, "{answer:?}");
        raw
    }

    /// A WebSocket for this session whose probe the server has answered.
    pub(crate) async fn probed(&self, server: &TestServer) -> Raw {
        let mut raw = self.websocket(server).await;
        raw.send(text("2probe")).await;
        assert_eq!(raw.frame().await.unwrap().payload, b"3probe");
        raw
    }
}

/// Opens a session. Repeats the request until the server is not full.
async fn first(server: &TestServer, upgrades: bool) -> (Raw, Answer) {
    within("a free session", async {
        loop {
            let mut raw = Raw::connect(server.http).await;
            let answer = if upgrades { raw.upgrade(WEBSOCKET).await } else { raw.ask("GET", POLLING, "", "").await };
            if answer.status != 503 {
                return (raw, answer);
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// A session on a WebSocket; its first frame has been read.
pub(crate) async fn websocket(server: &TestServer) -> Raw {
    let (mut raw, answer) = first(server, true).await;
    assert_eq!(answer.status, 101);
    assert_eq!(raw.frame().await.unwrap().payload[0], b'0');
    raw
}

/// A session on a WebSocket in the namespace `/`.
pub(crate) async fn connected_websocket(server: &TestServer) -> Raw {
    let mut raw = websocket(server).await;
    raw.send(text("40")).await;
    until(&mut raw, "40").await.unwrap();
    raw
}

/// A client's text frame.
pub(crate) fn text(packet: &str) -> Vec<u8> {
    masked(0x81, packet.as_bytes())
}

/// A post in its binary encoding.
pub(crate) fn binary_post(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode_up(&ClientItem::Post(Post { author: 1, ordinal: 1, text: text.into() }), &mut out);
    out
}

/// The next text that begins with a prefix, or `None` when the connection has ended.
pub(crate) async fn until(raw: &mut Raw, start: &str) -> Option<String> {
    loop {
        let frame = raw.frame().await?;
        let text = String::from_utf8_lossy(&frame.payload).into_owned();
        if frame.opcode == WsFrame::CLOSE {
            return None;
        }
        if text.starts_with(start) {
            return Some(text);
        }
    }
}

/// Waits until the server ends a WebSocket.
pub(crate) async fn until_closed(raw: &mut Raw) {
    assert_eq!(until(raw, "never").await, None);
}

/// Checks that the server serves other clients.
pub(crate) async fn assert_serves_others(server: &TestServer) {
    for transport in ALL {
        let mut client = ClientOptions::new(transport, "well").join(server).await;
        client.post("still here").await;
        assert_eq!(client.next_message().await.text, "still here", "{transport}");
    }
}
