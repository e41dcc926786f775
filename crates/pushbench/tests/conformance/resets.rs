//! A stream of events whose log has restarted: a browser reconnects with a cursor beyond the end,
//! gets a reset and continues.

use wire::{Gap, Reset, Transport};

use crate::clients::{ClientOptions, Received};
use crate::raw::Raw;
use crate::test_server::{StatsByTransport, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_resumes_on_a_shorter_log_gets_a_reset_and_starts_at_its_beginning() {
    let server = TestServer::start().await;
    let options = ClientOptions::new(Transport::Sse, "lobby");
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    for seq in [1, u64::MAX] {
        let mut nothing_yet =
            ClientOptions::new(Transport::Sse, &format!("empty-{seq}")).resuming(seq).join(&server).await;
        assert_eq!(nothing_yet.next().await, Received::Reset(Reset { head: 0 }));
        assert_eq!(nothing_yet.cursor(), 0);
    }
    author.post("first").await;
    author.post("second").await;
    let mut client = options.clone().resuming(3).join(&server).await;
    assert_eq!(client.next().await, Received::Reset(Reset { head: 2 }));
    let texts = client.next_messages(2).await.into_iter().map(|message| (message.seq, message.text.into_owned()));
    assert_eq!(texts.collect::<Vec<_>>(), [(1, "first".to_owned()), (2, "second".to_owned())]);
    author.post("third").await;
    assert_eq!(client.next_message().await.text, "third");
    // A cursor at the end is not beyond it.
    let mut at_the_end = options.resuming(3).join(&server).await;
    author.post("fourth").await;
    assert_eq!(at_the_end.next_message().await.text, "fourth");
    let usage = server.stats_of(Transport::Sse).await;
    assert_eq!((usage.gaps, usage.malformed), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_the_new_log_no_longer_has_are_a_gap_after_the_reset() {
    let server = TestServer::with_limits(|limits| limits.log_messages_max = 2).await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    for text in ["a", "b", "c", "d"] {
        author.post(text).await;
    }
    let mut client = ClientOptions::new(Transport::Sse, "lobby").resuming(9).join(&server).await;
    assert_eq!(client.next().await, Received::Reset(Reset { head: 4 }));
    assert_eq!(client.next().await, Received::Gap(Gap { from: 1, to: 2 }));
    assert_eq!(client.next_messages(2).await[1].text, "d");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_header_resets_and_only_on_streams_of_events() {
    let server = TestServer::start().await;
    let header = "last-event-id: 7\r\n";
    for (target, headers, status) in [
        ("/rooms/lobby/sse?after=7", "", 400),
        ("/rooms/lobby/sse?after=7", header, 200),
        ("/rooms/lobby/sse?after=7", "last-event-id: 0\r\n", 200),
        ("/rooms/lobby/sse", header, 200),
        // The other transports ignore the header.
        ("/rooms/lobby/http-streaming?after=7", header, 400),
        ("/rooms/lobby/polling?after=7", header, 400),
        ("/rooms/lobby/polling", header, 204),
    ] {
        let mut raw = Raw::connect(server.http).await;
        assert_eq!(raw.begin("GET", target, headers, "").await.status, status, "{target} {headers}");
    }
    server.until("the resets to be counted", |usage| usage.of(Transport::Sse).gaps == 2).await;
}
