//! RFC 6455 frame by frame: fragments, control frames between them, masks, and the closing handshake.

use wire::Transport;

use crate::clients::Wish;
use crate::house::{House, Reading};
use crate::raw::{Raw, WsFrame, masked};

const TEXT: u8 = 1;
const FIN: u8 = 0x80;
const POST: &str = r#"{"author":1,"ordinal":1,"text":"in pieces"}"#;

async fn open(house: &House) -> Raw {
    let mut raw = Raw::connect(house.http).await;
    assert_eq!(raw.upgrade("/rooms/lobby/websocket").await.status, 101);
    let joined = raw.frame().await.unwrap();
    assert_eq!(joined, WsFrame { opcode: TEXT, payload: br#"{"joined":{"after":0}}"#.to_vec() });
    raw
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fragmented_message_is_one_post_and_pings_between_are_answered() {
    let house = House::open().await;
    let mut raw = open(&house).await;
    let bytes = POST.as_bytes();
    raw.send(masked(TEXT, &bytes[..10])).await;
    raw.send(masked(FIN | WsFrame::PING, b"are you there")).await;
    assert_eq!(raw.frame().await.unwrap(), WsFrame { opcode: WsFrame::PONG, payload: b"are you there".to_vec() });
    raw.send(masked(0, b"")).await;
    raw.send(masked(0, &bytes[10..20])).await;
    raw.send(masked(FIN | WsFrame::PONG, b"unasked")).await;
    raw.send(masked(FIN, &bytes[20..])).await;
    let (first, second) = (raw.frame().await.unwrap(), raw.frame().await.unwrap());
    let mut heard = [first, second].map(|frame| String::from_utf8(frame.payload).unwrap());
    heard.sort();
    assert_eq!(heard[0], r#"{"ack":{"ordinal":1,"seq":1}}"#);
    assert_eq!(heard[1], r#"{"seq":1,"author":1,"ordinal":1,"text":"in pieces"}"#);
    drop(raw);
    house.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_with_the_handshake_is_not_lost() {
    let house = House::open().await;
    let mut raw = Raw::connect(house.http).await;
    let head = "GET /rooms/lobby/websocket HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    raw.send([head.as_bytes(), &masked(FIN | TEXT, POST.as_bytes())].concat()).await;
    assert_eq!(raw.head().await.status, 101);
    for _ in 0..3 {
        // The join, then the acknowledgement and the message.
        raw.frame().await.unwrap();
    }
    assert_eq!(house.usage().await.hub.log_messages, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_byte_by_byte_is_a_frame() {
    let house = House::open().await;
    let mut raw = open(&house).await;
    for byte in masked(FIN | TEXT, POST.as_bytes()) {
        raw.send([byte]).await;
    }
    raw.frame().await.unwrap();
    raw.frame().await.unwrap();
    assert_eq!(house.usage_of(Transport::Websocket).await.posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_frames_are_1002_and_counted() {
    let house = House::open().await;
    let unmasked = [&[FIN | TEXT, POST.len() as u8], POST.as_bytes()].concat();
    let long_ping = masked(FIN | WsFrame::PING, &[0; 126]);
    let cases: [(&str, Vec<u8>); 8] = [
        ("unmasked", unmasked),
        ("a reserved bit", masked(FIN | 0x40 | TEXT, POST.as_bytes())),
        ("a reserved opcode", masked(FIN | 3, b"x")),
        ("a reserved control opcode", masked(FIN | 11, b"")),
        ("a fragmented ping", masked(WsFrame::PING, b"x")),
        ("a long ping", long_ping),
        ("a continuation of nothing", masked(FIN, b"x")),
        ("a message inside a message", [masked(TEXT, b"{"), masked(FIN | TEXT, b"{}")].concat()),
    ];
    for (n, (what, bytes)) in cases.into_iter().enumerate() {
        let mut raw = open(&house).await;
        raw.send(&bytes).await;
        assert_eq!(raw.close_code().await, Some(1002), "{what}");
        raw.rest().await;
        let counted = |usage: &wire::Usage| usage.of(Transport::Websocket).malformed == n as u64 + 1;
        house.until(&format!("{what} to be counted"), counted).await;
    }
    house.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_announces_too_much_is_1009_before_it_comes() {
    let house = House::open().await;
    for announced in [1_u64 << 20, 1 << 40, u64::MAX >> 1] {
        let mut raw = open(&house).await;
        raw.send([&[FIN | TEXT, 0x80 | 127][..], &announced.to_be_bytes(), &[1, 2, 3, 4], &[b'x'; 3000]].concat())
            .await;
        assert_eq!(raw.close_code().await, Some(1009), "{announced}");
    }
    // Many small fragments add up to too much as well.
    let mut raw = open(&house).await;
    raw.send(masked(TEXT, &[b'x'; 60_000])).await;
    raw.send(masked(0, &[b'x'; 60_000])).await;
    assert_eq!(raw.close_code().await, Some(1009));
    drop(raw);
    house.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_is_echoed_and_then_the_server_closes() {
    let house = House::open().await;
    for payload in [&b""[..], b"\x03\xe8", b"\x03\xe9bye", b"\x0b\xb8"] {
        let mut raw = open(&house).await;
        raw.send(masked(FIN | WsFrame::CLOSE, payload)).await;
        let echo = raw.frame().await.unwrap();
        let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        assert_eq!((echo.opcode, echo.code()), (WsFrame::CLOSE, code));
        assert_eq!(raw.rest().await, b"");
    }
    let usage = house.until_empty().await.of(Transport::Websocket);
    assert_eq!(usage.malformed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_just_goes_is_not_called_malformed() {
    let house = House::open().await;
    let mut witness = Wish::new(Transport::Tcp, "lobby").join(&house).await;
    let mut raw = open(&house).await;
    raw.finish().await;
    raw.rest().await;
    drop(open(&house).await);
    house.until_readers(1).await;
    witness.post("still here").await;
    drop(witness);
    assert_eq!(house.until_empty().await.of(Transport::Websocket).malformed, 0);
}
