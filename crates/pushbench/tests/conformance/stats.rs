//! The counters of `/stats` after a lock-step run equal the bytes that its client counted on its
//! own socket.

use wire::{BytesUsage, ClientItem, Encoding, Framing, Transport, TransportUsage, encode_up, push_frame};

use crate::raw::{Raw, WsFrame, masked};
use crate::test_server::{StatsByTransport, TestServer};

const TEXTS: [&str; 5] =
    ["hello", "", "say \"x\"\n", "äöü 漢字", "seventy characters make a message that needs more than one hex digit..."];

fn payload() -> u64 {
    TEXTS.iter().map(|text| text.len() as u64).sum()
}

fn body(ordinal: usize) -> String {
    serde_json::json!({ "author": 1, "ordinal": ordinal, "text": TEXTS[ordinal - 1] }).to_string()
}

/// The traffic of a client in one direction.
#[derive(Default)]
struct Direction {
    total: u64,
    framing: u64,
    headers: u64,
}

/// The traffic and the requests of a client.
#[derive(Default)]
struct Seen {
    up: Direction,
    down: Direction,
    requests: u64,
    empty_answers: u64,
    frames: u64,
    connections: u64,
}

impl Seen {
    /// Adds the traffic of a socket that is no longer used.
    fn close(&mut self, raw: Raw) {
        self.up.total += raw.up;
        self.down.total += raw.down;
        self.connections += 1;
    }

    /// Posts over HTTP and counts the bytes of heads and bodies.
    async fn post(&mut self, raw: &mut Raw, target: &str, ordinal: usize) {
        let body = body(ordinal);
        let up = raw.up;
        let answer = raw.ask("POST", target, "", &body).await;
        assert_eq!(answer.status, 200);
        self.requests += 1;
        self.up.headers += raw.up - up - body.len() as u64;
        self.down.headers += answer.head.len() as u64;
    }
}

async fn tcp(server: &TestServer) -> Seen {
    let mut seen = Seen::default();
    let mut raw = Raw::connect(server.tcp).await;
    let join = wire::Join { room: "lobby".parse().unwrap(), start: wire::StartAt::Live, token: None };
    let mut out = Vec::new();
    push_frame(&mut out, |out| encode_up(&ClientItem::Join(join), out));
    seen.up.headers = out.len() as u64;
    raw.send(&out).await;
    let mut due = 1;
    for ordinal in 1..=TEXTS.len() {
        take_frames(&mut raw, &mut seen, due).await;
        let post = wire::Post { author: 1, ordinal: ordinal as u64, text: TEXTS[ordinal - 1].into() };
        out.clear();
        push_frame(&mut out, |out| encode_up(&ClientItem::Post(post), out));
        seen.up.framing += 4;
        raw.send(&out).await;
        due = 2;
    }
    take_frames(&mut raw, &mut seen, due).await;
    seen.close(raw);
    seen
}

async fn take_frames(raw: &mut Raw, seen: &mut Seen, count: u64) {
    for _ in 0..count {
        let length = u32::from_be_bytes(raw.take(4).await.try_into().unwrap());
        raw.take(length as usize).await;
        seen.frames += 1;
        seen.down.framing += 4;
    }
}

async fn polling(server: &TestServer, transport: Transport) -> Seen {
    let mut seen = Seen::default();
    let mut raw = Raw::connect(server.http).await;
    let target = format!("/rooms/lobby/{transport}");
    let ask = if transport == Transport::LongPolling { format!("{target}?hold_ms=0&") } else { format!("{target}?") };
    for ordinal in 0..=TEXTS.len() {
        if ordinal > 0 {
            seen.post(&mut raw, &target, ordinal).await;
            server.until("the message in the room", |usage| usage.hub.log_messages == ordinal as u64).await;
        }
        let up = raw.up;
        let after = ordinal.saturating_sub(1);
        let answer = raw.ask("GET", &format!("{ask}after={after}"), "", "").await;
        seen.requests += 1;
        seen.up.headers += raw.up - up;
        seen.down.headers += answer.head.len() as u64;
        let lines = answer.body.iter().filter(|byte| **byte == b'\n').count() as u64;
        seen.frames += lines;
        seen.down.framing += lines;
        seen.empty_answers += u64::from(answer.status == 204);
    }
    seen.close(raw);
    seen
}

async fn streaming(server: &TestServer, transport: Transport) -> Seen {
    let mut seen = Seen::default();
    let (mut raw, mut poster) = (Raw::connect(server.http).await, Raw::connect(server.http).await);
    let target = format!("/rooms/lobby/{transport}");
    let answer = raw.begin("GET", &target, "", "").await;
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    seen.requests += 1;
    (seen.up.headers, seen.down.headers) = (raw.up, answer.head.len() as u64);
    for ordinal in 0..=TEXTS.len() {
        if ordinal > 0 {
            seen.post(&mut poster, &target, ordinal).await;
        }
        let chunk = String::from_utf8(raw.chunk().await).unwrap();
        let json = chunk.lines().find_map(|line| line.strip_prefix("data: ").or(line.starts_with('{').then_some(line)));
        let size_line = format!("{:x}\r\n", chunk.len()).len();
        seen.down.framing += (size_line + chunk.len() - json.unwrap().len() + 2) as u64;
        seen.frames += 2;
    }
    seen.close(raw);
    seen.close(poster);
    seen
}

async fn websocket(server: &TestServer, encoding: Encoding) -> Seen {
    let mut seen = Seen::default();
    let mut raw = Raw::connect(server.http).await;
    let answer = raw.upgrade(&format!("/rooms/lobby/websocket?encoding={}", encoding.name())).await;
    seen.requests += 1;
    (seen.up.headers, seen.down.headers) = (raw.up, answer.head.len() as u64);
    let mut due = 1;
    for ordinal in 0..=TEXTS.len() {
        if ordinal > 0 {
            let frame = match encoding {
                Encoding::Json => masked(0x81, body(ordinal).as_bytes()),
                Encoding::Binary => {
                    let mut out = Vec::new();
                    let post = wire::Post { author: 1, ordinal: ordinal as u64, text: TEXTS[ordinal - 1].into() };
                    encode_up(&ClientItem::Post(post), &mut out);
                    masked(0x82, &out)
                }
            };
            seen.up.framing += 6;
            raw.send(frame).await;
            due = 2;
        }
        for _ in 0..due {
            let frame = raw.frame().await.unwrap();
            seen.frames += 1;
            seen.down.framing += if frame.payload.len() < 126 { 2 } else { 4 };
        }
    }
    close_websocket(raw, seen).await
}

async fn stomp(server: &TestServer) -> Seen {
    let mut seen = Seen::default();
    let mut raw = Raw::connect(server.http).await;
    let answer = raw.upgrade_to("/rooms/lobby/stomp", "sec-websocket-protocol: v12.stomp\r\n").await;
    seen.requests += 1;
    seen.down.headers = answer.head.len() as u64;
    raw.send(masked(0x81, b"CONNECT\naccept-version:1.2\nhost:x\n\n\0")).await;
    raw.send(masked(0x81, b"SUBSCRIBE\nid:sub-0\ndestination:/messages\n\n\0")).await;
    seen.up.headers = raw.up;
    for ordinal in 0..=TEXTS.len() {
        if ordinal > 0 {
            let head = format!("SEND\ndestination:/messages\nreceipt:{ordinal}\n\n");
            let frame = format!("{head}{}\0", body(ordinal));
            seen.up.framing += head.len() as u64 + 1 + if frame.len() < 126 { 6 } else { 8 };
            raw.send(masked(0x81, frame.as_bytes())).await;
        }
        for _ in 0..2 {
            let frame = raw.frame().await.unwrap();
            let text = String::from_utf8(frame.payload).unwrap();
            let (_, item) = text.strip_suffix('\0').unwrap().split_once("\n\n").unwrap();
            seen.frames += 1;
            seen.down.framing += (text.len() - item.len()) as u64 + if text.len() < 126 { 2 } else { 4 };
        }
    }
    close_websocket(raw, seen).await
}

async fn close_websocket(mut raw: Raw, mut seen: Seen) -> Seen {
    let close = masked(0x80 | WsFrame::CLOSE, b"\x03\xe8");
    seen.up.headers += close.len() as u64;
    raw.send(close).await;
    seen.down.headers += raw.rest().await.len() as u64;
    seen.close(raw);
    seen
}

fn check(usage: &TransportUsage, seen: &Seen, framing: Framing) {
    let of = |bytes: &BytesUsage| (bytes.total, bytes.payload, bytes.framing, bytes.headers);
    let expected = |direction: &Direction| (direction.total, payload(), direction.framing, direction.headers);
    assert_eq!(of(&usage.up), expected(&seen.up), "{framing:?}, up: total, payload, framing, headers");
    assert_eq!(of(&usage.down), expected(&seen.down), "{framing:?}, down: total, payload, framing, headers");
    for bytes in [usage.up, usage.down] {
        assert_eq!(bytes.total, bytes.payload + bytes.envelope + bytes.framing + bytes.headers, "{framing:?}");
    }
    let posts = TEXTS.len() as u64;
    assert_eq!((usage.posts, usage.messages, usage.batches), (posts, posts, posts), "{framing:?}");
    assert_eq!((usage.requests, usage.empty_answers), (seen.requests, seen.empty_answers), "{framing:?}");
    assert_eq!((usage.frames, usage.connections_opened), (seen.frames, seen.connections), "{framing:?}");
    assert!(usage.socket_writes >= posts && usage.socket_reads >= posts, "{framing:?}");
    assert_eq!((usage.malformed, usage.refused, usage.timed_out, usage.stalled, usage.gaps), (0, 0, 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_step_run_adds_up_to_the_byte_on_every_transport() {
    let pairs = Transport::ALL.into_iter().flat_map(|t| t.encodings().map(move |e| (t, e)));
    for (transport, encoding) in pairs {
        let server = TestServer::start().await;
        let seen = match transport {
            Transport::Tcp => tcp(&server).await,
            Transport::Polling | Transport::LongPolling => polling(&server, transport).await,
            Transport::HttpStreaming | Transport::Sse => streaming(&server, transport).await,
            Transport::Websocket => websocket(&server, encoding).await,
            Transport::Stomp => stomp(&server).await,
            // The bytes of a library are not known by class: `socketio` checks what is known.
            Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio => continue,
        };
        let usage = server.until_empty().await;
        assert!(usage.metered);
        check(&usage.of(transport), &seen, transport.framing(encoding));
        for other in Transport::ALL.into_iter().filter(|other| *other != transport) {
            assert_eq!(usage.of(other), TransportUsage::default(), "{transport} was counted as {other}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_stream_and_its_heartbeats_are_counted_as_framing() {
    for transport in [Transport::HttpStreaming, Transport::Sse] {
        let server = TestServer::with_limits(|limits| {
            limits.heartbeat = std::time::Duration::from_millis(20);
            limits.stream_age = std::time::Duration::from_millis(100);
        })
        .await;
        let mut raw = Raw::connect(server.http).await;
        let answer = raw.begin("GET", &format!("/rooms/lobby/{transport}"), "connection: close\r\n", "").await;
        raw.rest().await;
        let down = server.until_empty().await.of(transport).down;
        assert_eq!((down.total, down.headers, down.payload), (raw.down, answer.head.len() as u64, 0), "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_later_is_counted_with_its_request() {
    let server = TestServer::start().await;
    let mut raw = Raw::connect(server.http).await;
    let body = body(1);
    raw.send(format!("POST /rooms/lobby/sse HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len()))
        .await;
    server.until("the head to be read", |usage| usage.of(Transport::Sse).requests == 1).await;
    raw.send(&body).await;
    let answer = raw.head().await;
    raw.whole(answer).await;
    // While the connection is still open: counting does not wait for its next request.
    let up = server.stats_of(Transport::Sse).await.up;
    assert_eq!((up.total, up.payload), (raw.up, TEXTS[0].len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_is_metered_too() {
    let server = TestServer::start().await;
    let usage = server.stats().await;
    assert_eq!(usage.pid, std::process::id());
    assert!(usage.process.cpu_user_us + usage.process.cpu_system_us > 0 && usage.process.resident_bytes > 1 << 20);
    assert!(server.stats().await.uptime_us > usage.uptime_us);
    assert_eq!(usage.transports.len(), Transport::ALL.len() + 1);
}
