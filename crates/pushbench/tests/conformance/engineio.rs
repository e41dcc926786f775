//! Engine.IO by hand: sessions on polling and on WebSockets, packet by packet.

use serde_json::Value;
use wire::Transport;

use crate::clients::Wish;
use crate::house::{House, within};
use crate::raw::{Answer, Raw, WsFrame, masked};

pub(crate) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
pub(crate) const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
pub(crate) const ALL: [Transport; 3] = [Transport::SocketioPolling, Transport::SocketioWebsocket, Transport::Socketio];

/// A session on polling, and the connection it was asked for on.
pub(crate) struct Session {
    pub(crate) raw: Raw,
    pub(crate) target: String,
    pub(crate) sid: String,
}

impl Session {
    pub(crate) async fn open(house: &House) -> Self {
        let (raw, answer) = first(house, false).await;
        assert_eq!((answer.status, answer.body[0]), (200, b'0'));
        let open: Value = serde_json::from_slice(&answer.body[1..]).unwrap();
        assert_eq!(open["upgrades"], serde_json::json!(["websocket"]));
        let sid = open["sid"].as_str().unwrap().to_owned();
        Self { raw, target: format!("{POLLING}&sid={sid}"), sid }
    }

    /// The same in its namespace.
    pub(crate) async fn connected(house: &House, namespace: &str) -> Self {
        let mut session = Self::open(house).await;
        assert_eq!(session.say(&format!("40{namespace}")).await.status, 200);
        session.until(&format!("40{namespace}{{\"sid\"")).await;
        session
    }

    /// The same in a room, after what is there.
    pub(crate) async fn joined(house: &House, room: &str) -> Self {
        let mut session = Self::connected(house, "").await;
        assert_eq!(session.say(&format!("420[\"join\",{{\"room\":\"{room}\"}}]")).await.status, 200);
        session.until("430").await;
        session
    }

    pub(crate) async fn say(&mut self, packets: &str) -> Answer {
        self.raw.ask("POST", &self.target, "", packets).await
    }

    pub(crate) async fn poll(&mut self) -> Answer {
        self.raw.ask("GET", &self.target, "", "").await
    }

    /// The status of a poll, and what it brings.
    pub(crate) async fn packets(&mut self) -> (u16, String) {
        let answer = self.poll().await;
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    /// Asks until a packet begins like this.
    pub(crate) async fn until(&mut self, start: &str) -> String {
        loop {
            let (status, body) = self.packets().await;
            assert_eq!(status, 200, "{start:?} was due: {body}");
            if let Some(packet) = body.split('\x1e').find(|packet| packet.starts_with(start)) {
                return packet.to_owned();
            }
        }
    }

    /// Asks until the session is over.
    pub(crate) async fn until_over(&mut self) {
        while self.poll().await.status == 200 {}
    }

    /// A WebSocket that names this session, or what is answered instead.
    pub(crate) async fn try_websocket(&self, house: &House) -> (Raw, Answer) {
        let mut raw = Raw::connect(house.http).await;
        let answer = raw.upgrade(&format!("{WEBSOCKET}&sid={}", self.sid)).await;
        (raw, answer)
    }

    pub(crate) async fn websocket(&self, house: &House) -> Raw {
        let (raw, answer) = self.try_websocket(house).await;
        assert_eq!(answer.status, 101, "{answer:?}");
        raw
    }

    /// The same, with the probe answered.
    pub(crate) async fn probed(&self, house: &House) -> Raw {
        let mut raw = self.websocket(house).await;
        raw.send(text("2probe")).await;
        assert_eq!(raw.frame().await.unwrap().payload, b"3probe");
        raw
    }
}

/// A session's first question and its answer, asked until the server has a place for it.
async fn first(house: &House, upgrades: bool) -> (Raw, Answer) {
    within("a place for a session", async {
        loop {
            let mut raw = Raw::connect(house.http).await;
            let answer = if upgrades { raw.upgrade(WEBSOCKET).await } else { raw.ask("GET", POLLING, "", "").await };
            if answer.status != 503 {
                return (raw, answer);
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// A WebSocket of its own, and its session's first frame.
pub(crate) async fn websocket(house: &House) -> Raw {
    let (mut raw, answer) = first(house, true).await;
    assert_eq!(answer.status, 101);
    assert_eq!(raw.frame().await.unwrap().payload[0], b'0');
    raw
}

/// The same in its namespace.
pub(crate) async fn connected_websocket(house: &House) -> Raw {
    let mut raw = websocket(house).await;
    raw.send(text("40")).await;
    until(&mut raw, "40").await.unwrap();
    raw
}

/// A client's text frame.
pub(crate) fn text(packet: &str) -> Vec<u8> {
    masked(0x81, packet.as_bytes())
}

/// The next text that begins like this, or `None` when the connection ended first.
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

/// The others do not notice.
pub(crate) async fn is_well(house: &House) {
    for transport in ALL {
        let mut client = Wish::new(transport, "well").join(house).await;
        client.post("still here").await;
        assert_eq!(client.next_message().await.text, "still here", "{transport}");
    }
}
