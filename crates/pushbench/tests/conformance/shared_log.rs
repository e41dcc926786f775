//! Several servers with one log in Redis are one chat, also while Redis or a server is away. Each
//! test has a Redis of its own, so these tests run only where `redis-server` is installed.

use server::Log;
use wire::{StartAt, Transport};

use crate::clients::{Client, ClientOptions, Received};
use crate::redis::Redis;
use crate::test_server::{TestServer, within};

impl Redis {
    async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    async fn start_again(&mut self, keeps: bool) {
        self.child = Self::process(&self.folder, keeps).await;
    }

    async fn server(&self) -> TestServer {
        TestServer::with_log(Log::Redis { url: self.url(), chat: "test".to_owned() }).await
    }
}

/// A client of every transport on each server.
async fn join_all(servers: &[&TestServer], room: &str, start: StartAt) -> Vec<Client> {
    let mut clients = Vec::new();
    for server in servers {
        for options in ClientOptions::all(room) {
            clients.push(ClientOptions { start, ..options }.join(server).await);
        }
    }
    clients
}

async fn receive(clients: &mut [Client], expected: &[String]) {
    for client in clients {
        let messages = client.next_messages(expected.len()).await;
        let texts: Vec<_> = messages.iter().map(|message| message.text.to_string()).collect();
        assert_eq!(texts, expected);
    }
}

/// Posts until the shared log takes the post.
async fn post_until_taken(client: &mut Client, text: &str) {
    let posting = async { while client.try_post(text).await.is_err() {} };
    within("the log to take a post", posting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_two_servers_are_in_one_room() {
    let redis = Redis::start(true).await;
    let (one, other) = (redis.server().await, redis.server().await);
    let mut clients = join_all(&[&one, &other], "lobby", StartAt::Live).await;
    let mut expected = Vec::new();
    for (round, client) in clients.iter_mut().enumerate() {
        let text = format!("from {round}");
        assert_eq!(client.post(&text).await.seq, round as u64 + 1);
        expected.push(text);
    }
    receive(&mut clients, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_later_has_what_was_said_before() {
    let redis = Redis::start(true).await;
    let first = redis.server().await;
    let mut author = ClientOptions::new(Transport::Websocket, "lobby").join(&first).await;
    let expected: Vec<_> = (0..20).map(|at| format!("message {at}")).collect();
    for text in &expected {
        author.post(text).await;
    }
    first.shutdown().await;
    let second = redis.server().await;
    receive(&mut join_all(&[&second], "lobby", StartAt::After(0)).await, &expected).await;
    receive(&mut join_all(&[&second], "lobby", StartAt::After(15)).await, &expected[15..]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_stay_while_redis_is_away_and_posts_are_refused() {
    let mut redis = Redis::start(true).await;
    let (one, other) = (redis.server().await, redis.server().await);
    let mut readers = join_all(&[&one, &other], "lobby", StartAt::Live).await;
    let mut author = ClientOptions::new(Transport::Polling, "lobby").join(&one).await;
    author.post("before").await;
    redis.kill().await;
    let refused = author.try_post("meanwhile").await.unwrap_err();
    assert_eq!((refused.status, refused.retry_after.as_deref()), (Some(503), Some("1")), "{refused:?}");
    redis.start_again(true).await;
    post_until_taken(&mut author, "after").await;
    for reader in &mut readers {
        let mut texts = Vec::new();
        while texts.last().is_none_or(|last| last != "after") {
            texts.push(reader.next_message().await.text.to_string());
        }
        // A post that was refused may still appear, once.
        assert!(texts == ["before", "after"] || texts == ["before", "meanwhile", "after"], "{texts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_end_when_redis_has_forgotten_the_room() {
    let mut redis = Redis::start(false).await;
    let server = redis.server().await;
    let mut reader = ClientOptions::new(Transport::Websocket, "lobby").join(&server).await;
    for text in ["one", "two"] {
        reader.post(text).await;
        assert_eq!(reader.next_message().await.text, text);
    }
    redis.kill().await;
    redis.start_again(false).await;
    assert!(matches!(reader.next().await, Received::Ended(_)));
    let refused = ClientOptions::new(Transport::Websocket, "lobby").after(2).try_join(&server).await.err().unwrap();
    assert_eq!(refused.error_body.field, "after", "{refused:?}");
    let mut again = ClientOptions::new(Transport::Websocket, "lobby").join(&server).await;
    assert_eq!(again.post("three").await.seq, 1);
}
