//! Arbitrary bytes sent to a running server: no input stops it, causes a panic or leaves a
//! connection open.

use std::net::SocketAddr;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wire::Transport;

use crate::clients::ClientOptions;
use crate::raw::{Raw, masked};
use crate::test_server::TestServer;

const CASES: u32 = 96;

/// Panics of this process. A panic inside the server ends only a task and would otherwise not be
/// noticed.
static PANICS: AtomicU64 = AtomicU64::new(0);

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, SeqCst);
            usual(panic);
        }));
    });
}

/// Sends each case after `prelude` on a new connection, then checks that the server still works.
fn send_each(cases: &impl Strategy<Value = Vec<u8>>, address: fn(&TestServer) -> SocketAddr, prelude: &[u8]) {
    count_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(TestServer::with_limits(|limits| {
        limits.header_timeout = Duration::from_secs(2);
        // hyper does not detect a disconnect while pipelined input is unread. Only these limits end
        // the wait then.
        (limits.hold_max, limits.stream_age) = (Duration::from_millis(200), Duration::from_millis(200));
    }));
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(cases, |bytes| {
        runtime.block_on(async {
            let mut raw = Raw::connect(address(&server)).await;
            raw.send(prelude).await;
            raw.try_send(&bytes).await.ok();
            raw.finish().await;
            raw.rest().await;
        });
        prop_assert_eq!(PANICS.load(SeqCst), 0, "a task of the server has panicked");
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(async {
        server.until_empty().await;
        for options in ClientOptions::all("still-here")
            .into_iter()
            .filter(|options| !matches!(options.transport, Transport::HttpStreaming | Transport::Sse))
        {
            let mut client = options.join(&server).await;
            client.post("hello").await;
            assert_eq!(client.next_message().await.text, "hello");
        }
    });
    assert_eq!(PANICS.load(SeqCst), 0, "a task of the server has panicked");
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..600)
}

/// Requests that are almost valid, which random bytes never are.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![4 => Just("GET".to_owned()), 4 => Just("POST".to_owned()), 1 => "[A-Z]{1,9}"];
    let transport = proptest::sample::select(Transport::ALL.to_vec()).prop_map(|transport| transport.to_string());
    let target = (
        prop_oneof![3 => Just("lobby".to_owned()), 1 => "[!-~]{0,70}"],
        prop_oneof![5 => transport, 1 => "[!-~]{0,20}"],
        prop_oneof![
            Just(String::new()),
            "\\?(after|hold_ms|encoding|token|x)=[!-~]{0,25}",
            "\\?after=[0-9]{0,22}&hold_ms=[0-9]{0,3}",
            "\\?[!-~]{0,60}"
        ],
    )
        .prop_map(|(room, transport, query)| format!("/rooms/{room}/{transport}{query}"));
    let header = prop_oneof![
        Just("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n".to_owned()),
        "(origin|host|authorization|last-event-id|connection|expect|upgrade|te): [ -~]{0,40}\r\n",
        "(content-length|transfer-encoding): (chunked|[0-9]{1,20}|[ -~]{0,10})\r\n",
        "[!-~]{0,20}: ?[ -~]{0,20}\r\n",
    ];
    let body = prop_oneof![
        bytes(),
        "\\{\"author\":-?[0-9]{1,12},\"ordinal\":[0-9]{1,22},\"text\":\"[ -~]{0,30}\"\\}".prop_map(String::into_bytes)
    ];
    (method, target, proptest::collection::vec(header, 0..4), body).prop_map(|(method, target, headers, body)| {
        let length = format!("content-length: {}\r\n", body.len());
        let head = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n{}{length}\r\n", headers.concat());
        [head.into_bytes(), body].concat()
    })
}

/// Frames that are almost valid.
fn ws_frames() -> impl Strategy<Value = Vec<u8>> {
    let post =
        "\\{\"author\":[0-9]{1,3},\"ordinal\":[0-9]{1,3},\"text\":\"[ -~]{0,30}\"\\}".prop_map(String::into_bytes);
    let payload = prop_oneof![bytes(), post];
    let first =
        prop_oneof![proptest::sample::select(vec![0x81, 0x01, 0x80, 0x00, 0x82, 0x88, 0x89, 0x8a]), any::<u8>()];
    let frame = (first, payload).prop_map(|(first, payload)| masked(first, &payload));
    prop_oneof![bytes(), proptest::collection::vec(frame, 1..6).prop_map(|frames| frames.concat())]
}

/// Frames of `tcp` that are almost valid.
fn tcp_frames() -> impl Strategy<Value = Vec<u8>> {
    let item = prop_oneof![
        bytes(),
        "\\x10\\{\"room\":\"[a-z ]{0,5}\",\"after\":[0-9]{1,3}\\}".prop_map(String::into_bytes),
        bytes().prop_map(|bytes| [&[17][..], &bytes].concat()),
    ];
    let frame = item.prop_map(|item| [&(item.len() as u32).to_be_bytes()[..], &item].concat());
    prop_oneof![bytes(), proptest::collection::vec(frame, 1..6).prop_map(|frames| frames.concat())]
}

#[test]
fn bytes_on_the_http_port() {
    send_each(&prop_oneof![1 => bytes(), 3 => requests()], |server| server.http, b"");
}

#[test]
fn bytes_on_the_tcp_port() {
    send_each(&tcp_frames(), |server| server.tcp, b"");
}

#[test]
fn bytes_behind_a_join() {
    let join = b"\x10{\"room\":\"lobby\",\"after\":0}";
    send_each(&tcp_frames(), |server| server.tcp, &[&(join.len() as u32).to_be_bytes()[..], join].concat());
}

#[test]
fn bytes_behind_a_websocket_handshake() {
    for encoding in ["json", "binary"] {
        let head = format!(
            "GET /rooms/lobby/websocket?encoding={encoding} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        send_each(&ws_frames(), |server| server.http, head.as_bytes());
    }
}
