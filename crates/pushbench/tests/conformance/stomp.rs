//! STOMP frame by frame: bad input is answered by an ERROR frame and the end of the connection, and
//! other clients are not affected.

use std::time::Duration;

use wire::{ErrorBody, Transport};

use crate::clients::ClientOptions;
use crate::raw::{Raw, masked};
use crate::test_server::{StatsByTransport, TestServer};

const CONNECT: &str = "CONNECT\naccept-version:1.2\nhost:x\n\n\0";
const SUBSCRIBE: &str = "SUBSCRIBE\nid:1\ndestination:/messages\nreceipt:a\\cb\n\n\0";

async fn open(server: &TestServer) -> Raw {
    let mut raw = Raw::connect(server.http).await;
    let answer = raw.upgrade_to("/rooms/lobby/stomp", "sec-websocket-protocol: v10.stomp, v12.stomp\r\n").await;
    assert_eq!(answer.header("sec-websocket-protocol"), Some("v12.stomp"));
    raw
}

async fn text(raw: &mut Raw) -> String {
    String::from_utf8(raw.frame().await.unwrap().payload).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_as_in_the_specification() {
    let server = TestServer::start().await;
    let mut raw = open(&server).await;
    raw.send(masked(0x81, CONNECT.replace("CONNECT", "STOMP").as_bytes())).await;
    let connected = text(&mut raw).await;
    assert!(connected.starts_with("CONNECTED\nversion:1.2\nheart-beat:15000,15000\n"), "{connected:?}");
    raw.send(masked(0x81, SUBSCRIBE.as_bytes())).await;
    assert_eq!(text(&mut raw).await, "RECEIPT\nreceipt-id:a\\cb\n\n\0");
    assert!(text(&mut raw).await.ends_with("\n\n{\"joined\":{\"after\":0}}\0"));
    raw.send(masked(0x81, b"SEND\ndestination:/messages\n\n{\"author\":1,\"ordinal\":1,\"text\":\"hi\"}\0")).await;
    let message = text(&mut raw).await;
    assert!(message.starts_with("MESSAGE\nsubscription:1\nmessage-id:1\ndestination:/messages\n"), "{message:?}");
    raw.send(masked(0x81, b"UNSUBSCRIBE\nid:1\nreceipt:2\n\n\0")).await;
    assert_eq!(text(&mut raw).await, "RECEIPT\nreceipt-id:2\n\n\0");
    raw.send(masked(0x81, b"DISCONNECT\nreceipt:3\n\n\0")).await;
    assert_eq!(text(&mut raw).await, "RECEIPT\nreceipt-id:3\n\n\0");
    assert_eq!(raw.close_code().await, Some(1000));
    assert_eq!(server.until_empty().await.of(Transport::Stomp).malformed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_subscription_may_have_another_id() {
    let server = TestServer::start().await;
    let mut raw = open(&server).await;
    raw.send(masked(0x81, CONNECT.as_bytes())).await;
    assert!(text(&mut raw).await.starts_with("CONNECTED\n"));
    for (n, id) in ["1", "sub-0", "sub-0", "2"].into_iter().enumerate() {
        raw.send(masked(0x81, format!("SUBSCRIBE\nid:{id}\ndestination:/messages\n\n\0").as_bytes())).await;
        let joined = text(&mut raw).await;
        assert!(joined.ends_with(&format!("{{\"joined\":{{\"after\":{n}}}}}\0")), "{joined:?}");
        raw.send(masked(0x81, b"SEND\ndestination:/messages\n\n{\"author\":1,\"ordinal\":1,\"text\":\"hi\"}\0")).await;
        let message = text(&mut raw).await;
        assert!(message.starts_with(&format!("MESSAGE\nsubscription:{id}\nmessage-id:{}\n", n + 1)), "{message:?}");
        raw.send(masked(0x81, format!("UNSUBSCRIBE\nid:{id}\nreceipt:2\n\n\0").as_bytes())).await;
        assert_eq!(text(&mut raw).await, "RECEIPT\nreceipt-id:2\n\n\0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_for_few_heartbeats_must_still_answer_pings() {
    let server = TestServer::with_limits(|limits| limits.heartbeat = Duration::from_millis(100)).await;
    let mut raw = open(&server).await;
    let rarely = CONNECT.replace("host:x", "host:x\nheart-beat:0,86400000");
    raw.send(masked(0x81, rarely.as_bytes())).await;
    // Reads and sends nothing.
    raw.rest().await;
    assert_eq!(server.until_empty().await.of(Transport::Stomp).timed_out, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_frame_gets_an_error_and_ends_the_connection() {
    let server = TestServer::with_limits(|limits| limits.message_bytes_max = 1000).await;
    let mut observer = ClientOptions::new(Transport::Stomp, "lobby").join(&server).await;
    let long =
        format!("SEND\ndestination:/messages\n\n{{\"author\":1,\"ordinal\":1,\"text\":\"{}\"}}\0", "x".repeat(1001));
    let mut cases =
        vec![("SEND\n\n\0", false, "command"), ("CONNECT\naccept-version:1.0\n\n\0", false, "accept-version")];
    cases.push(("CONNECT\naccept-version:1.2\nheart-beat:x\n\n\0", false, "heart-beat"));
    for (frame, field) in [
        ("SEND\ndestination:/messages\n\n{}", "frame"),
        ("SEND\ndestination:\\tmessages\n\n{}\0", "frame"),
        ("SEND\ndestination:/messages\n{}\0", "frame"),
        ("SEND\n\n{}\0", "destination"),
        ("SEND\ndestination:/elsewhere\n\n{}\0", "destination"),
        ("SEND\ndestination:/messages\n\nhello\0", "body"),
        ("SUBSCRIBE\ndestination:/messages\n\n\0", "id"),
        ("SUBSCRIBE\nid:1\ndestination:/rooms/other\n\n\0", "destination"),
        ("BEGIN\ntransaction:1\n\n\0", "command"),
        ("CONNECT\naccept-version:1.2\n\n\0", "command"),
        ("HELLO\n\n\0", "command"),
        (long.as_str(), "text"),
    ] {
        cases.push((frame, true, field));
    }
    for (n, (frame, connected, field)) in cases.into_iter().enumerate() {
        let mut raw = open(&server).await;
        if connected {
            raw.send(masked(0x81, CONNECT.as_bytes())).await;
            text(&mut raw).await;
        }
        raw.send(masked(0x81, frame.as_bytes())).await;
        let error = text(&mut raw).await;
        let (head, body) = error.strip_suffix('\0').unwrap().split_once("\n\n").unwrap();
        assert!(head.starts_with("ERROR\nmessage:"), "{frame:?}: {error:?}");
        let error_body: ErrorBody = serde_json::from_str(body).unwrap();
        assert_eq!(error_body.field, field, "{frame:?}: {error_body}");
        assert_eq!(raw.close_code().await, Some(1008), "{frame:?}");
        drop(raw);
        let counted = |usage: &wire::ServerStats| usage.of(Transport::Stomp).malformed == n as u64 + 1;
        server.until("the error to be counted", counted).await;
    }
    observer.post("still here").await;
    assert_eq!(observer.next_message().await.text, "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_connect_are_dropped_and_other_versions_get_an_error() {
    let server = TestServer::with_limits(|limits| limits.header_timeout = Duration::from_millis(100)).await;
    let mut raw = open(&server).await;
    assert_eq!(raw.frame().await, None);
    assert_eq!(server.until_empty().await.of(Transport::Stomp).timed_out, 1);
    let mut raw = Raw::connect(server.http).await;
    let answer = raw.upgrade_to("/rooms/lobby/stomp", "sec-websocket-protocol: v11.stomp\r\n").await;
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8(answer.body).unwrap().contains("v12.stomp"));
}
