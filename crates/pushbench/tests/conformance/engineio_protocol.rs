//! The cases of Engine.IO's own test suite (socketio/engine.io-protocol, 24 of them), told of our server.
//!
//! There the server repeats what it is sent. Ours speaks Socket.IO on top, so a packet that comes back is a CONNECT that is answered, or a
//! post that comes to its author. Our pings begin at once instead of after an interval, and `maxPayload` follows from `--message-bytes-max`.
//! One case cannot hold: a binary message by itself is nothing in Socket.IO, it has to be announced as an attachment.

use std::time::Duration;

use serde_json::Value;

use crate::engineio::{
    POLLING, Session, WEBSOCKET, connected_websocket, is_well, text, until, until_closed, websocket,
};
use crate::house::{House, PATIENCE};
use crate::raw::{Raw, WsFrame, masked};

const BEAT: Duration = Duration::from_millis(100);
const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

/// A server that pings often, and waits so long for an answer.
async fn lively(patience: Duration) -> House {
    House::with(|limits| (limits.heartbeat, limits.stall_timeout) = (BEAT, patience)).await
}

/// A post as an attachment: kind, author, number, and the text.
fn post() -> Vec<u8> {
    let mut out = Vec::new();
    wire::encode_up(&wire::Up::Post(wire::Post { author: 1, ordinal: 1, text: "hello".into() }), &mut out);
    out
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What a session's first packet says, for one that may upgrade to this.
fn check_open(packet: &[u8], upgrades: &[&str]) {
    assert_eq!(packet[0], b'0');
    let open: Value = serde_json::from_slice(&packet[1..]).unwrap();
    let mut keys: Vec<_> = open.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]);
    assert_eq!(open["sid"].as_str().unwrap().len(), 16);
    assert_eq!(open["upgrades"], serde_json::json!(upgrades));
    assert_eq!((open["pingInterval"].as_u64(), open["pingTimeout"].as_u64()), (Some(100), Some(200)));
    assert_eq!(open["maxPayload"], 16_384 * 6 + 256);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_opens_on_either_transport() {
    let house = lively(2 * BEAT).await;
    let mut raw = Raw::connect(house.http).await;
    let answer = raw.ask("GET", POLLING, "", "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; charset=UTF-8")));
    check_open(&answer.body, &["websocket"]);
    let mut raw = Raw::connect(house.http).await;
    assert_eq!(raw.upgrade(WEBSOCKET).await.status, 101);
    let frame = raw.frame().await.unwrap();
    assert_eq!(frame.opcode, 1);
    check_open(&frame.payload, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_open_with_a_wrong_query_or_method() {
    let house = House::open().await;
    for query in ["transport={}", "EIO=abc&transport={}", "EIO=4", "EIO=4&transport=abc"] {
        for (transport, upgrades) in [("polling", false), ("websocket", true)] {
            let target = format!("/socket.io/?{}", query.replace("{}", transport));
            let mut raw = Raw::connect(house.http).await;
            let answer = if upgrades { raw.upgrade(&target).await } else { raw.ask("GET", &target, "", "").await };
            assert_eq!(answer.status, 400, "{transport}: {target}");
        }
    }
    for method in ["POST", "PUT"] {
        assert_eq!(Raw::connect(house.http).await.ask(method, POLLING, "", "").await.status, 400, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_carries_one_packet_several_and_binary_ones() {
    let house = House::open().await;
    let mut session = Session::open(&house).await;
    // Answered behind the first ping.
    let answer = session.say("40").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    session.until("40{").await;
    let answer = session.say("40/chat,\x1e3\x1e421[\"join\",{\"room\":\"lobby\",\"encoding\":\"binary\"}]").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    let mut due = vec!["40/chat,{", "431[{"];
    while !due.is_empty() {
        let (status, packets) = session.packets().await;
        assert_eq!(status, 200);
        due.retain(|start| !packets.split('\x1e').any(|packet| packet.starts_with(start)));
    }
    let packets = format!("451-[\"post\",{PLACEHOLDER}]\x1eb{}", base64(&post()));
    assert_eq!(session.say(&packets).await.status, 200);
    let (status, packets) = session.packets().await;
    let (announced, attached) = packets.split_once('\x1e').unwrap();
    assert_eq!((status, announced), (200, format!("451-[\"message\",{PLACEHOLDER}]").as_str()));
    assert!(attached.starts_with('b'), "{attached}");
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_ends_with_a_packet_that_is_none() {
    let house = House::open().await;
    let mut session = Session::open(&house).await;
    assert_eq!(session.say("abc").await.status, 400);
    assert_eq!(session.poll().await.status, 400);
    is_well(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_ends_with_a_second_poll() {
    let house = House::open().await;
    let mut session = Session::open(&house).await;
    assert_eq!(session.packets().await, (200, "2".to_owned()));
    let before = house.usage().await.transports["socketio-polling"].requests;
    let mut second = Raw::connect(house.http).await;
    let target = session.target.clone();
    let asking = async {
        house.until("the first poll", |usage| usage.transports["socketio-polling"].requests > before).await;
        second.ask("GET", &target, "", "").await.status
    };
    let (first, second) = tokio::join!(session.packets(), asking);
    assert_eq!((first, second), ((200, "1".to_owned()), 400));
    assert_eq!(session.poll().await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_carries_text_and_binary_packets() {
    let house = House::open().await;
    let mut raw = connected_websocket(&house).await;
    raw.send(text("421[\"join\",{\"room\":\"lobby\",\"encoding\":\"binary\"}]")).await;
    assert_eq!(until(&mut raw, "431").await.unwrap(), "431[{\"after\":0}]");
    raw.send([text(&format!("451-[\"post\",{PLACEHOLDER}]")), masked(0x82, &post())].concat()).await;
    assert_eq!(until(&mut raw, "45").await.unwrap(), format!("451-[\"message\",{PLACEHOLDER}]"));
    let attached = raw.frame().await.unwrap();
    assert_eq!((attached.opcode, &attached.payload[attached.payload.len() - 5..]), (2, &b"hello"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_ends_with_a_packet_that_is_none() {
    let house = House::open().await;
    for wrong in [text("abc"), text(""), text("0{}"), text("5"), text("7"), masked(0x82, b"\x01\x02")] {
        let mut raw = websocket(&house).await;
        raw.send(&wrong).await;
        until_closed(&mut raw).await;
    }
    is_well(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered_on_either_transport() {
    let house = lively(PATIENCE).await;
    let (mut session, mut raw) = (Session::open(&house).await, websocket(&house).await);
    for _ in 0..3 {
        assert_eq!(session.packets().await, (200, "2".to_owned()));
        assert_eq!(session.say("3").await.status, 200);
    }
    for _ in 0..3 {
        assert_eq!(raw.frame().await, Some(WsFrame { opcode: 1, payload: b"2".to_vec() }));
        raw.send(text("3")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_that_is_not_answered_ends_the_session() {
    let house = lively(2 * BEAT).await;
    let (mut session, mut raw) = (Session::open(&house).await, websocket(&house).await);
    session.until_over().await;
    until_closed(&mut raw).await;
    drop((session, raw));
    house.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_packet_ends_the_session() {
    let house = House::open().await;
    let mut session = Session::open(&house).await;
    assert_eq!(session.packets().await, (200, "2".to_owned()));
    let before = house.usage().await.transports["socketio-polling"].requests;
    let mut second = Raw::connect(house.http).await;
    let target = session.target.clone();
    let closing = async {
        house.until("the poll", |usage| usage.transports["socketio-polling"].requests > before).await;
        second.ask("POST", &target, "", "1").await.status
    };
    assert_eq!(tokio::join!(session.packets(), closing), ((200, "6".to_owned()), 200));
    assert_eq!(session.poll().await.status, 400);
    let mut raw = websocket(&house).await;
    raw.send(text("1")).await;
    until_closed(&mut raw).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_upgrades_and_polls_no_more() {
    let house = House::open().await;
    let mut session = Session::open(&house).await;
    assert_eq!(session.packets().await, (200, "2".to_owned()));
    let mut raw = session.probed(&house).await;
    assert_eq!(session.packets().await, (200, "6".to_owned()), "so that the poll ends");
    raw.send([text("5"), text("40")].concat()).await;
    assert!(until(&mut raw, "40").await.unwrap().starts_with("40{\"sid\""));
    // Neither a poll, nor a body, nor a second WebSocket gets in its way.
    assert_eq!(session.poll().await.status, 400);
    assert_eq!(session.say("41").await.status, 400);
    let (_, answer) = session.try_websocket(&house).await;
    assert_eq!(answer.status, 400);
    raw.send(text("420[\"join\",{\"room\":\"lobby\"}]")).await;
    assert_eq!(until(&mut raw, "430").await.unwrap(), "430[{\"after\":0}]");
}
