//! `http-streaming` and `sse`: one streamed response, with a parser written from the HTML standard.

use std::collections::VecDeque;

use wire::{ServerItem, Transport};

use super::http::{Poster, read_refusal};
use super::{ClientOptions, End, Received, Refused, json, received};
use crate::test_server::TestServer;

pub(crate) struct Client {
    pub(super) poster: Poster,
    pub(super) cursor: u64,
    transport: Transport,
    answer: reqwest::Response,
    unread: Vec<u8>,
    received: VecDeque<Received>,
    joined: bool,
}

impl Client {
    pub(super) async fn join(server: &TestServer, options: &ClientOptions) -> Result<Self, Refused> {
        let poster = Poster::new(server, options);
        let answer = poster.get(&options.path_query()).await.unwrap();
        if answer.status() != 200 {
            return Err(read_refusal(answer).await);
        }
        let expected = if options.transport == Transport::Sse { "text/event-stream" } else { "application/x-ndjson" };
        assert_eq!(answer.headers()["content-type"], expected);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let mut client = Self {
            poster,
            cursor: 0,
            transport: options.transport,
            answer,
            unread: Vec::new(),
            received: VecDeque::new(),
            joined: false,
        };
        while !client.joined {
            let chunk = client.answer.chunk().await.unwrap().expect("a stream begins with the join");
            client.take(&chunk);
        }
        Ok(client)
    }

    pub(super) async fn receive(&mut self) -> Received {
        loop {
            if let Some(received) = self.received.pop_front() {
                return received;
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => self.take(&chunk),
                Ok(None) => return Received::Ended(End::Complete),
                Err(error) => return Received::Ended(End::Broken(error.to_string())),
            }
        }
    }

    fn take(&mut self, chunk: &[u8]) {
        self.unread.extend_from_slice(chunk);
        let end: &[u8] = if self.transport == Transport::Sse { b"\n\n" } else { b"\n" };
        while let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
            let block: Vec<u8> = self.unread.drain(..at + end.len()).take(at).collect();
            match self.transport {
                Transport::Sse => self.take_event(std::str::from_utf8(&block).unwrap()),
                _ if block.is_empty() => self.received.push_back(Received::Heartbeat),
                _ => self.take_item(json::item(&block)),
            }
        }
    }

    fn take_event(&mut self, block: &str) {
        let (mut name, mut id, mut data) = ("message", None, None);
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("event", value)) => name = value,
                Some(("id", value)) => id = Some(value.parse::<u64>().unwrap()),
                Some(("data", value)) => data = Some(value),
                Some(("retry", value)) => assert!(value.parse::<u64>().unwrap() > 0),
                _ if line == ":" => self.received.push_back(Received::Heartbeat),
                _ => panic!("no field of an event: {line:?}"),
            }
        }
        let Some(data) = data else { return };
        let item = json::item(data.as_bytes());
        let (expected_name, expected_id) = match &item {
            ServerItem::Message(message) => ("message", message.seq),
            ServerItem::Joined(joined) => ("joined", joined.after),
            ServerItem::Gap(gap) => ("gap", gap.to),
            ServerItem::Reset(_) => ("reset", 0),
            other => panic!("{other:?} in an event stream"),
        };
        assert_eq!((name, id), (expected_name, Some(expected_id)), "a browser resumes with the last id");
        self.take_item(item);
    }

    fn take_item(&mut self, item: ServerItem<'_>) {
        if let ServerItem::Joined(joined) = &item {
            (self.cursor, self.joined) = (joined.after, true);
        }
        let opens = self.joined || matches!(item, ServerItem::Reset(_));
        assert!(opens, "the join is the first item, or follows a reset, not {item:?}");
        self.received.extend(received(item, &mut self.cursor));
    }
}
