//! The 24 cases of the official Engine.IO test suite (socketio/engine.io-protocol).
//!
//! The suite tests a server that echoes every message. This server has Socket.IO on top of
//! Engine.IO: where the suite expects an echo, these tests send a CONNECT and expect its answer, or
//! send a post and expect its message. This server sends its first ping at once, not after an
//! interval, and `maxPayload` depends on `--message-bytes-max`. One case does not apply: a binary
//! message without an announcement is an error in Socket.IO.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::engineio::{
    PLACEHOLDER, POLLING, Session, WEBSOCKET, assert_serves_others, binary_post, connected_websocket, text, until,
    until_closed, websocket,
};
use crate::raw::{Raw, WsFrame, masked};
use crate::test_server::{TIMEOUT, TestServer};

const HEARTBEAT: Duration = Duration::from_millis(100);

/// A server with frequent pings and this timeout for their answers.
async fn with_frequent_pings(timeout: Duration) -> TestServer {
    TestServer::with_limits(|limits| (limits.heartbeat, limits.stall_timeout) = (HEARTBEAT, timeout)).await
}

/// Checks the first packet of a session.
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
    let server = with_frequent_pings(2 * HEARTBEAT).await;
    let mut raw = Raw::connect(server.http).await;
    let answer = raw.ask("GET", POLLING, "", "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; charset=UTF-8")));
    check_open(&answer.body, &["websocket"]);
    let mut raw = Raw::connect(server.http).await;
    assert_eq!(raw.upgrade(WEBSOCKET).await.status, 101);
    let frame = raw.frame().await.unwrap();
    assert_eq!(frame.opcode, 1);
    check_open(&frame.payload, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_query_or_method_opens_no_session() {
    let server = TestServer::start().await;
    for query in ["transport={}", "EIO=abc&transport={}", "EIO=4", "EIO=4&transport=abc"] {
        for (transport, upgrades) in [("polling", false), ("websocket", true)] {
            let target = format!("/socket.io/?{}", query.replace("{}", transport));
            let mut raw = Raw::connect(server.http).await;
            let answer = if upgrades { raw.upgrade(&target).await } else { raw.ask("GET", &target, "", "").await };
            assert_eq!(answer.status, 400, "{transport}: {target}");
        }
    }
    for method in ["POST", "PUT"] {
        assert_eq!(Raw::connect(server.http).await.ask(method, POLLING, "", "").await.status, 400, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_carries_one_packet_several_packets_and_binary_packets() {
    let server = TestServer::start().await;
    let mut session = Session::open(&server).await;
    let answer = session.send("40").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    session.until("40{").await;
    let answer = session.send("40/chat,\x1e3\x1e421[\"join\",{\"room\":\"lobby\",\"encoding\":\"binary\"}]").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    let mut due = vec!["40/chat,{", "431[{"];
    while !due.is_empty() {
        let (status, packets) = session.packets().await;
        assert_eq!(status, 200);
        due.retain(|start| !packets.split('\x1e').any(|packet| packet.starts_with(start)));
    }
    let packets = format!("451-[\"post\",{PLACEHOLDER}]\x1eb{}", STANDARD.encode(binary_post("hello")));
    assert_eq!(session.send(&packets).await.status, 200);
    // Both in one response, possibly after the first ping.
    let answer = loop {
        let (status, packets) = session.packets().await;
        assert_eq!(status, 200);
        if packets.contains("45") {
            break packets;
        }
    };
    let expected = format!("451-[\"message\",{PLACEHOLDER}]\x1eb");
    assert!(answer.contains(&expected), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_packet_ends_a_session_on_polling() {
    let server = TestServer::start().await;
    let mut session = Session::open(&server).await;
    assert_eq!(session.send("abc").await.status, 400);
    assert_eq!(session.poll().await.status, 400);
    assert_serves_others(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_poll_at_the_same_time_ends_the_session() {
    let server = TestServer::start().await;
    let mut session = Session::open(&server).await;
    assert_eq!(session.packets().await, (200, "2".to_owned()));
    let (mut second, target) = (Raw::connect(server.http).await, session.target.clone());
    let (first, second) = session.poll_and(&server, second.ask("GET", &target, "", "")).await;
    assert_eq!((first, second.status), ((200, "1".to_owned()), 400));
    assert_eq!(session.poll().await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_carries_text_and_binary_packets() {
    let server = TestServer::start().await;
    let mut raw = connected_websocket(&server).await;
    raw.send(text("421[\"join\",{\"room\":\"lobby\",\"encoding\":\"binary\"}]")).await;
    assert_eq!(until(&mut raw, "431").await.unwrap(), "431[{\"after\":0}]");
    raw.send([text(&format!("451-[\"post\",{PLACEHOLDER}]")), masked(0x82, &binary_post("hello"))].concat()).await;
    assert_eq!(until(&mut raw, "45").await.unwrap(), format!("451-[\"message\",{PLACEHOLDER}]"));
    let attached = raw.frame().await.unwrap();
    assert_eq!((attached.opcode, &attached.payload[attached.payload.len() - 5..]), (2, &b"hello"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_packet_ends_a_session_on_a_websocket() {
    let server = TestServer::start().await;
    for wrong in [text("abc"), text(""), text("0{}"), text("5"), text("7"), masked(0x82, b"\x01\x02")] {
        let mut raw = websocket(&server).await;
        raw.send(&wrong).await;
        until_closed(&mut raw).await;
    }
    assert_serves_others(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered_on_either_transport() {
    let server = with_frequent_pings(TIMEOUT).await;
    let (mut session, mut raw) = (Session::open(&server).await, websocket(&server).await);
    for _ in 0..3 {
        assert_eq!(session.packets().await, (200, "2".to_owned()));
        assert_eq!(session.send("3").await.status, 200);
    }
    for _ in 0..3 {
        assert_eq!(raw.frame().await, Some(WsFrame { opcode: 1, payload: b"2".to_vec() }));
        raw.send(text("3")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_ping_ends_the_session() {
    let server = with_frequent_pings(2 * HEARTBEAT).await;
    let (mut session, mut raw) = (Session::open(&server).await, websocket(&server).await);
    session.until_over().await;
    until_closed(&mut raw).await;
    drop((session, raw));
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_packet_ends_the_session() {
    let server = TestServer::start().await;
    let mut session = Session::open(&server).await;
    assert_eq!(session.packets().await, (200, "2".to_owned()));
    let (mut second, target) = (Raw::connect(server.http).await, session.target.clone());
    let (poll, closed) = session.poll_and(&server, second.ask("POST", &target, "", "1")).await;
    assert_eq!((poll, closed.status), ((200, "6".to_owned()), 200));
    assert_eq!(session.poll().await.status, 400);
    let mut raw = websocket(&server).await;
    raw.send(text("1")).await;
    until_closed(&mut raw).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_session_refuses_polls_posts_and_other_websockets() {
    let server = TestServer::start().await;
    let mut session = Session::open(&server).await;
    assert_eq!(session.packets().await, (200, "2".to_owned()));
    let mut raw = session.probed(&server).await;
    assert_eq!(session.packets().await, (200, "6".to_owned()));
    raw.send([text("5"), text("40")].concat()).await;
    assert!(until(&mut raw, "40").await.unwrap().starts_with("40{\"sid\""));
    assert_eq!(session.poll().await.status, 400);
    assert_eq!(session.send("41").await.status, 400);
    let (_, answer) = session.try_websocket(&server).await;
    assert_eq!(answer.status, 400);
    raw.send(text("420[\"join\",{\"room\":\"lobby\"}]")).await;
    assert_eq!(until(&mut raw, "430").await.unwrap(), "430[{\"after\":0}]");
}
