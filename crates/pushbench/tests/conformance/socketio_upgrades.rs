//! Upgrades from polling to a WebSocket: a failed upgrade leaves the session on polling, and a
//! completed one loses no message.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wire::Transport;

use crate::clients::ClientOptions;
use crate::engineio::{Session, WEBSOCKET, assert_serves_others, text, until, until_closed};
use crate::raw::{Raw, WsFrame, masked};
use crate::test_server::{StatsByTransport, TestServer};

const JOIN: &str = "420[\"join\",{\"room\":\"lobby\",\"after\":0}]";

/// Polls until a message arrives. At most two polls may return without it: one with a ping and one
/// with a noop.
async fn poll_for(session: &mut Session, text: &str) {
    let mut polls = Vec::new();
    while !polls.last().is_some_and(|packets: &String| packets.contains(text)) {
        assert!(polls.len() < 3, "expected {text}: {polls:?}");
        let (status, packets) = session.packets().await;
        assert_eq!(status, 200, "expected {text}: {polls:?}");
        polls.push(packets);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_fails_leaves_the_session_on_polling() {
    let server = TestServer::start().await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    let probe_and_close = [text("2probe"), masked(0x80 | WsFrame::CLOSE, b"")].concat();
    for (what, beginning) in [
        ("closed", vec![]),
        ("closed", masked(0x80 | WsFrame::CLOSE, b"\x03\xe8")),
        ("closed after the probe", probe_and_close),
        ("an invalid packet", text("xyz")),
        ("characters in several bytes", text("éabcd")),
        ("a ping that is no probe", text("2")),
        ("an event", text("42[]")),
        ("the end without the beginning", text("5")),
        ("an invalid packet after the probe", [text("2probe"), text("2probe")].concat()),
        ("bytes", masked(0x82, b"2probe")),
        ("half a frame", vec![0x81, 0x86, 1]),
        ("no mask", b"\x81\x062probe".to_vec()),
        ("more than a probe", masked(0x81, &[b'2'; 1000])),
    ] {
        let mut session = Session::joined(&server, "lobby").await;
        for round in 0..2 {
            let mut raw = session.websocket(&server).await;
            raw.send(&beginning).await;
            if matches!(what, "closed" | "half a frame") {
                raw.finish().await;
            }
            until_closed(&mut raw).await;
            let text = format!("{what}, round {round}");
            author.post(&text).await;
            poll_for(&mut session, &text).await;
        }
        // A later upgrade succeeds.
        let mut raw = session.probed(&server).await;
        raw.send(text("5")).await;
        author.post("afterwards").await;
        assert!(until(&mut raw, "42").await.unwrap().contains("afterwards"), "{what}");
    }
    drop(author);
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_websocket_changes_nothing_and_is_closed_in_time() {
    let server = TestServer::with_limits(|limits| limits.header_timeout = Duration::from_secs(1)).await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    let mut session = Session::joined(&server, "lobby").await;
    let mut raw = session.websocket(&server).await;
    tokio::join!(poll_for(&mut session, "during the upgrade"), author.post("during the upgrade"));
    assert_eq!(raw.close_code().await, None);
    raw.rest().await;
    assert_eq!(server.stats_of(Transport::Socketio).await.timed_out, 1);
    author.post("after the upgrade").await;
    poll_for(&mut session, "after the upgrade").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_after_the_probe_return_a_noop_after_a_while() {
    let server = TestServer::start().await;
    let mut session = Session::joined(&server, "lobby").await;
    // The first poll returns at once, because the client waits for its end. A client that continues
    // to poll has to wait.
    let mut raw = session.probed(&server).await;
    let start = Instant::now();
    const POLLS: u32 = 12;
    for _ in 0..POLLS {
        let (status, packets) = session.packets().await;
        assert!(status == 200 && matches!(packets.as_str(), "2" | "6"), "{packets}");
    }
    // The first noop and the ping may arrive at once.
    assert!(start.elapsed() >= (POLLS - 2) * Duration::from_millis(20), "{:?}", start.elapsed());
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    author.post("meanwhile").await;
    poll_for(&mut session, "meanwhile").await;
    raw.send(text("5")).await;
    author.post("afterwards").await;
    assert!(until(&mut raw, "42").await.unwrap().contains("afterwards"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_ends_a_held_poll() {
    let server = TestServer::start().await;
    let mut session = Session::open(&server).await;
    assert_eq!(session.packets().await.1, "2");
    let mut raw = session.websocket(&server).await;
    let probe = async {
        raw.send(text("2probe")).await;
        assert_eq!(raw.frame().await.unwrap().payload, b"3probe");
    };
    assert_eq!(session.poll_and(&server, probe).await.0, (200, "6".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_websockets_one_gets_the_session() {
    let server = TestServer::start().await;
    for _ in 0..20 {
        let session = Session::connected(&server, "").await;
        let ((mut one, first), (mut other, second)) =
            tokio::join!(session.try_websocket(&server), session.try_websocket(&server));
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [101, 400]);
        let raw = if first.status == 101 { &mut one } else { &mut other };
        raw.send([text("2probe"), text("5"), text(JOIN)].concat()).await;
        assert_eq!(until(raw, "430").await.unwrap(), "430[{\"after\":0}]");
        assert_eq!(session.try_websocket(&server).await.1.status, 400);
    }
    server.until_empty().await;
    assert_serves_others(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_may_come_in_one_piece_in_pieces_or_with_pings_between() {
    let server = TestServer::start().await;
    let all = [text("2probe"), text("5"), text("40"), text("3")].concat();
    let ping = masked(0x80 | WsFrame::PING, b"there?");
    let fragments = [masked(0x01, b"2pr"), ping.clone(), masked(0x80, b"obe"), ping, text("5"), text("40")].concat();
    for (what, pieces) in [
        ("one piece", vec![all.clone()]),
        ("byte by byte", all.chunks(1).map(<[u8]>::to_vec).collect()),
        ("fragments and pings", vec![fragments]),
    ] {
        let session = Session::open(&server).await;
        let mut raw = session.websocket(&server).await;
        for piece in pieces {
            raw.send(&piece).await;
        }
        assert!(until(&mut raw, "40{").await.is_some(), "{what}");
    }
    // In the same write as the handshake.
    let session = Session::open(&server).await;
    let mut raw = Raw::connect(server.http).await;
    let head = format!(
        "GET {WEBSOCKET}&sid={} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        session.sid
    );
    raw.send([head.as_bytes(), &all].concat()).await;
    assert_eq!(raw.head().await.status, 101);
    assert!(until(&mut raw, "40{").await.is_some());
}

/// Messages that did not fit into the response to the last poll arrive first on the WebSocket.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_in_an_upgrade() {
    const BURST: u64 = 400;
    let server =
        TestServer::with_limits(|limits| (limits.message_bytes_max, limits.log_bytes_max) = (1000, 1 << 20)).await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    for ordinal in 1..=BURST {
        author.post(&format!("<{ordinal:0900}>")).await;
    }
    for (encoding, polls) in [("json", 0), ("json", 1), ("json", 3), ("binary", 3)] {
        let mut session = Session::connected(&server, "").await;
        let join = JOIN.replace("\"after\"", &format!("\"encoding\":\"{encoding}\",\"after\""));
        let before = server.stats_of(Transport::SocketioPolling).await.messages;
        assert_eq!(session.send(&join).await.status, 200);
        // More messages than fit into the response to a poll.
        server.until("its messages", |usage| usage.of(Transport::SocketioPolling).messages > before + 20).await;
        let mut received = Vec::new();
        for _ in 0..polls {
            let (status, packets) = session.packets().await;
            assert_eq!(status, 200);
            received.extend(packets.split('\x1e').map(decoded));
        }
        let mut raw = session.probed(&server).await;
        raw.send(text("5")).await;
        let mut due = 1;
        received.reverse();
        while due <= BURST {
            let packet = match received.pop() {
                Some(packet) => packet,
                None => String::from_utf8_lossy(&raw.frame().await.unwrap().payload).into_owned(),
            };
            if packet.contains('<') {
                assert!(
                    packet.contains(&format!("<{due:0900}>")),
                    "{encoding}, {polls} polls: expected {due}: {packet}"
                );
                due += 1;
            }
        }
    }
}

/// Converts a packet from its form on polling to its form on a WebSocket.
fn decoded(packet: &str) -> String {
    match packet.strip_prefix('b') {
        Some(encoded) => String::from_utf8_lossy(&STANDARD.decode(encoded).unwrap()).into_owned(),
        None => packet.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_upgrades_before_its_connect_gets_every_message() {
    const BURST: u64 = 5000;
    let server =
        TestServer::with_limits(|limits| (limits.log_messages_max, limits.log_bytes_max) = (8192, 16 << 20)).await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    for _ in 0..BURST {
        author.post(&"x".repeat(200)).await;
    }
    let session = Session::open(&server).await;
    let mut raw = session.probed(&server).await;
    raw.send([text("5"), text("40")].concat()).await;
    until(&mut raw, "40").await.unwrap();
    raw.send(text(JOIN)).await;
    for seq in 1..=BURST {
        let message = until(&mut raw, "42").await.unwrap();
        assert!(message.starts_with(&format!("42[\"message\",{{\"seq\":{seq},")), "{seq}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_during_its_upgrade_is_freed() {
    let server = TestServer::with_limits(|limits| {
        limits.connections_max = 4;
        limits.header_timeout = Duration::from_secs(1);
    })
    .await;
    for _ in 0..6 {
        let mut session = Session::connected(&server, "").await;
        let mut raw = session.probed(&server).await;
        assert_eq!(session.send("1").await.status, 200);
        raw.send([text("5"), text(JOIN)].concat()).await;
        until_closed(&mut raw).await;
        // The same before the probe.
        let mut session = Session::connected(&server, "").await;
        let raw = session.websocket(&server).await;
        assert_eq!(session.send("1").await.status, 200);
        drop((session, raw));
    }
    server.until_empty().await;
    assert_serves_others(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_namespace_and_its_probe_do_not_delay_a_shutdown() {
    let server = TestServer::with_limits(|limits| limits.header_timeout = Duration::from_secs(60)).await;
    let mut session = Session::open(&server).await;
    assert_eq!(session.packets().await.1, "2");
    let mut raw = session.websocket(&server).await;
    let before = server.stats_of(Transport::SocketioPolling).await.requests;
    let stop = async {
        server.until("the poll", |usage| usage.of(Transport::SocketioPolling).requests > before).await;
        let start = Instant::now();
        server.shutdown().await;
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    };
    let (poll, (), ()) = tokio::join!(session.packets(), until_closed(&mut raw), stop);
    assert_eq!(poll, (200, "6".to_owned()));
}
