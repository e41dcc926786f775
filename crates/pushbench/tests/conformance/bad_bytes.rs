//! Bodies and frames that are too large or malformed. Each is answered in the way of its transport
//! and counted, and other clients are not affected.

use wire::{ClientItem, ErrorBody, Post, ServerItem, Transport, decode_down, encode_up, push_frame};

use crate::clients::ClientOptions;
use crate::raw::{Raw, masked};
use crate::test_server::{StatsByTransport, TestServer};

const TEXT_MAX: usize = 1000;
/// More than the socket buffers hold.
const FAR_TOO_MUCH: usize = 7 << 20;

async fn server() -> TestServer {
    TestServer::with_limits(|limits| limits.message_bytes_max = TEXT_MAX).await
}

fn post_json(text: &str) -> String {
    format!(r#"{{"author":1,"ordinal":1,"text":"{text}"}}"#)
}

fn framed(item: &ClientItem<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    push_frame(&mut out, |out| encode_up(item, out));
    out
}

fn join() -> Vec<u8> {
    let join = wire::Join { room: "lobby".parse().unwrap(), start: wire::StartAt::Live, token: None };
    framed(&ClientItem::Join(join))
}

/// The error body in the last of these frames.
fn last_error(bytes: &[u8]) -> ErrorBody {
    let mut rest = bytes;
    let mut last = None;
    while let Some(frame) = wire::split_frame(rest, 1 << 24).unwrap() {
        last = Some(decode_down(frame.item).unwrap());
        rest = &rest[frame.taken..];
    }
    match last {
        Some(ServerItem::Error(error_body)) => error_body,
        other => panic!("the last frame is {other:?} and not an error"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_may_be_as_long_as_the_limit_and_not_longer() {
    let server = server().await;
    let mut observer = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    for options in ClientOptions::all("lobby") {
        let mut client = options.join(&server).await;
        // Counted in bytes, not in characters. Escapes do not count.
        for text in ["x".repeat(TEXT_MAX), "é".repeat(TEXT_MAX / 2), "\u{1}".repeat(TEXT_MAX)] {
            client.post(&text).await;
            assert_eq!(observer.next_message().await.text, text, "{options:?}");
        }
        let refused = client.try_post(&"x".repeat(TEXT_MAX + 1)).await.unwrap_err();
        match options.transport {
            Transport::Tcp => assert!(refused.error_body.error.contains("1013 are allowed"), "{}", refused.error_body),
            Transport::Websocket => assert_eq!(refused.error_body.value, "1009"),
            Transport::SocketioPolling | Transport::SocketioWebsocket | Transport::Socketio | Transport::Stomp => {
                assert_eq!((refused.status, refused.error_body.field.as_str()), (None, "text"), "{options:?}");
            }
            Transport::Polling | Transport::LongPolling | Transport::HttpStreaming | Transport::Sse => {
                assert_eq!((refused.status, refused.error_body.field.as_str()), (Some(413), "text"));
            }
        }
        let usage = server.until("the refusal to be counted", |usage| usage.of(options.transport).malformed >= 1).await;
        assert!(usage.of(options.transport).malformed <= options.transport.encodings().len() as u64, "{options:?}");
    }
    observer.post("still here").await;
    assert_eq!(observer.next_message().await.text, "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_far_over_the_limit_is_413_also_for_a_client_that_sends_all_before_it_reads() {
    let server = server().await;
    let body = post_json(&"x".repeat(FAR_TOO_MUCH));
    for transport in Transport::ALL.into_iter().filter(|transport| transport.has_room_url()) {
        for chunked in [false, true] {
            let mut raw = Raw::connect(server.http).await;
            let target = format!("/rooms/lobby/{transport}");
            let answer = if chunked {
                let head = format!("POST {target} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
                raw.send(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
                let head = raw.head().await;
                raw.whole(head).await
            } else {
                raw.ask("POST", &target, "", &body).await
            };
            let error_body: ErrorBody = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((answer.status, error_body.field.as_str()), (413, "text"), "{transport}, chunked: {chunked}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_far_over_the_limit_gets_an_error_also_when_it_is_sent_before_reading() {
    let server = server().await;
    let much = vec![b'x'; FAR_TOO_MUCH];
    let mut raw = Raw::connect(server.tcp).await;
    raw.send([&join()[..], &(much.len() as u32).to_be_bytes(), &much].concat()).await;
    raw.finish().await;
    assert!(last_error(&raw.rest().await).error.contains("1013 are allowed"));

    let mut raw = Raw::connect(server.http).await;
    raw.upgrade("/rooms/lobby/websocket").await;
    let head = [&[0x81, 0x80 | 127][..], &(much.len() as u64).to_be_bytes(), &[0; 4]].concat();
    raw.send([head, much].concat()).await;
    assert_eq!(raw.close_code().await, Some(1009));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_post_is_400() {
    let server = server().await;
    let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
    let bodies: [&[u8]; 9] = [
        b"",
        b"hello",
        b"{}",
        b"[1,1,\"x\"",
        br#"{"author":-1,"ordinal":1,"text":"x"}"#,
        br#"{"author":1,"ordinal":1,"text":"x","extra":1}"#,
        br#"{"author":1,"ordinal":1,"text":"\ud800"}"#,
        b"{\"author\":1,\"ordinal\":1,\"text\":\"\xff\"}",
        deep.as_bytes(),
    ];
    for transport in Transport::ALL.into_iter().filter(|transport| transport.has_room_url()) {
        let mut raw = Raw::connect(server.http).await;
        for body in bodies {
            let target = format!("/rooms/lobby/{transport}");
            let length = body.len();
            raw.send(format!("POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n")).await;
            raw.send(body).await;
            let answer = raw.head().await;
            let answer = raw.whole(answer).await;
            let error_body: ErrorBody = serde_json::from_slice(&answer.body).unwrap();
            let body = String::from_utf8_lossy(body);
            assert_eq!((answer.status, error_body.field.as_str()), (400, "body"), "{transport}: {body}");
            assert_eq!(error_body.error.contains("not UTF-8"), body.contains('\u{fffd}'), "{transport}: {body}");
        }
        assert_eq!(server.stats_of(transport).await.malformed, bodies.len() as u64, "{transport}");
    }
    assert_eq!(server.stats().await.hub.log_messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_http_is_400_closed_and_counted() {
    let server = server().await;
    let long_head = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200));
    let heads: [(&[u8], u16); 6] = [
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (long_head.as_bytes(), 431),
        (many.as_bytes(), 431),
    ];
    for (n, (head, status)) in heads.into_iter().enumerate() {
        let mut raw = Raw::connect(server.http).await;
        raw.send(head).await;
        let answer = raw.head().await;
        assert_eq!(answer.status, status, "{:?}", String::from_utf8_lossy(&head[..head.len().min(40)]));
        raw.rest().await;
        let counted = |usage: &wire::ServerStats| usage.of_other().malformed == n as u64 + 1;
        server.until("the malformed bytes to be counted", counted).await;
    }
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_tcp_port_is_answered_closed_and_counted() {
    let server = server().await;
    let post = framed(&ClientItem::Post(Post { author: 1, ordinal: 1, text: "x".into() }));
    let mut not_utf8 = post.clone();
    *not_utf8.last_mut().unwrap() = 0xff;
    let then = |more: &[u8]| [&join(), more].concat();
    let cases: [(Vec<u8>, &str); 11] = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "1195725856 bytes"),
        (vec![0, 0, 0, 0], "in the middle of kind"),
        (vec![0xff; 64], "4294967295 bytes"),
        (vec![0, 0, 0, 1, 99], "no item has kind 99"),
        (vec![0, 0, 0, 3, 16, b'{', b'}'], "missing field `room`"),
        (b"\0\0\0\x12\x10{\"room\":\"a room\"}".to_vec(), "not a room name"),
        (post.clone(), "a post before the join"),
        (then(&join()), "a second join"),
        (then(&not_utf8), "not UTF-8"),
        (then(&[0, 0, 0, 1, 1]), "no item has kind 1"),
        (then(&[0, 1, 0, 0]), "65536 bytes"),
    ];
    for (n, (bytes, expected)) in cases.into_iter().enumerate() {
        let mut raw = Raw::connect(server.tcp).await;
        raw.send(&bytes).await;
        let error_body = last_error(&raw.rest().await);
        assert!(error_body.error.contains(expected), "expected {expected:?}: {error_body}");
        let counted = |usage: &wire::ServerStats| usage.of(Transport::Tcp).malformed == n as u64 + 1;
        server.until("the malformed bytes to be counted", counted).await;
    }
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_before_a_bad_one_are_kept_and_acknowledged() {
    let server = server().await;
    let mut raw = Raw::connect(server.tcp).await;
    let good = framed(&ClientItem::Post(Post { author: 1, ordinal: 7, text: "good".into() }));
    raw.send([join(), good, vec![0, 0, 0, 0]].concat()).await;
    let bytes = raw.rest().await;
    last_error(&bytes);
    let ack = [&[3][..], &7_u64.to_be_bytes(), &1_u64.to_be_bytes()].concat();
    assert!(bytes.windows(ack.len()).any(|window| window == ack), "{bytes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_websocket_messages_have_their_codes() {
    let server = server().await;
    let long = post_json(&"x".repeat(TEXT_MAX + 1));
    let huge = "x".repeat(60_000);
    let mut binary_bad = vec![17];
    binary_bad.extend([0; 12]);
    binary_bad.push(0xff);
    let json: &[(u8, &[u8], u16)] = &[
        (0x81, long.as_bytes(), 1009),
        (0x81, huge.as_bytes(), 1009),
        (0x81, b"\xff", 1007),
        (0x81, b"{\"author\":1,\"ordinal\":1,\"text\":\"\xc3\x28\"}", 1007),
        (0x81, b"hello", 1008),
        (0x81, b"", 1008),
        (0x82, b"\x11", 1003),
    ];
    let binary: &[(u8, &[u8], u16)] = &[
        (0x82, binary_bad.as_slice(), 1007),
        (0x82, b"", 1008),
        (0x82, b"\x63", 1008),
        (0x82, b"\x11\0", 1008),
        (0x82, b"\x10{\"room\":\"lobby\"}", 1008),
        (0x81, b"{}", 1003),
    ];
    let mut n = 0;
    for (query, cases) in [("", json), ("?encoding=binary", binary)] {
        for (first, payload, code) in cases {
            let mut raw = Raw::connect(server.http).await;
            assert_eq!(raw.upgrade(&format!("/rooms/lobby/websocket{query}")).await.status, 101);
            raw.send(masked(*first, payload)).await;
            let found = raw.close_code().await;
            assert_eq!(found, Some(*code), "{:?}", String::from_utf8_lossy(&payload[..payload.len().min(60)]));
            drop(raw);
            n += 1;
            let counted = |usage: &wire::ServerStats| usage.of(Transport::Websocket).malformed == n;
            server.until("the bad message to be counted", counted).await;
        }
    }
    server.until_empty().await;
}
