//! The same posts make the same transcript on every transport, wherever a reader begins and however often it is cut off.

use futures_util::future::join_all;
use wire::{Message, Transport};

use crate::clients::{Client, Heard, Wish};
use crate::house::{House, within};

/// Texts that an encoding or a framing might stumble over.
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

/// A server that takes every awkward text.
async fn house() -> House {
    House::with(|limits| limits.message_bytes_max = 1 << 16).await
}

async fn join_every(wishes: &[Wish], house: &House) -> Vec<Client> {
    join_all(wishes.iter().map(|wish| wish.join(house))).await
}

fn seqs(messages: &[Message<'_>]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_posts_are_the_same_transcript_everywhere_and_the_author_gets_its_own() {
    let house = house().await;
    let wishes = Wish::all("lobby");
    let mut clients = join_every(&wishes, &house).await;
    let mut expected = Vec::new();
    for (round, text) in awkward_texts().into_iter().enumerate() {
        let author = round % clients.len();
        let ack = clients[author].post(&text).await;
        assert_eq!(ack.seq, round as u64 + 1, "a room counts its messages one by one");
        let ordinal = (round / clients.len()) as u64 + 1;
        let author = wishes[author].author;
        expected.push(Message { seq: ack.seq, author, ordinal, text: text.into() });
    }
    for (client, wish) in clients.iter_mut().zip(&wishes) {
        let transcript = client.next_messages(expected.len()).await;
        assert!(transcript == expected, "{wish:?}: {transcript:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_can_post_at_once_and_all_see_one_order() {
    const POSTS: usize = 25;
    let house = house().await;
    let wishes = Wish::all("busy");
    let mut clients = join_every(&wishes, &house).await;
    let total = POSTS * clients.len();
    let talks = clients.iter_mut().enumerate().map(|(seat, client)| async move {
        for n in 0..POSTS {
            client.post(&format!("{seat}-{n}")).await;
        }
        client.next_messages(total).await
    });
    let transcripts = join_all(talks).await;
    assert_eq!(seqs(&transcripts[0]), (1..=total as u64).collect::<Vec<_>>());
    for (transcript, wish) in transcripts.iter().zip(&wishes) {
        assert!(transcript == &transcripts[0], "{wish:?} saw another order");
    }
    for seat in 0..wishes.len() {
        let said: Vec<_> = (0..POSTS).map(|n| format!("{seat}-{n}")).collect();
        let mine = transcripts[0].iter().filter(|message| said.contains(&message.text.to_string()));
        assert_eq!(mine.map(|message| message.text.to_string()).collect::<Vec<_>>(), said, "an author's order is kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_joiner_chooses_where_it_begins() {
    let house = house().await;
    let mut author = Wish::new(Transport::Tcp, "lobby").join(&house).await;
    for n in 1..=5 {
        author.post(&format!("old {n}")).await;
    }
    let all = Wish::all("lobby");
    let after = |seq| all.iter().map(move |wish| wish.clone().after(seq)).collect::<Vec<_>>();
    let mut from_now = join_every(&all, &house).await;
    let mut from_start = join_every(&after(0), &house).await;
    let mut from_three = join_every(&after(3), &house).await;
    let mut from_end = join_every(&after(5), &house).await;
    assert!(from_now.iter().all(|client| client.cursor() == 5), "who begins now is told where now is");
    author.post("new").await;
    for (clients, expected) in
        [(&mut from_now, 6..=6), (&mut from_start, 1..=6), (&mut from_three, 4..=6), (&mut from_end, 6..=6)]
    {
        for (client, wish) in clients.iter_mut().zip(&all) {
            let expected: Vec<u64> = expected.clone().collect();
            assert_eq!(seqs(&client.next_messages(expected.len()).await), expected, "{wish:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_cut_off_in_the_middle_comes_back_and_has_missed_nothing() {
    const TOTAL: u64 = 120;
    let house = House::open().await;
    let post_all = async {
        let mut author = Wish::new(Transport::Tcp, "lobby").join(&house).await;
        for n in 1..=TOTAL {
            author.post(&n.to_string()).await;
        }
    };
    let house = &house;
    let readers = Wish::all("lobby").into_iter().map(|wish| async move {
        let mut client = wish.clone().after(0).join(house).await;
        let mut seen = Vec::new();
        while (seen.len() as u64) < TOTAL {
            seen.push(client.next_message().await.seq);
            if seen.len().is_multiple_of(7) {
                // What had come but was not yet read is lost with the connection.
                drop(client);
                client = wish.clone().returning(*seen.last().unwrap()).join(house).await;
            }
        }
        assert_eq!(seen, (1..=TOTAL).collect::<Vec<_>>(), "{wish:?}");
    });
    tokio::join!(post_all, join_all(readers));
    house.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_do_not_hear_each_other() {
    let house = House::open().await;
    for wish in Wish::all("left") {
        let mut left = wish.join(&house).await;
        let mut right = Wish { room: "right".to_owned(), ..wish }.join(&house).await;
        left.post("to the left").await;
        right.post("to the right").await;
        assert_eq!(left.next_message().await.text, "to the left");
        assert_eq!(right.next_message().await.text, "to the right");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_comes_in_one_batch() {
    let house = House::open().await;
    let mut author = Wish::new(Transport::Tcp, "lobby").join(&house).await;
    for n in 1..=50 {
        author.post(&n.to_string()).await;
    }
    for wish in Wish::all("lobby") {
        let before = house.usage_of(wish.transport).await;
        let mut client = wish.clone().after(0).join(&house).await;
        client.next_messages(50).await;
        let now = house.usage_of(wish.transport).await;
        assert_eq!(now.messages - before.messages, 50, "{wish:?}");
        // A library takes messages one by one, and an answer may begin while it still does.
        let batches_max = if wish.transport.is_socketio() { 10 } else { 1 };
        assert!((1..=batches_max).contains(&(now.batches - before.batches)), "{wish:?}: {now:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_a_request_or_one_for_all() {
    for transport in [Transport::Polling, Transport::LongPolling] {
        for close_each in [false, true] {
            let house = House::open().await;
            let mut client = Wish { close_each, ..Wish::new(transport, "lobby") }.join(&house).await;
            for n in 1..=5 {
                client.post(&n.to_string()).await;
                assert_eq!(client.next_message().await.seq, n);
            }
            let usage = house.usage_of(transport).await;
            assert_eq!((usage.posts, usage.messages, usage.requests), (5, 5, 11));
            // How many reqwest opens otherwise depends on how soon it has put one back; one for all is checked by hand in `usage`.
            if close_each {
                assert_eq!(usage.connections_opened, 11, "{transport}");
            }
            drop(client);
            house.until_empty().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_long_poll_costs_no_requests() {
    let house = House::open().await;
    let mut client = Wish::new(Transport::LongPolling, "lobby").join(&house).await;
    let mut author = Wish::new(Transport::Tcp, "lobby").join(&house).await;
    let hearing = async {
        let heard = within("the held answer", client.hear()).await;
        assert!(matches!(heard, Heard::Message(message) if message.text == "at last"));
    };
    let holding = async {
        house.until_readers(2).await;
        let before = house.usage_of(Transport::LongPolling).await;
        // Other traffic passes meanwhile, in another room.
        let mut elsewhere = Wish::new(Transport::Tcp, "elsewhere").join(&house).await;
        for n in 1..=20 {
            elsewhere.post(&n.to_string()).await;
        }
        assert_eq!(house.usage_of(Transport::LongPolling).await, before, "a hold is not free");
        author.post("at last").await;
    };
    tokio::join!(hearing, holding);
    let usage = house.usage_of(Transport::LongPolling).await;
    assert_eq!((usage.requests, usage.empty_answers, usage.messages), (2, 1, 1));
}
