//! The same posts give the same transcript on every transport, for any start and any number of
//! disconnects.

use futures_util::future::join_all;
use wire::{Message, Transport};

use crate::clients::{Client, ClientOptions, Received};
use crate::test_server::{TestServer, within};

/// Texts with characters that an encoding or a framing has to escape.
fn awkward_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "hello",
        "",
        "\n",
        "a\nb\r\nc\r",
        "say \"x\" \\ \\n",
        "\u{0}\u{1}\u{7f}",
        "äöü 漢字 🎈",
        "data: x\n\nid: 9\n\n",
    ]
    .map(String::from)
    .into();
    texts.extend(["\u{2028}\u{feff}".to_owned(), "x".repeat(126), "y".repeat(65_536), "\"".repeat(16_384)]);
    texts
}

/// A server that accepts all of these texts.
async fn server() -> TestServer {
    TestServer::with_limits(|limits| limits.message_bytes_max = 1 << 16).await
}

async fn join_every(options: &[ClientOptions], server: &TestServer) -> Vec<Client> {
    join_all(options.iter().map(|options| options.join(server))).await
}

fn seqs(messages: &[Message<'_>]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_posts_are_the_same_transcript_everywhere_and_the_author_gets_its_own() {
    let server = server().await;
    let options = ClientOptions::all("lobby");
    let mut clients = join_every(&options, &server).await;
    let mut expected = Vec::new();
    for (round, text) in awkward_texts().into_iter().enumerate() {
        let author = round % clients.len();
        let ack = clients[author].post(&text).await;
        assert_eq!(ack.seq, round as u64 + 1, "a room counts its messages one by one");
        let ordinal = (round / clients.len()) as u64 + 1;
        let author = options[author].author;
        expected.push(Message { seq: ack.seq, author, ordinal, text: text.into() });
    }
    for (client, options) in clients.iter_mut().zip(&options) {
        let transcript = client.next_messages(expected.len()).await;
        assert!(transcript == expected, "{options:?}: {transcript:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_clients_post_at_once_and_see_one_order() {
    const POSTS: usize = 25;
    let server = server().await;
    let options = ClientOptions::all("busy");
    let mut clients = join_every(&options, &server).await;
    let total = POSTS * clients.len();
    let posting = clients.iter_mut().enumerate().map(|(index, client)| async move {
        for n in 0..POSTS {
            client.post(&format!("{index}-{n}")).await;
        }
        client.next_messages(total).await
    });
    let transcripts = join_all(posting).await;
    assert_eq!(seqs(&transcripts[0]), (1..=total as u64).collect::<Vec<_>>());
    for (transcript, options) in transcripts.iter().zip(&options) {
        assert!(transcript == &transcripts[0], "{options:?} saw another order");
    }
    for index in 0..options.len() {
        let posted: Vec<_> = (0..POSTS).map(|n| format!("{index}-{n}")).collect();
        let own = transcripts[0].iter().filter(|message| posted.contains(&message.text.to_string()));
        assert_eq!(
            own.map(|message| message.text.to_string()).collect::<Vec<_>>(),
            posted,
            "an author's order is kept"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_joiner_chooses_where_it_begins() {
    let server = server().await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    for n in 1..=5 {
        author.post(&format!("old {n}")).await;
    }
    server.until("five messages", |usage| usage.hub.log_messages == 5).await;
    let all = ClientOptions::all("lobby");
    let after = |seq| all.iter().map(move |options| options.clone().after(seq)).collect::<Vec<_>>();
    let mut from_now = join_every(&all, &server).await;
    let mut from_start = join_every(&after(0), &server).await;
    let mut from_three = join_every(&after(3), &server).await;
    let mut from_end = join_every(&after(5), &server).await;
    assert!(from_now.iter().all(|client| client.cursor() == 5), "a live reader learns the current cursor");
    author.post("new").await;
    for (clients, expected) in
        [(&mut from_now, 6..=6), (&mut from_start, 1..=6), (&mut from_three, 4..=6), (&mut from_end, 6..=6)]
    {
        for (client, options) in clients.iter_mut().zip(&all) {
            let expected: Vec<u64> = expected.clone().collect();
            assert_eq!(seqs(&client.next_messages(expected.len()).await), expected, "{options:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_reconnects_has_missed_nothing() {
    const TOTAL: u64 = 120;
    let server = TestServer::start().await;
    let post_all = async {
        let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
        for n in 1..=TOTAL {
            author.post(&n.to_string()).await;
        }
    };
    let server = &server;
    let readers = ClientOptions::all("lobby").into_iter().map(|options| async move {
        let mut client = options.clone().after(0).join(server).await;
        let mut seen = Vec::new();
        while (seen.len() as u64) < TOTAL {
            seen.push(client.next_message().await.seq);
            if seen.len().is_multiple_of(7) {
                // Received bytes that were not read are lost with the connection.
                drop(client);
                client = options.clone().resuming(*seen.last().unwrap()).join(server).await;
            }
        }
        assert_eq!(seen, (1..=TOTAL).collect::<Vec<_>>(), "{options:?}");
    });
    tokio::join!(post_all, join_all(readers));
    server.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_separate() {
    let server = TestServer::start().await;
    for options in ClientOptions::all("left") {
        let mut left = options.join(&server).await;
        let mut right = ClientOptions { room: "right".to_owned(), ..options }.join(&server).await;
        left.post("to the left").await;
        right.post("to the right").await;
        assert_eq!(left.next_message().await.text, "to the left");
        assert_eq!(right.next_message().await.text, "to the right");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_messages_arrive_in_one_batch() {
    let server = TestServer::start().await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    for n in 1..=50 {
        author.post(&n.to_string()).await;
    }
    for options in ClientOptions::all("lobby") {
        let before = server.stats_of(options.transport).await;
        let mut client = options.clone().after(0).join(&server).await;
        client.next_messages(50).await;
        let now = server.stats_of(options.transport).await;
        assert_eq!(now.messages - before.messages, 50, "{options:?}");
        // A library reads messages one by one, and a response may begin meanwhile.
        let batches_max = if options.transport.is_socketio() { 10 } else { 1 };
        assert!((1..=batches_max).contains(&(now.batches - before.batches)), "{options:?}: {now:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_per_request_or_one_for_all() {
    for transport in [Transport::Polling, Transport::LongPolling] {
        for close_each in [false, true] {
            let server = TestServer::start().await;
            let mut client = ClientOptions { close_each, ..ClientOptions::new(transport, "lobby") }.join(&server).await;
            for n in 1..=5 {
                client.post(&n.to_string()).await;
                assert_eq!(client.next_message().await.seq, n);
            }
            let usage = server.stats_of(transport).await;
            assert_eq!((usage.posts, usage.messages, usage.requests), (5, 5, 11));
            // reqwest opens more connections when it has not returned one to its pool yet. `usage`
            // checks the case of one connection.
            if close_each {
                assert_eq!(usage.connections_opened, 11, "{transport}");
            }
            drop(client);
            server.until_empty().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_long_poll_costs_no_requests() {
    let server = TestServer::start().await;
    let mut client = ClientOptions::new(Transport::LongPolling, "lobby").join(&server).await;
    let mut author = ClientOptions::new(Transport::Tcp, "lobby").join(&server).await;
    let hearing = async {
        let received = within("the held answer", client.receive()).await;
        assert!(matches!(received, Received::Message(message) if message.text == "at last"));
    };
    let holding = async {
        server.until_readers(2).await;
        let before = server.stats_of(Transport::LongPolling).await;
        // Meanwhile there is other traffic, in another room.
        let mut elsewhere = ClientOptions::new(Transport::Tcp, "elsewhere").join(&server).await;
        for n in 1..=20 {
            elsewhere.post(&n.to_string()).await;
        }
        assert_eq!(server.stats_of(Transport::LongPolling).await, before, "a hold is not free");
        author.post("at last").await;
    };
    tokio::join!(hearing, holding);
    let usage = server.stats_of(Transport::LongPolling).await;
    assert_eq!((usage.requests, usage.empty_answers, usage.messages), (2, 1, 1));
}
