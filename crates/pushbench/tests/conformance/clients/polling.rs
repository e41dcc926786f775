//! `polling` and `long-polling`: a request for the new messages.

use std::collections::VecDeque;
use std::time::Duration;

use wire::{CURSOR_HEADER, StartAt, Transport};

use super::http::{Poster, read_refusal};
use super::{ClientOptions, End, Received, Refused, json, received};
use crate::test_server::TestServer;

/// The pause between two polls.
const POLL_EVERY: Duration = Duration::from_millis(10);
pub(crate) struct Client {
    pub(super) poster: Poster,
    pub(super) cursor: u64,
    transport: Transport,
    token: String,
    hold_ms: u128,
    received: VecDeque<Received>,
}

impl Client {
    /// Polls once without waiting. A new client learns its cursor, a resuming one gets the messages
    /// it missed.
    pub(super) async fn join(server: &TestServer, options: &ClientOptions) -> Result<Self, Refused> {
        let token = options.token.as_ref().map_or(String::new(), |token| format!("&token={token}"));
        let poster = Poster::new(server, options);
        let mut client = Self {
            poster,
            cursor: 0,
            transport: options.transport,
            token,
            hold_ms: server.hold_max.as_millis(),
            received: VecDeque::new(),
        };
        let mut query = options.path_query();
        if options.transport == Transport::LongPolling {
            query.push_str("&hold_ms=0");
        }
        let answer = client.poster.get(&query).await.unwrap();
        if !matches!(answer.status().as_u16(), 200 | 204) {
            return Err(read_refusal(answer).await);
        }
        let cursor = answer.headers().get(CURSOR_HEADER).map(|value| value.to_str().unwrap().parse().unwrap());
        client.cursor = match options.start {
            StartAt::Live => cursor.expect("the response to a client without a cursor has one"),
            StartAt::After(seq) => seq,
        };
        client.take(&answer.bytes().await.unwrap());
        Ok(client)
    }

    fn take(&mut self, body: &[u8]) {
        for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.received.extend(received(json::item(line), &mut self.cursor));
        }
    }

    pub(super) async fn receive(&mut self) -> Received {
        if let Some(received) = self.received.pop_front() {
            return received;
        }
        let hold = match self.transport {
            Transport::LongPolling => format!("&hold_ms={}", self.hold_ms),
            _ => {
                tokio::time::sleep(POLL_EVERY).await;
                String::new()
            }
        };
        match self.poster.get(&format!("after={}{hold}{}", self.cursor, self.token)).await {
            Err(error) => Received::Ended(End::Broken(error.to_string())),
            Ok(answer) => match answer.status().as_u16() {
                204 => Received::Heartbeat,
                200 => {
                    let body = answer.bytes().await.unwrap();
                    self.take(&body);
                    self.received.pop_front().expect("an answer with a body has something in it")
                }
                status => Received::Ended(End::Status(status)),
            },
        }
    }
}
