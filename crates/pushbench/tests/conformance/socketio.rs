//! Socket.IO packet by packet: bursts without loss, counters, and bad input, each answered by the
//! error of the protocol while other clients are not affected.

use std::time::Duration;

use wire::{ClientItem, Encoding, Message, Post, ServerItem, Transport, encode_down, encode_up};

use crate::clients::{ClientOptions, Received};
use crate::engineio::{ALL, POLLING, Session, WEBSOCKET, assert_serves_others, until, until_closed, websocket};
use crate::raw::{Raw, WsFrame, masked};
use crate::test_server::{StatsByTransport, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_5000_reaches_every_client_or_is_a_gap() {
    const BURST: u64 = 5000;
    for (log, gaps) in [(8192, false), (1000, true)] {
        let server =
            TestServer::with_limits(|limits| (limits.log_messages_max, limits.log_bytes_max) = (log, 16 << 20)).await;
        let options: Vec<_> =
            ClientOptions::all("lobby").into_iter().filter(|options| options.transport.is_socketio()).collect();
        let mut clients = Vec::new();
        for options in &options {
            clients.push(options.join(&server).await);
        }
        // No client reads during the burst. Each has a bounded number of packets in flight; the log
        // has the rest.
        let mut author = Raw::connect(server.tcp).await;
        let mut out = Vec::new();
        let join = wire::Join { room: "lobby".parse().unwrap(), start: wire::StartAt::Live, token: None };
        wire::push_frame(&mut out, |out| wire::encode_up(&wire::ClientItem::Join(join), out));
        for ordinal in 1..=BURST {
            let text = format!("{ordinal:0200}").into();
            wire::push_frame(&mut out, |out| {
                wire::encode_up(&wire::ClientItem::Post(wire::Post { author: 1, ordinal, text }), out);
            });
        }
        author.send(&out).await;
        server.until("the burst to be taken", |usage| usage.of(Transport::Tcp).posts == BURST).await;
        drop(author);
        for (client, options) in clients.iter_mut().zip(&options) {
            let (mut next, mut missed) = (1, 0);
            while next <= BURST {
                match client.next().await {
                    Received::Message(message) => {
                        assert_eq!((message.seq, message.ordinal), (next, next), "{options:?}");
                        next += 1;
                    }
                    Received::Gap(gap) => {
                        assert_eq!(gap.from, next, "{options:?}");
                        missed += gap.to + 1 - gap.from;
                        next = gap.to + 1;
                    }
                    Received::Heartbeat => {}
                    end @ (Received::Reset(_) | Received::Ended(_)) => panic!("{options:?}: {end:?}"),
                }
            }
            assert!(gaps || missed == 0, "{options:?} got a gap of {missed} messages that the log still has");
        }
        for transport in ALL {
            assert_eq!(server.stats_of(transport).await.emit_errors, 0, "{transport}");
        }
    }
}

/// Bytes of a post and of its message, the first and only one of this author.
fn written(options: &ClientOptions, n: u64, text: &str) -> (usize, usize) {
    let post = Post { author: options.author, ordinal: n, text: text.into() };
    let message = Message { seq: n, author: options.author, ordinal: n, text: text.into() };
    if options.encoding == Encoding::Json {
        return (serde_json::to_vec(&post).unwrap().len(), serde_json::to_vec(&message).unwrap().len());
    }
    let (mut up, mut down) = (Vec::new(), Vec::new());
    encode_up(&ClientItem::Post(post), &mut up);
    encode_down(&ServerItem::Message(message), &mut down);
    (up.len(), down.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn its_known_costs_are_counted() {
    for options in ClientOptions::all("lobby").into_iter().filter(|options| options.transport.is_socketio()) {
        let server = TestServer::start().await;
        let mut client = options.join(&server).await;
        for n in 1..=5 {
            client.post("hello").await;
            assert_eq!(client.next_message().await.seq, n);
        }
        drop(client);
        let usage = server.until_empty().await;
        for other in Transport::ALL.into_iter().filter(|other| *other != options.transport) {
            assert_eq!(usage.of(other).requests, 0, "{options:?} was counted as {other}");
        }
        let usage = usage.of(options.transport);
        assert_eq!((usage.posts, usage.messages, usage.up.payload, usage.down.payload), (5, 5, 25, 25), "{options:?}");
        assert!((1..=5).contains(&usage.batches) && usage.frames >= 5, "{options:?}: {usage:?}");
        let (up, down) = (1..=5).fold((0, 0), |sum, n| {
            let (post, message) = written(&options, n, "hello");
            (sum.0 + post as u64 - 5, sum.1 + message as u64 - 5)
        });
        assert_eq!((usage.up.envelope, usage.down.envelope), (up, down), "{options:?}: {usage:?}");
        for bytes in [usage.up, usage.down] {
            assert!(bytes.framing > 0 && bytes.headers > 0, "{options:?}: {usage:?}");
        }
        assert_eq!((usage.malformed, usage.timed_out, usage.stalled, usage.emit_errors), (0, 0, 0, 0), "{options:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_namespaces_show_the_same_rooms_and_others_are_refused() {
    let server = TestServer::start().await;
    let mut observer = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    let mut session = Session::connected(&server, "/chat,").await;
    session.send("42/chat,0[\"join\",{\"room\":\"lobby\"}]").await;
    assert_eq!(session.until("43/chat,0").await, "43/chat,0[{\"after\":0}]");
    session.send("42/chat,1[\"post\",{\"author\":1,\"ordinal\":1,\"text\":\"hi\"}]").await;
    assert_eq!(observer.next_message().await.text, "hi");
    assert!(session.until("42/chat,").await.contains("\"seq\":1"));
    session.send("42/chat,2[\"leave\",null]").await;
    assert_eq!(session.until("43/chat,2").await, "43/chat,2[true]");
    server.until_readers(1).await;
    session.send("40/nowhere,").await;
    assert_eq!(session.until("44").await, "44/nowhere,{\"message\":\"Invalid namespace\"}");
    assert_serves_others(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_requests_are_400_and_name_the_parameter() {
    let server = TestServer::start().await;
    let session = Session::open(&server).await;
    let mut raw = Raw::connect(server.http).await;
    for (method, target, field) in [
        ("GET", "/socket.io/?transport=polling".to_owned(), "EIO"),
        ("GET", "/socket.io/?EIO=3&transport=polling".to_owned(), "EIO"),
        ("GET", "/socket.io/?EIO=3&transport=websocket".to_owned(), "EIO"),
        ("GET", "/socket.io/?EIO=4".to_owned(), "transport"),
        ("GET", "/socket.io/?EIO=4&transport=pigeon".to_owned(), "transport"),
        ("GET", "/socket.io/?EIO=4&transport=websocket=".to_owned(), "transport"),
        ("GET", "/socket.io/".to_owned(), "EIO"),
        ("GET", format!("{POLLING}&sid=AAAAAAAAAAAAAAAA"), "sid"),
        ("POST", format!("{POLLING}&sid=AAAAAAAAAAAAAAAA"), "sid"),
        ("POST", POLLING.to_owned(), "method"),
        ("PUT", POLLING.to_owned(), "method"),
        ("PUT", session.target.clone(), "method"),
        ("OPTIONS", session.target.clone(), "method"),
    ] {
        let answer = raw.ask(method, &target, "", if method == "POST" { "40" } else { "" }).await;
        assert_eq!(answer.status, 400, "{method} {target}");
        let error_body: wire::ErrorBody = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(error_body.field, field, "{method} {target}: {error_body}");
    }
    assert_serves_others(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_or_unknown_sid_opens_no_session() {
    let server = TestServer::with_limits(|limits| limits.connections_max = 4).await;
    let long = "A".repeat(4000);
    for sid in
        ["", "A", "AAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAA%3D", "../../etc", &long]
    {
        for (method, target) in [("GET", POLLING), ("POST", POLLING), ("GET", WEBSOCKET)] {
            let mut raw = Raw::connect(server.http).await;
            let target = format!("{target}&sid={sid}");
            let answer = if target.contains("websocket") {
                raw.upgrade(&target).await
            } else {
                raw.ask(method, &target, "", if method == "POST" { "40" } else { "" }).await
            };
            let error_body: wire::ErrorBody = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((answer.status, error_body.field.as_str()), (400, "sid"), "{method} {target}");
        }
    }
    server.until_empty().await;
    // No session is open.
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::connect(server.http).await;
        sessions.push(raw.ask("GET", POLLING, "connection: close\r\n", "").await.status);
    }
    assert_eq!(sessions, [200; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_handshake_opens_no_session() {
    let server = TestServer::with_limits(|limits| limits.connections_max = 4).await;
    let session = Session::open(&server).await;
    let right = [
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    for target in [WEBSOCKET.to_owned(), format!("{WEBSOCKET}&sid={}", session.sid)] {
        for (method, wrong, instead, status) in [
            ("GET", 0, "x: y", 426),
            ("GET", 0, "upgrade: h2c", 426),
            ("GET", 1, "connection: keep-alive", 426),
            ("POST", 1, "connection: upgrade", 426),
            ("GET", 2, "sec-websocket-version: 8", 426),
            ("GET", 2, "x: y", 426),
            ("GET", 3, "sec-websocket-key: short", 400),
            ("GET", 3, "sec-websocket-key: dGhlIHNhbXBsZSBub25jZS!=", 400),
            ("GET", 3, "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQAA", 400),
            ("GET", 3, "x: y", 400),
        ] {
            let mut lines = right;
            lines[wrong] = instead;
            let mut raw = Raw::connect(server.http).await;
            let answer = raw.ask(method, &target, &(lines.join("\r\n") + "\r\n"), "").await;
            assert_eq!(answer.status, status, "{method} {target} {instead}");
        }
        let mut raw = Raw::connect(server.http).await;
        raw.send(format!("GET {target} HTTP/1.0\r\nhost: 127.0.0.1\r\n{}\r\n\r\n", right.join("\r\n"))).await;
        assert_eq!(raw.head().await.status, 426, "HTTP/1.0");
    }
    drop(session.probed(&server).await);
    for _ in 0..3 {
        websocket(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_poll_while_one_is_held_ends_the_session() {
    let server = TestServer::start().await;
    let Session { mut raw, target, .. } = Session::connected(&server, "").await;
    let mut second = Raw::connect(server.http).await;
    let ask = async |raw: &mut Raw| {
        loop {
            let answer = raw.ask("GET", &target, "", "").await;
            if answer.status != 200 {
                return answer.status;
            }
        }
    };
    assert_eq!(tokio::join!(ask(&mut raw), ask(&mut second)), (400, 400));
    assert_serves_others(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_packet_on_polling_ends_the_session_at_once() {
    for held in [false, true] {
        // Nothing else would detect it within the timeout of this test.
        let server = TestServer::with_limits(|limits| limits.heartbeat = Duration::from_secs(600)).await;
        let mut session = Session::connected(&server, "").await;
        assert_eq!(session.send("420[\"join\",{\"room\":\"lobby\"}]").await.status, 200);
        session.until("430").await;
        let before = server.until_readers(1).await.of(Transport::SocketioPolling).socket_reads;
        let mut second = Raw::connect(server.http).await;
        let target = session.target.clone();
        let leaving = async {
            if held {
                server.until("the question", |usage| usage.of(Transport::SocketioPolling).socket_reads > before).await;
            }
            second.ask("POST", &target, "", "1").await.status
        };
        if held {
            let (poll, leave) = tokio::join!(session.raw.ask("GET", &session.target, "", ""), leaving);
            assert_eq!((poll.status, leave), (200, 200));
        } else {
            assert_eq!(leaving.await, 200);
        }
        server.until_readers(0).await;
        assert_eq!(session.raw.ask("GET", &session.target, "", "").await.status, 400);
        assert_eq!(server.stats_of(Transport::SocketioPolling).await.timed_out, 0);
        assert_serves_others(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_max_payload_and_malformed_packets_end_the_session() {
    let server = TestServer::with_limits(|limits| limits.message_bytes_max = 1000).await;
    let long = format!("42[\"post\",\"{}\"]", "x".repeat(8000));
    let cases = [(long.as_str(), 413), ("9", 400), ("4\x1e9", 400), ("b***", 400), ("5", 400), ("2probe", 400)];
    for (body, status) in cases {
        let mut session = Session::connected(&server, "").await;
        let answer = session.send(body).await;
        assert_eq!(answer.status, status, "{:?}", &body[..body.len().min(40)]);
    }
    // Packets of Engine.IO without a packet of Socket.IO.
    for body in ["4", "49", "42", "42[", "42{}", "451-[\"post\",{\"_placeholder\":true,\"num\":0}]\x1e42[\"x\"]"] {
        let mut session = Session::connected(&server, "").await;
        session.send(body).await;
        let mut raw = websocket(&server).await;
        raw.send(masked(0x81, b"40")).await;
        until(&mut raw, "40").await.unwrap();
        for packet in body.split('\x1e') {
            raw.send(masked(0x81, packet.as_bytes())).await;
        }
        // The session ends or the packet is ignored. It is never a post.
        raw.send(masked(0x80 | WsFrame::CLOSE, b"\x03\xe8")).await;
        raw.rest().await;
    }
    let usage = server.stats().await;
    assert_eq!(usage.hub.log_messages, 0);
    assert!(usage.of(Transport::SocketioPolling).malformed >= cases.len() as u64);
    assert_serves_others(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_events_are_acknowledged_with_an_error_body() {
    let server = TestServer::start().await;
    for (packet, field) in [
        ("420[\"join\",{\"room\":\"a room\"}]", "room"),
        ("420[\"join\",{\"room\":\"lobby\",\"after\":9}]", "after"),
        ("420[\"join\",{\"room\":\"lobby\",\"extra\":9}]", "join"),
        ("420[\"join\",7]", "join"),
        ("420[\"join\"]", "join"),
        ("420[\"post\",{\"author\":1,\"ordinal\":1,\"text\":\"x\"}]", "post"),
    ] {
        let mut session = Session::connected(&server, "").await;
        session.send(packet).await;
        let answer = session.until("430").await;
        let error_bodies: Vec<wire::ErrorBody> = serde_json::from_str(&answer[3..]).unwrap();
        assert_eq!(error_bodies[0].field, field, "{packet}: {answer}");
    }
    // Without an acknowledgement the refusal is an event.
    let mut session = Session::connected(&server, "").await;
    session.send("42[\"join\",{\"room\":\"a room\"}]").await;
    assert!(session.until("42[\"problem\"").await.contains("not a room name"));
    assert_eq!(server.stats_of(Transport::SocketioPolling).await.malformed, 7);
    assert_serves_others(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_connect_in_time_is_closed() {
    let server = TestServer::with_limits(|limits| limits.header_timeout = Duration::from_millis(100)).await;
    let mut client = websocket(&server).await;
    until_closed(&mut client).await;
    let mut session = Session::open(&server).await;
    loop {
        let target = session.target.clone();
        let answer = session.raw.ask("GET", &target, "", "").await;
        if answer.status != 200 {
            break;
        }
        assert!(matches!(answer.body.as_slice(), b"2" | b"1" | b"2\x1e1"), "{answer:?}");
    }
    // An event before the CONNECT has no receiver.
    let mut early = websocket(&server).await;
    early.send(masked(0x81, b"42[\"join\",{\"room\":\"lobby\"}]")).await;
    assert_eq!(until(&mut early, "43").await, None);
    assert_eq!(server.stats().await.hub.readers, 0);
    assert_serves_others(&server).await;
}
