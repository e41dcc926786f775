//! Clients that take too long: they are disconnected at a limit and counted, and other clients are
//! not affected.

use std::time::Duration;

use wire::{ServerStats, Transport, TransportUsage};

use crate::clients::{Client, ClientOptions};
use crate::raw::{Raw, masked};
use crate::test_server::{StatsByTransport, TestServer};

const LONG: Duration = Duration::from_secs(60);
const PATH: &str = "/socket.io/?EIO=4";
const JOIN: &[u8] = br#"420["join",{"room":"lobby","after":0}]"#;
const SHORT: Duration = Duration::from_millis(100);

/// A client that asks for the messages of the room and reads none of them.
async fn never_reads(server: &TestServer, transport: Transport) -> Raw {
    let target = format!("/rooms/lobby/{transport}");
    let address = if transport.is_http() { server.http } else { server.tcp };
    let mut raw = Raw::connect_narrow(address).await;
    match transport {
        Transport::Tcp => {
            let join = b"\x10{\"room\":\"lobby\",\"after\":0}";
            raw.send([&(join.len() as u32).to_be_bytes()[..], join].concat()).await;
        }
        // One response fits into the socket buffers. Hundreds of pipelined ones do not.
        Transport::Polling | Transport::LongPolling => {
            let ask = format!("GET {target}?after=0 HTTP/1.1\r\nhost: localhost\r\n\r\n");
            raw.send(ask.repeat(400)).await;
        }
        Transport::HttpStreaming | Transport::Sse => {
            raw.send(format!("GET {target}?after=0 HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        }
        Transport::Websocket => {
            raw.upgrade(&format!("{target}?after=0")).await;
        }
        Transport::Stomp => {
            raw.upgrade_to(&format!("{target}?after=0"), "sec-websocket-protocol: v12.stomp\r\n").await;
            raw.send(masked(0x81, b"CONNECT\naccept-version:1.2\nhost:x\n\n\0")).await;
            raw.send(masked(0x81, b"SUBSCRIBE\nid:sub-0\ndestination:/messages\n\n\0")).await;
        }
        Transport::SocketioWebsocket => {
            raw.upgrade(&format!("{PATH}&transport=websocket")).await;
            raw.send(masked(0x81, b"40")).await;
            // The session, the namespace, a ping.
            for _ in 0..3 {
                raw.frame().await.unwrap();
            }
            raw.send(masked(0x81, b"3")).await;
            raw.send(masked(0x81, JOIN)).await;
        }
        Transport::SocketioPolling | Transport::Socketio => {
            let sid = session(&mut raw, server, transport).await;
            if transport == Transport::Socketio {
                raw = Raw::connect_narrow(address).await;
                raw.upgrade(&format!("{PATH}&transport=websocket&sid={sid}")).await;
                raw.send(masked(0x81, b"2probe")).await;
                raw.frame().await.unwrap();
                raw.send(masked(0x81, b"5")).await;
            } else {
                let ask = format!("GET {PATH}&transport=polling&sid={sid} HTTP/1.1\r\nhost: localhost\r\n\r\n");
                raw.send(ask.repeat(400)).await;
            }
        }
    }
    raw
}

/// A session on the polling of Socket.IO that has joined.
async fn session(raw: &mut Raw, server: &TestServer, transport: Transport) -> String {
    let upgrade = if transport == Transport::Socketio { "&upgrade=1" } else { "" };
    let target = format!("{PATH}&transport=polling{upgrade}");
    let open = raw.ask("GET", &target, "", "").await;
    let open: serde_json::Value = serde_json::from_slice(&open.body[1..]).unwrap();
    let target = format!("{target}&sid={}", open["sid"].as_str().unwrap());
    let mut poster = Raw::connect(server.http).await;
    let mut received = Vec::new();
    assert_eq!(poster.ask("POST", &target, "", "40").await.body, b"ok");
    while !(received.contains(&b'2') && received.windows(3).any(|part| part == b"40{")) {
        received.extend(raw.ask("GET", &target, "", "").await.body);
    }
    let pong_and_join = [b"3\x1e", JOIN].concat();
    let body = std::str::from_utf8(&pong_and_join).unwrap();
    assert_eq!(poster.ask("POST", &target, "", body).await.body, b"ok");
    open["sid"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_dropped_and_others_are_not_affected() {
    for transport in Transport::ALL {
        let server = TestServer::with_limits(|limits| {
            limits.stall_timeout = Duration::from_millis(300);
            if transport.is_socketio() {
                // This session has no connection whose end would end it, so an unanswered ping
                // does. The first ping must be answered in time on a busy machine, too.
                (limits.heartbeat, limits.stall_timeout) = (Duration::from_secs(8), Duration::from_secs(1));
            }
        })
        .await;
        let mut reader = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
        let text = "x".repeat(16 << 10);
        for _ in 0..40 {
            reader.post(&text).await;
            reader.next_message().await;
        }
        let _stuck = never_reads(&server, transport).await;
        // Posts until more bytes are in flight than the socket buffers hold.
        let posting = async {
            let mut seq = 40;
            loop {
                reader.post(&text).await;
                seq += 1;
                assert_eq!(reader.next_message().await.seq, seq, "{transport}: the reader lost a message");
            }
        };
        let what = format!("{transport} to stall");
        let usage = tokio::select! {
            never = posting => never,
            usage = server.until(&what, |usage| usage.of(transport).stalled == 1) => usage,
        };
        // An unanswered ping may end such a session before the statistics are read.
        let timed_out_max = u64::from(transport.is_socketio());
        assert!(usage.of(transport).timed_out <= timed_out_max, "{transport}");
        assert_eq!(usage.of(transport).malformed, 0, "{transport}");
        drop(reader);
        server.until_empty().await;
    }
}

/// Clients that begin a request and do not complete it: all must be disconnected and counted for
/// their transport.
async fn all_are_dropped(
    server: &TestServer,
    beginnings: &[&[u8]],
    tcp: bool,
    counted: fn(&ServerStats) -> TransportUsage,
) {
    let address = if tcp { server.tcp } else { server.http };
    let mut clients = Vec::new();
    for beginning in beginnings {
        let mut raw = Raw::connect(address).await;
        raw.send(beginning).await;
        clients.push(raw);
    }
    for raw in &mut clients {
        raw.rest().await;
    }
    let n = beginnings.len() as u64;
    let usage = server.until("every drop to be counted", |usage| counted(usage).timed_out >= n).await;
    assert_eq!(counted(&usage).timed_out, n, "{usage:#?}");
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_and_none_at_all_are_dropped_and_counted() {
    let server = TestServer::with_limits(|limits| (limits.header_timeout, limits.idle_timeout) = (SHORT, LONG)).await;
    let heads: [&[u8]; 4] =
        [b"", b"G", b"GET /rooms/lobby/polling HT", b"GET /rooms/lobby/sse HTTP/1.1\r\nhost: localhost\r\n"];
    all_are_dropped(&server, &heads, false, ServerStats::of_other).await;
    let joins: [&[u8]; 3] = [b"", &[0, 0], &[0, 0, 0, 20, 16, b'{']];
    all_are_dropped(&server, &joins, true, |usage| usage.of(Transport::Tcp)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_sent_byte_by_byte_is_timed_out() {
    let server = TestServer::with_limits(|limits| (limits.header_timeout, limits.idle_timeout) = (SHORT, LONG)).await;
    let mut raw = Raw::connect(server.http).await;
    raw.send("GET /rooms/lobby/polling HTTP/1.1\r\n").await;
    let usage = tokio::select! {
        () = async {
            while raw.try_send(b"x: y\r\n").await.is_ok() {
                tokio::time::sleep(SHORT / 10).await;
            }
            std::future::pending().await
        } => unreachable!("the server waits for the rest"),
        usage = server.until("the slow client to be dropped", |usage| usage.of_other().timed_out == 1) => usage,
    };
    assert_eq!(usage.of_other().malformed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_body_is_answered_408_and_counted() {
    for transport in Transport::ALL.into_iter().filter(|transport| transport.has_room_url()) {
        let server =
            TestServer::with_limits(|limits| (limits.header_timeout, limits.idle_timeout) = (SHORT, LONG)).await;
        let mut raw = Raw::connect(server.http).await;
        raw.send(format!("POST /rooms/lobby/{transport} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{{"))
            .await;
        let answer = raw.head().await;
        assert_eq!(answer.status, 408, "{transport}");
        raw.rest().await;
        let usage = server.until_empty().await.of(transport);
        assert_eq!((usage.timed_out, usage.malformed, usage.posts), (1, 0, 0), "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_dropped_and_a_held_one_is_not() {
    let server =
        TestServer::with_limits(|limits| (limits.header_timeout, limits.idle_timeout) = (SHORT, 2 * SHORT)).await;
    let held = [Transport::Tcp, Transport::LongPolling, Transport::HttpStreaming, Transport::Sse, Transport::Websocket];
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    let mut clients: Vec<Client> = Vec::new();
    for transport in held {
        clients.push(ClientOptions::new(transport, "lobby").join(&server).await);
    }
    let mut idle = Raw::connect(server.http).await;
    assert_eq!(idle.ask("GET", "/rooms/lobby/polling", "", "").await.status, 204);
    let waiting = async { futures_util::future::join_all(clients.iter_mut().map(Client::next_message)).await };
    let dropping = async {
        assert_eq!(idle.rest().await, b"");
        server.until("the idle client to be counted", |usage| usage.of(Transport::Polling).timed_out == 1).await;
        author.post("still here").await;
    };
    let (received, ()) = tokio::join!(waiting, dropping);
    assert!(received.iter().all(|message| message.text == "still here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_behind_its_head_does_not_make_the_connection_a_slow_one() {
    // Long enough for a body that is sent at once, on a busy machine, too.
    let header_timeout = Duration::from_secs(1);
    let server =
        TestServer::with_limits(|limits| (limits.header_timeout, limits.idle_timeout) = (header_timeout, LONG)).await;
    let mut raw = Raw::connect(server.http).await;
    let body = r#"{"author":1,"ordinal":1,"text":"hi"}"#;
    let head =
        format!("POST /rooms/lobby/polling HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    for seq in 1..=2 {
        raw.send(&head).await;
        // The response to another request shows that the head was read.
        server.until("the head to be read", |usage| usage.of(Transport::Polling).requests == seq).await;
        raw.send(body).await;
        let answer = raw.head().await;
        assert_eq!(raw.whole(answer).await.status, 200);
        // Waits for two header timeouts: two other connections end first, one after the other.
        for _ in 0..2 {
            Raw::connect(server.http).await.rest().await;
        }
    }
    assert_eq!(server.stats_of(Transport::Polling).await.timed_out, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_while_it_is_held_is_freed_at_once() {
    let server = TestServer::with_limits(|limits| (limits.header_timeout, limits.idle_timeout) = (LONG, LONG)).await;
    for transport in [Transport::LongPolling, Transport::HttpStreaming, Transport::Sse] {
        for half_closed in [false, true] {
            let mut raw = Raw::connect(server.http).await;
            raw.send(format!("GET /rooms/lobby/{transport} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
            server.until_readers(1).await;
            if half_closed {
                raw.finish().await;
                server.until_empty().await;
            } else {
                drop(raw);
                server.until_empty().await;
            }
        }
    }
    for options in ClientOptions::all("lobby") {
        drop(options.join(&server).await);
        let usage = server.until_empty().await.of(options.transport);
        assert_eq!((usage.connections_open, usage.malformed, usage.timed_out), (0, 0, 0), "{options:?}");
    }
}
