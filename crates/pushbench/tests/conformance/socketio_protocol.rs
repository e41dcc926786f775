//! The 32 cases of the official Socket.IO test suite (socketio/socket.io-protocol). 16 of them test
//! Engine.IO and are in `engineio_protocol.rs`; the other 16 are here.
//!
//! The suite tests a server with the namespaces `/` and `/custom` that echoes the payload of a
//! CONNECT and every event. This server has the namespaces `/` and `/chat` and the events `join`,
//! `post` and `leave`, and does not echo the payload of a CONNECT. Two cases do not apply: an event
//! has at most one attachment (the suite sends two), and acknowledgements have no attachment.

use std::time::Duration;

use server::Access;

use crate::engineio::{
    PLACEHOLDER, Session, assert_serves_others, binary_post, connected_websocket, text, until, until_closed, websocket,
};
use crate::raw::{Raw, masked};
use crate::test_server::TestServer;

/// Sends a packet and waits for one with this prefix.
async fn ask(raw: &mut Raw, packet: &str, start: &str) -> String {
    raw.send(text(packet)).await;
    until(raw, start).await.unwrap_or_else(|| panic!("{packet} ended the connection"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_connects_to_either_namespace_with_or_without_a_payload() {
    let access = Access { token: Some("123".to_owned()), ..Access::default() };
    let (open, guarded) = (TestServer::start().await, TestServer::with_access(access, |_| {}).await);
    for (server, payload) in [(&open, ""), (&open, "{\"anything\":[1]}"), (&guarded, "{\"token\":\"123\"}")] {
        for namespace in ["", "/chat,"] {
            let mut raw = websocket(server).await;
            let answer = ask(&mut raw, &format!("40{namespace}{payload}"), &format!("40{namespace}")).await;
            let body: serde_json::Value = serde_json::from_str(&answer[2 + namespace.len()..]).unwrap();
            assert_eq!(body.as_object().unwrap().len(), 1, "{answer}");
            assert!(body["sid"].is_string(), "{answer}");
        }
    }
    let mut raw = websocket(&guarded).await;
    assert!(ask(&mut raw, "40{\"token\":\"abc\"}", "44").await.contains("the token is missing or wrong"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_namespace_is_refused() {
    let server = TestServer::start().await;
    let mut raw = websocket(&server).await;
    assert_eq!(ask(&mut raw, "40/random", "44").await, "44/random,{\"message\":\"Invalid namespace\"}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_connect_packet_is_closed() {
    let server = TestServer::with_limits(|limits| limits.header_timeout = Duration::from_millis(100)).await;
    for beginning in ["4abc", "42[\"join\",{\"room\":\"lobby\"}]", "41", "3"] {
        let mut raw = websocket(&server).await;
        raw.send(text(beginning)).await;
        until_closed(&mut raw).await;
    }
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_a_namespace_keeps_the_connection() {
    let server = TestServer::with_limits(|limits| limits.heartbeat = Duration::from_millis(100)).await;
    let mut raw = connected_websocket(&server).await;
    // The first ping may have arrived before the answer to the CONNECT.
    raw.send([text("41"), text("3")].concat()).await;
    for _ in 0..2 {
        until(&mut raw, "2").await.unwrap();
        raw.send(text("3")).await;
    }
    let mut raw = connected_websocket(&server).await;
    ask(&mut raw, "40/chat", "40/chat,{").await;
    ask(&mut raw, "420[\"join\",{\"room\":\"lobby\"}]", "430").await;
    raw.send(text("41/chat")).await;
    let message = ask(&mut raw, "42[\"post\",{\"author\":1,\"ordinal\":1,\"text\":\"to /\"}]", "42").await;
    assert_eq!(message, "42[\"message\",{\"seq\":1,\"author\":1,\"ordinal\":1,\"text\":\"to /\"}]");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_may_have_an_attachment_and_an_acknowledgement() {
    let server = TestServer::start().await;
    let plain = "[\"post\",{\"author\":1,\"ordinal\":1,\"text\":\"hi\"}]";
    for (room, acknowledged) in [("a", ""), ("b", "456")] {
        let mut raw = connected_websocket(&server).await;
        ask(&mut raw, &format!("420[\"join\",{{\"room\":\"{room}\"}}]"), "430").await;
        let mut due = vec!["42[\"message\",{\"seq\":1,\"author\":1,\"ordinal\":1,\"text\":\"hi\"}]"];
        due.extend((!acknowledged.is_empty()).then_some("43456[{\"ordinal\":1,\"seq\":1}]"));
        raw.send(text(&format!("42{acknowledged}{plain}"))).await;
        while !due.is_empty() {
            let packet = until(&mut raw, "4").await.unwrap();
            assert!(due.contains(&packet.as_str()), "{packet}");
            due.retain(|one| *one != packet);
        }
        let mut raw = connected_websocket(&server).await;
        ask(&mut raw, &format!("420[\"join\",{{\"room\":\"{room}2\",\"encoding\":\"binary\"}}]"), "430").await;
        let announced = format!("451-{acknowledged}[\"post\",{PLACEHOLDER}]");
        raw.send([text(&announced), masked(0x82, &binary_post("hi"))].concat()).await;
        let mut due = vec![format!("451-[\"message\",{PLACEHOLDER}]"), "hi".to_owned()];
        due.extend((!acknowledged.is_empty()).then(|| "43456[{\"ordinal\":1,\"seq\":1}]".to_owned()));
        while !due.is_empty() {
            let packet = until(&mut raw, "").await.unwrap();
            due.retain(|one| !packet.ends_with(one.as_str()));
        }
    }
    // More attachments than an event may have.
    let mut raw = connected_websocket(&server).await;
    raw.send(text(&format!("452-[\"post\",{PLACEHOLDER},{{\"_placeholder\":true,\"num\":1}}]"))).await;
    until_closed(&mut raw).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_packet_ends_the_connection() {
    let server = TestServer::start().await;
    for wrong in [
        "4abc",
        "4",
        "48",
        "42{}",
        "42abc[\"post\",1,\"2\",{\"3\":[false]}]",
        "42",
        "42[",
        "42[1]",
        "43[]",
        "44{\"message\":\"no\"}",
        "45[\"post\"]",
        "451[\"post\"]",
        "45-[\"post\"]",
        "45x-[\"post\"]",
    ] {
        let mut raw = connected_websocket(&server).await;
        raw.send(text(wrong)).await;
        until_closed(&mut raw).await;
    }
    assert_eq!(server.stats().await.hub.log_messages, 0);
    assert_serves_others(&server).await;
}

/// A session ends when it announces too many attachments or sends more bytes than the longest post.
#[tokio::test(flavor = "multi_thread")]
async fn attachments_have_a_bound() {
    let server = TestServer::with_limits(|limits| limits.message_bytes_max = 1000).await;
    for count in ["2", "10000", "1000000000", "18446744073709551615", "99999999999999999999999999"] {
        let mut raw = websocket(&server).await;
        raw.send(text(&format!("45{count}-[\"post\",{PLACEHOLDER}]"))).await;
        until_closed(&mut raw).await;
        let mut session = Session::open(&server).await;
        session.send(&format!("45{count}-[\"post\",{PLACEHOLDER}]\x1eb{}", "A".repeat(4000))).await;
        session.until_over().await;
    }
    let long = [0; 8000];
    for wrong in [
        masked(0x82, &long),
        [masked(0x02, &long[..4000]), masked(0x00, &long[..4000])].concat(),
        // The second one was not announced.
        [masked(0x82, b"\x11"), masked(0x82, b"\x11")].concat(),
        text("42[\"leave\",null]"),
    ] {
        let mut raw = connected_websocket(&server).await;
        raw.send([text(&format!("451-[\"post\",{PLACEHOLDER}]")), wrong].concat()).await;
        until_closed(&mut raw).await;
    }
    let mut raw = connected_websocket(&server).await;
    raw.send(text(&format!("42[\"post\",\"{}\"]", "x".repeat(8000)))).await;
    until_closed(&mut raw).await;
    server.until_empty().await;
    assert_serves_others(&server).await;
}

/// engineioxide 0.17.3 panicked on a packet of six bytes whose first character has two.
#[tokio::test(flavor = "multi_thread")]
async fn packets_with_multibyte_characters_cause_no_panic_and_open_no_session() {
    let server = TestServer::with_limits(|limits| limits.connections_max = 4).await;
    for wrong in ["ééé", "éabcd", "漢字", "🎈éa", "aéabc", "bé", "b漢字"] {
        let mut raw = connected_websocket(&server).await;
        raw.send(text(wrong)).await;
        until_closed(&mut raw).await;
        let mut session = Session::connected(&server, "").await;
        assert_eq!(session.send(wrong).await.status, 400, "{wrong}");
        session.until_over().await;
    }
    for odd in ["2éabc", "3éabc", "4é", "42/é,[\"é\"]", "40/é", "421é", "42é[\"x\"]", "451-/é,1[\"é\"]"] {
        let mut raw = connected_websocket(&server).await;
        raw.send([text(odd), masked(0x88, b"\x03\xe8")].concat()).await;
        until_closed(&mut raw).await;
    }
    // Not UTF-8.
    let mut raw = connected_websocket(&server).await;
    raw.send(masked(0x81, b"4\xc3")).await;
    until_closed(&mut raw).await;
    server.until_empty().await;
    for _ in 0..3 {
        assert_serves_others(&server).await;
    }
}
