//! Begin and end of Socket.IO sessions: after any end, the server has freed all resources of the
//! session.

use std::time::Duration;

use wire::Transport;

use crate::clients::ClientOptions;
use crate::engineio::{POLLING, Session, assert_serves_others, connected_websocket, text, until, websocket};
use crate::raw::{Raw, WsFrame, masked};
use crate::test_server::TestServer;

const JOIN: &str = "420[\"join\",{\"room\":\"lobby\",\"after\":0}]";

/// A WebSocket whose session is in a room.
async fn joined(server: &TestServer) -> Raw {
    let mut raw = connected_websocket(server).await;
    raw.send(text(JOIN)).await;
    until(&mut raw, "430").await.unwrap();
    raw
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_freed_after_any_end() {
    let server = TestServer::with_limits(|limits| {
        limits.connections_max = 4;
        (limits.header_timeout, limits.stall_timeout) = (Duration::from_millis(300), Duration::from_millis(300));
    })
    .await;
    for _ in 0..6 {
        let mut polling = Session::connected(&server, "").await;
        assert_eq!(polling.send(JOIN).await.status, 200);
        polling.until("430").await;
        assert_eq!(polling.send("1").await.status, 200);
        drop(polling);
        server.until_readers(0).await;
        let socket = joined(&server).await;
        drop(socket);
        server.until_readers(0).await;
        // Closed before the library reads the CONNECT.
        let mut hasty = Session::open(&server).await;
        hasty.send("40\x1e1").await;
        drop(hasty);
        let mut hasty = websocket(&server).await;
        hasty.send([text("40"), masked(0x80 | WsFrame::CLOSE, b"\x03\xe8")].concat()).await;
        drop(hasty);
    }
    Session::open(&server).await;
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_without_a_namespace_count_as_well() {
    let server = TestServer::with_limits(|limits| limits.connections_max = 4).await;
    let mut sessions = Vec::new();
    let refused = loop {
        let mut raw = Raw::connect(server.http).await;
        let answer = raw.ask("GET", POLLING, "", "").await;
        if answer.status != 200 {
            break answer;
        }
        sessions.push(answer);
    };
    assert_eq!((refused.status, sessions.len()), (503, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connect_is_ignored() {
    let server = TestServer::start().await;
    let mut raw = joined(&server).await;
    raw.send(text("40")).await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    for text in ["one", "two"] {
        author.post(text).await;
    }
    for seq in [1, 2] {
        let message = until(&mut raw, "42").await.unwrap();
        assert!(message.contains(&format!("\"seq\":{seq}")), "once each: {message}");
    }
    drop((raw, author));
    // It ends without a post, too.
    server.until_empty().await;
    assert_serves_others(&server).await;
}

/// The server has one thread, so that the tasks of the library always run in the same order. With
/// more threads, socketioxide 0.18.9 also ignores a CONNECT that arrives while it finishes the
/// previous one.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_may_leave_a_namespace_and_enter_it_again_at_once() {
    let server = TestServer::start().await;
    let mut raw = joined(&server).await;
    for round in 0..10 {
        raw.send([text("41"), text("40")].concat()).await;
        assert!(until(&mut raw, "40").await.is_some(), "round {round}");
    }
    server.until_readers(0).await;
    assert_serves_others(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slowdown_changes_no_message() {
    let server = TestServer::with_slowdown("cpu=1us,allocs=1").await;
    for options in ClientOptions::all("lobby").into_iter().filter(|options| options.transport.is_socketio()) {
        let mut client = options.join(&server).await;
        for text in ["one", "two"] {
            client.post(text).await;
            assert_eq!(client.next_message().await.text, text, "{options:?}");
        }
    }
}
