//! Limits that a correct client can reach: log length, hold time, age and size of a stream,
//! heartbeats, connections.

use std::time::Duration;

use wire::{Gap, Transport};

use crate::clients::{Client, ClientOptions, End, Received};
use crate::test_server::{StatsByTransport, TestServer, within};

const STREAMS: [Transport; 2] = [Transport::HttpStreaming, Transport::Sse];

#[tokio::test(flavor = "multi_thread")]
async fn a_client_behind_the_oldest_message_gets_a_gap_and_is_counted() {
    let server = TestServer::with_limits(|limits| limits.log_messages_max = 4).await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    for n in 1..=10 {
        author.post(&n.to_string()).await;
    }
    for options in ClientOptions::all("lobby") {
        let before = server.stats_of(options.transport).await.gaps;
        let mut client = options.clone().after(2).join(&server).await;
        assert_eq!(client.next().await, Received::Gap(Gap { from: 3, to: 6 }), "{options:?}");
        let seqs: Vec<_> = client.next_messages(4).await.iter().map(|message| message.seq).collect();
        assert_eq!(seqs, [7, 8, 9, 10], "{options:?}");
        assert_eq!(server.stats_of(options.transport).await.gaps, before + 1, "{options:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_s_bytes_are_bounded_too() {
    let server = TestServer::with_limits(|limits| limits.log_bytes_max = 4000).await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    for _ in 0..50 {
        author.post(&"x".repeat(1000)).await;
        author.next_message().await;
    }
    let hub = server.stats().await.hub;
    assert!(hub.log_bytes <= 4000 + 2 * 1100 && hub.log_messages < 5, "{hub:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_ends_with_an_empty_answer() {
    let server = TestServer::with_limits(|limits| limits.hold_max = Duration::from_millis(50)).await;
    let web = reqwest::Client::builder().no_proxy().build().unwrap();
    for query in ["", "?after=0", "?hold_ms=10", "?hold_ms=0&after=0", "?hold_ms=50"] {
        let url = format!("{}{query}", server.url("lobby", Transport::LongPolling));
        let answer = within("the end of the hold", web.get(url).send()).await.unwrap();
        assert_eq!(answer.status(), 204, "{query:?}");
        let cursor = answer.headers().get(wire::CURSOR_HEADER).map(|value| value.to_str().unwrap());
        assert_eq!(cursor, (!query.contains("after")).then_some("0"), "{query:?}");
    }
    let usage = server.stats_of(Transport::LongPolling).await;
    assert_eq!((usage.requests, usage.empty_answers, usage.batches), (5, 5, 0));
}

/// Reads a whole room through streams that end again and again.
async fn read_through(server: &TestServer, options: &ClientOptions, client: &mut Client, total: u64) -> u32 {
    let (mut streams, mut seen) = (1, 0);
    while seen < total {
        match client.next().await {
            Received::Message(message) => {
                seen += 1;
                assert_eq!(message.seq, seen, "{options:?}");
            }
            Received::Ended(End::Complete) => {
                streams += 1;
                *client = options.clone().resuming(seen).join(server).await;
            }
            other => panic!("{other:?} on {options:?}"),
        }
    }
    streams
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_stream_is_ended_and_resumed_without_loss() {
    let server = TestServer::with_limits(|limits| limits.stream_age = Duration::from_millis(50)).await;
    for transport in STREAMS {
        let room = format!("room-{transport}");
        let options = ClientOptions::new(transport, &room);
        let mut client = options.clone().after(0).join(&server).await;
        let mut author = ClientOptions::new(Transport::Tcp, &room).join(&server).await;
        for n in 1..=20 {
            author.post(&n.to_string()).await;
        }
        read_through(&server, &options, &mut client, 20).await;
        assert_eq!(client.end().await, End::Complete, "{transport}: an idle stream ends too");
        author.post("between two streams").await;
        let mut client = options.clone().resuming(client.cursor()).join(&server).await;
        assert_eq!(client.next_message().await.text, "between two streams");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_websocket_is_closed_and_resumed_without_loss() {
    let server = TestServer::with_limits(|limits| limits.websocket_age = Duration::from_millis(50)).await;
    websockets_end_and_resume(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_has_delivered_enough_is_closed_and_resumed_without_loss() {
    let server = TestServer::with_limits(|limits| limits.websocket_bytes_max = 1).await;
    websockets_end_and_resume(&server).await;
}

async fn websockets_end_and_resume(server: &TestServer) {
    let sockets = |options: &ClientOptions| matches!(options.transport, Transport::Websocket | Transport::Stomp);
    for options in ClientOptions::all("lobby").into_iter().filter(sockets) {
        let mut old = options.join(server).await;
        let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(server).await;
        author.post("before the end").await;
        assert_eq!(old.next_message().await.text, "before the end");
        assert_eq!(old.end().await, End::Close(1001), "{options:?}");
        author.post("between two connections").await;
        let mut new = options.clone().resuming(old.cursor()).join(server).await;
        assert_eq!(new.next_message().await.text, "between two connections");
        assert_eq!(server.stats_of(options.transport).await.malformed, 0, "such an end is not an error of the client");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_is_ended_and_resumed_without_loss() {
    let server = TestServer::with_limits(|limits| limits.stream_bytes_max = 2000).await;
    for transport in STREAMS {
        let room = format!("room-{transport}");
        let options = ClientOptions::new(transport, &room);
        let mut client = options.clone().after(0).join(&server).await;
        let mut author = ClientOptions::new(Transport::Tcp, &room).join(&server).await;
        let post_all = async {
            for _ in 0..40 {
                author.post(&"x".repeat(500)).await;
            }
        };
        let ((), streams) = tokio::join!(post_all, read_through(&server, &options, &mut client, 40));
        assert!(streams > 1, "{transport}: 20 kB were received in one stream of 2 kB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_get_heartbeats() {
    let server = TestServer::with_limits(|limits| limits.heartbeat = Duration::from_millis(20)).await;
    for options in ClientOptions::all("lobby") {
        let mut client = match options.transport {
            // Polling keeps no connection busy between two polls, and a hold has its own end.
            Transport::Polling | Transport::LongPolling => continue,
            Transport::Tcp
            | Transport::HttpStreaming
            | Transport::Sse
            | Transport::Websocket
            | Transport::SocketioPolling
            | Transport::SocketioWebsocket
            | Transport::Socketio
            | Transport::Stomp => options.join(&server).await,
        };
        for _ in 0..3 {
            client.next_heartbeat().await;
        }
        client.post("still here").await;
        assert_eq!(client.next_message().await.text, "still here", "{options:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_answers_no_ping_is_dropped_and_counted() {
    let server = TestServer::with_limits(|limits| limits.heartbeat = Duration::from_millis(50)).await;
    // A client of tungstenite answers pings only while it is read.
    let _silent = ClientOptions::new(Transport::Websocket, "lobby").join(&server).await;
    let usage = server.until("the client to be dropped", |usage| usage.of(Transport::Websocket).timed_out == 1);
    assert_eq!(usage.await.of(Transport::Websocket).malformed, 0);
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_rooms_are_503_and_others_are_not_affected() {
    for options in ClientOptions::all("taken") {
        let server = TestServer::alone(|limits| limits.rooms_max = 1).await;
        let mut inside = options.join(&server).await;
        let refused =
            ClientOptions { room: "another".to_owned(), ..options.clone() }.try_join(&server).await.err().unwrap();
        assert_eq!(refused.error_body.field, "rooms", "{options:?}");
        if options.transport.has_room_url() {
            assert_eq!((refused.status, refused.retry_after.as_deref()), (Some(503), Some("1")), "{options:?}");
        }
        let usage = server.until("the refusal to be counted", |usage| usage.of(options.transport).refused == 1).await;
        assert_eq!((usage.of(options.transport).malformed, usage.hub.rooms), (0, 1), "{options:?}");
        inside.post("still here").await;
        assert_eq!(inside.next_message().await.text, "still here");
        options.join(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_are_503_before_any_upgrade() {
    for options in ClientOptions::all("lobby") {
        let server = TestServer::alone(|limits| limits.connections_max = 2).await;
        let mut inside = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
        let other = ClientOptions::new(Transport::HttpStreaming, "lobby").join(&server).await;
        let refused = options.try_join(&server).await.err().unwrap();
        assert_eq!(
            (refused.error_body.field.as_str(), refused.error_body.value.as_str()),
            ("connections", "2"),
            "{options:?}"
        );
        if options.transport.is_http() {
            assert_eq!((refused.status, refused.retry_after.as_deref()), (Some(503), Some("1")), "{options:?}");
        }
        inside.post("still here").await;
        assert_eq!(inside.next_message().await.text, "still here");
        drop(other);
        if matches!(options.transport, Transport::SocketioPolling | Transport::Socketio) {
            // These need more than one connection: they poll on one and post on another.
            continue;
        }
        // Not `until`: a full server refuses its request, too.
        let again = async {
            loop {
                match options.try_join(&server).await {
                    Ok(client) => return client,
                    Err(refused) => assert_eq!(refused.error_body.field, "connections"),
                }
            }
        };
        let mut again = within("the free connection", again).await;
        inside.post("connected at last").await;
        assert_eq!(again.next_message().await.text, "connected at last", "{options:?}");
        drop((inside, again));
        let usage = server.until_empty().await;
        let refused =
            if options.transport.is_http() { usage.of_other().refused } else { usage.of(options.transport).refused };
        assert!(refused >= 1, "{options:?}: {usage:?}");
    }
}
