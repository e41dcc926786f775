//! The limits a well-behaved client meets: the log's length, the hold, a stream's age and size, the beat, places.

use std::time::Duration;

use wire::{Gap, Transport};

use crate::clients::{Client, End, Heard, Wish};
use crate::house::{House, Reading, within};

const STREAMS: [Transport; 2] = [Transport::HttpStreaming, Transport::Sse];

#[tokio::test(flavor = "multi_thread")]
async fn who_fell_off_the_tail_of_the_log_is_told_and_counted() {
    let house = House::with(|limits| limits.log_messages_max = 4).await;
    let mut author = Wish::new(Transport::Tcp, "lobby").join(&house).await;
    for n in 1..=10 {
        author.post(&n.to_string()).await;
    }
    for wish in Wish::all("lobby") {
        let before = house.usage_of(wish.transport).await.gaps;
        let mut client = wish.clone().after(2).join(&house).await;
        assert_eq!(client.next().await, Heard::Gap(Gap { from: 3, to: 6 }), "{wish:?}");
        let seqs: Vec<_> = client.next_messages(4).await.iter().map(|message| message.seq).collect();
        assert_eq!(seqs, [7, 8, 9, 10], "{wish:?}");
        assert_eq!(house.usage_of(wish.transport).await.gaps, before + 1, "{wish:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_s_bytes_are_bounded_too() {
    let house = House::with(|limits| limits.log_bytes_max = 4000).await;
    let mut author = Wish::new(Transport::Tcp, "lobby").join(&house).await;
    for _ in 0..50 {
        author.post(&"x".repeat(1000)).await;
        author.next_message().await;
    }
    let hub = house.usage().await.hub;
    assert!(hub.log_bytes <= 4000 + 2 * 1100 && hub.log_messages < 5, "{hub:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_ends_with_an_empty_answer() {
    let house = House::with(|limits| limits.hold_max = Duration::from_millis(50)).await;
    let web = reqwest::Client::builder().no_proxy().build().unwrap();
    for query in ["", "?after=0", "?hold_ms=10", "?hold_ms=0&after=0", "?hold_ms=50"] {
        let url = format!("{}{query}", house.url("lobby", Transport::LongPolling));
        let answer = within("the end of the hold", web.get(url).send()).await.unwrap();
        assert_eq!(answer.status(), 204, "{query:?}");
        let told = answer.headers().get(wire::CURSOR_HEADER).map(|value| value.to_str().unwrap());
        assert_eq!(told, (!query.contains("after")).then_some("0"), "{query:?}");
    }
    let usage = house.usage_of(Transport::LongPolling).await;
    assert_eq!((usage.requests, usage.empty_answers, usage.batches), (5, 5, 0));
}

/// Reads a whole room through streams that keep ending.
async fn read_through(house: &House, wish: &Wish, client: &mut Client, total: u64) -> u32 {
    let (mut streams, mut seen) = (1, 0);
    while seen < total {
        match client.next().await {
            Heard::Message(message) => {
                seen += 1;
                assert_eq!(message.seq, seen, "{wish:?}");
            }
            Heard::Ended(End::Complete) => {
                streams += 1;
                *client = wish.clone().returning(seen).join(house).await;
            }
            other => panic!("{other:?} on {wish:?}"),
        }
    }
    streams
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_stream_is_ended_and_resumed_without_loss() {
    let house = House::with(|limits| limits.stream_age = Duration::from_millis(50)).await;
    for transport in STREAMS {
        let room = format!("room-{transport}");
        let wish = Wish::new(transport, &room);
        let mut client = wish.clone().after(0).join(&house).await;
        let mut author = Wish::new(Transport::Tcp, &room).join(&house).await;
        for n in 1..=20 {
            author.post(&n.to_string()).await;
        }
        read_through(&house, &wish, &mut client, 20).await;
        assert_eq!(client.end().await, End::Complete, "{transport}: a silent stream ends too");
        author.post("between two streams").await;
        let mut client = wish.clone().returning(client.cursor()).join(&house).await;
        assert_eq!(client.next_message().await.text, "between two streams");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_websocket_is_closed_and_resumed_without_loss() {
    let house = House::with(|limits| limits.websocket_age = Duration::from_millis(50)).await;
    let sockets = |wish: &Wish| matches!(wish.transport, Transport::Websocket | Transport::Stomp);
    for wish in Wish::all("lobby").into_iter().filter(sockets) {
        let mut old = wish.join(&house).await;
        let mut author = Wish::new(Transport::Tcp, "lobby").join(&house).await;
        author.post("before the end").await;
        assert_eq!(old.next_message().await.text, "before the end");
        assert_eq!(old.end().await, End::Close(1001), "{wish:?}");
        author.post("between two connections").await;
        let mut new = wish.clone().returning(old.cursor()).join(&house).await;
        assert_eq!(new.next_message().await.text, "between two connections");
        assert_eq!(house.usage_of(wish.transport).await.malformed, 0, "an age is nobody's mistake");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_is_ended_and_resumed_without_loss() {
    let house = House::with(|limits| limits.stream_bytes_max = 2000).await;
    for transport in STREAMS {
        let room = format!("room-{transport}");
        let wish = Wish::new(transport, &room);
        let mut client = wish.clone().after(0).join(&house).await;
        let mut author = Wish::new(Transport::Tcp, &room).join(&house).await;
        let post_all = async {
            for _ in 0..40 {
                author.post(&"x".repeat(500)).await;
            }
        };
        let ((), streams) = tokio::join!(post_all, read_through(&house, &wish, &mut client, 40));
        assert!(streams > 1, "{transport}: 20 kB came in one stream of 2 kB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_filled_with_heart_beats() {
    let house = House::with(|limits| limits.heartbeat = Duration::from_millis(20)).await;
    for wish in Wish::all("lobby") {
        let mut client = match wish.transport {
            // Nothing is kept open between two polls, and a hold has its own end.
            Transport::Polling | Transport::LongPolling => continue,
            Transport::Tcp
            | Transport::HttpStreaming
            | Transport::Sse
            | Transport::Websocket
            | Transport::SocketioPolling
            | Transport::SocketioWebsocket
            | Transport::Socketio
            | Transport::Stomp => wish.join(&house).await,
        };
        for _ in 0..3 {
            client.next_beat().await;
        }
        client.post("still here").await;
        assert_eq!(client.next_message().await.text, "still here", "{wish:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_answers_no_ping_is_dropped_and_counted() {
    let house = House::with(|limits| limits.heartbeat = Duration::from_millis(50)).await;
    // A client of tungstenite answers pings only while it is read.
    let _silent = Wish::new(Transport::Websocket, "lobby").join(&house).await;
    let usage = house.until("the silent client to be dropped", |usage| usage.of(Transport::Websocket).timed_out == 1);
    assert_eq!(usage.await.of(Transport::Websocket).malformed, 0);
    house.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_place_for_more_rooms_is_503_and_nothing_else_is_affected() {
    for wish in Wish::all("taken") {
        let house = House::with(|limits| limits.rooms_max = 1).await;
        let mut inside = wish.join(&house).await;
        let refused = Wish { room: "another".to_owned(), ..wish.clone() }.try_join(&house).await.err().unwrap();
        assert_eq!(refused.problem.field, "rooms", "{wish:?}");
        if wish.transport.has_room_url() {
            assert_eq!((refused.status, refused.retry_after.as_deref()), (Some(503), Some("1")), "{wish:?}");
        }
        let usage = house.until("the refusal to be counted", |usage| usage.of(wish.transport).refused == 1).await;
        assert_eq!((usage.of(wish.transport).malformed, usage.hub.rooms), (0, 1), "{wish:?}");
        inside.post("still here").await;
        assert_eq!(inside.next_message().await.text, "still here");
        wish.join(&house).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_place_for_more_connections_is_503_before_any_upgrade() {
    for wish in Wish::all("lobby") {
        let house = House::with(|limits| limits.connections_max = 2).await;
        let mut inside = Wish::new(Transport::Tcp, "lobby").join(&house).await;
        let other = Wish::new(Transport::HttpStreaming, "lobby").join(&house).await;
        let refused = wish.try_join(&house).await.err().unwrap();
        assert_eq!((refused.problem.field.as_str(), refused.problem.value.as_str()), ("connections", "2"), "{wish:?}");
        if wish.transport.is_http() {
            assert_eq!((refused.status, refused.retry_after.as_deref()), (Some(503), Some("1")), "{wish:?}");
        }
        inside.post("still here").await;
        assert_eq!(inside.next_message().await.text, "still here");
        drop(other);
        if matches!(wish.transport, Transport::SocketioPolling | Transport::Socketio) {
            // One place is not enough: they ask on one connection and say something on another.
            continue;
        }
        // Not the usual wait: a full server refuses that question as well.
        let again = async {
            loop {
                match wish.try_join(&house).await {
                    Ok(client) => return client,
                    Err(refused) => assert_eq!(refused.problem.field, "connections"),
                }
            }
        };
        let mut again = within("the place that became free", again).await;
        inside.post("a place at last").await;
        assert_eq!(again.next_message().await.text, "a place at last", "{wish:?}");
        drop((inside, again));
        let usage = house.until_empty().await;
        let refused =
            if wish.transport.is_http() { usage.of_nobody().refused } else { usage.of(wish.transport).refused };
        assert!(refused >= 1, "{wish:?}: {usage:?}");
    }
}
