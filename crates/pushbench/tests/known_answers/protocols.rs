//! Servers with a protocol of their own: measured as the built-in one, refused before measuring where
//! the protocol is described wrongly.

use crate::bench::{Bench, assert_valid};
use crate::{broadcast_server, chat_server};

const SET: [&str; 6] = [
    "transports=tcp",
    "rooms=2",
    "clients=4",
    "posts.per_client_per_s=10",
    "phases.warm_up_s=0.2",
    "phases.window_s=0.8",
];

/// A target on the chat over HTTP with this path to read from.
fn chat(transport: &str, read: &str, more: &str) -> String {
    let command = chat_server::command();
    format!(
        "name = 'chat'
command = {command:?}
ready = 'listening'
transports = ['{transport}']
[target.protocol]
login.request = {{ path = '/login', body = '{{\"user\":\"client-{{client}}\"}}' }}
login.values = {{ token = 'json:/user/token' }}
join = [{{ request = {{ method = 'POST', path = '/rooms/{{room}}/members/{{client}}', headers = {{ authorization = 'Bearer {{token}}' }} }} }}]
read = {{ path = '/rooms/{{room}}/{read}', headers = {{ authorization = 'Bearer {{token}}' }} }}
post.request = {{ path = '/rooms/{{room}}/say', headers = {{ authorization = 'Bearer {{token}}' }}, body = '{{\"text\":\"{{text}}\"}}' }}
{more}
"
    )
}

#[tokio::test]
async fn a_chat_over_http_is_measured_on_every_transport() {
    let since = "cursor.since = 'json:/page/next'";
    for (transport, read, more) in [
        ("polling", "poll?since={since}", since),
        ("polling", "poll", ""),
        ("long-polling", "hold?since={since}", since),
        ("http-streaming", "stream", ""),
        ("sse", "events", ""),
    ] {
        let set = [&SET[..], &["tuning.polling.interval_ms=100"]].concat();
        let bench = Bench::with_target(&set, &chat(transport, read, more)).await;
        bench.start("run", &[]).end().await.assert_completed();
        let records = bench.records();
        let record = records.iter().find(|record| record.target == "chat").unwrap();
        assert_valid(record);
        assert_eq!(record.total.accepted, record.total.posted, "{transport}");
        assert_eq!(
            (record.ledger.received, record.ledger.scheduled),
            (record.total.posted * 2, record.total.posted * 2)
        );
        let is_stream = ["http-streaming", "sse"].contains(&transport);
        assert_eq!(record.total.unmarked > 0, is_stream || transport == "polling", "{transport}: {:?}", record.total);
    }
}

#[tokio::test]
async fn authors_that_do_not_receive_their_messages() {
    let command = broadcast_server::command("others");
    let target = format!(
        "name = 'others'\ncommand = {command:?}\nready = 'listening'\ntransports = ['websocket']\n[target.protocol]\nauthor_receives = false\npost.send = '{{text}}'\n"
    );
    let bench = Bench::with_target(&[&SET[..], &["rooms=1"]].concat(), &target).await;
    bench.start("run", &[]).end().await.assert_completed();
    let records = bench.records();
    let record = records.iter().find(|record| record.target == "others").unwrap();
    assert_valid(record);
    assert_eq!(record.ledger.received, record.total.posted * 3);
    assert_eq!(record.planned.deliveries_in_window, record.planned.posts_in_window * 3);
    assert!(record.latency.get(&results::Series::AckLatency).is_none_or(|latency| latency.samples == 0));
}

#[tokio::test]
async fn a_protocol_that_delivers_nothing_is_refused_before_measuring() {
    for (target, expected) in [
        (chat("sse", "nowhere", ""), "client 1 joins: bad status: status 404 instead of 200"),
        (chat("sse", "events", "").replace("/user/token", "/token"), "has nothing at json:/token"),
        (chat("sse", "events", "").replace("'/login'", "'/log-in'"), "client 1 joins: bad status: status 401"),
        (chat("polling", "poll?since={since}", "cursor.since = 'json:/next'"), "has nothing at json:/next"),
        (
            chat("sse", "events", "").replace("\\\"{{text}}", "x").replace("{text}", "some text"),
            "client 1 posts: client 1 and client 2 did not receive it",
        ),
    ] {
        let bench = Bench::with_target(&SET, &target).await;
        let ended = bench.start("run", &[]).end().await;
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.err.contains(expected), "{expected}\n{}", ended.err);
        assert!(ended.err.contains("pushbench try"), "{}", ended.err);
        let tried = bench.try_out().end().await;
        assert!(tried.code == Some(1) && tried.out.contains("stopped: "), "{tried:?}");
    }
}

#[tokio::test]
async fn trying_shows_what_is_sent_and_received() {
    let bench = Bench::with_target(&SET, &chat("sse", "events", "")).await;
    let tried = bench.try_out().end().await;
    assert_eq!(tried.code, Some(0), "{tried:?}");
    for line in ["client 1 → POST /login HTTP/1.1", "client 2 → GET /rooms/room-0/events HTTP/1.1", "works: "] {
        assert!(tried.out.contains(line), "{line}\n{}", tried.out);
    }
}
