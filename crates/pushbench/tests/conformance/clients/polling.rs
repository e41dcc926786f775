//! `polling` and `long-polling`: a request for whatever is new.

use std::collections::VecDeque;
use std::time::Duration;

use wire::{CURSOR_HEADER, StartAt, Transport};

use super::http::{Poster, read_refusal};
use super::{End, Heard, Refused, Wish, heard, json};
use crate::house::House;

/// What makes it polling: the pause between two questions.
const POLL_EVERY: Duration = Duration::from_millis(10);
pub(crate) struct Client {
    pub(super) poster: Poster,
    pub(super) cursor: u64,
    transport: Transport,
    token: String,
    hold_ms: u128,
    heard: VecDeque<Heard>,
}

impl Client {
    /// Asks once without waiting: a newcomer learns its cursor, one that comes back gets what it missed.
    pub(super) async fn join(house: &House, wish: &Wish) -> Result<Self, Refused> {
        let token = wish.token.as_ref().map_or(String::new(), |token| format!("&token={token}"));
        let poster = Poster::new(house, wish);
        let mut client = Self {
            poster,
            cursor: 0,
            transport: wish.transport,
            token,
            hold_ms: house.hold_max.as_millis(),
            heard: VecDeque::new(),
        };
        let mut query = wish.path_query();
        if wish.transport == Transport::LongPolling {
            query.push_str("&hold_ms=0");
        }
        let answer = client.poster.get(&query).await.unwrap();
        if !matches!(answer.status().as_u16(), 200 | 204) {
            return Err(read_refusal(answer).await);
        }
        let told = answer.headers().get(CURSOR_HEADER).map(|value| value.to_str().unwrap().parse().unwrap());
        client.cursor = match wish.start {
            StartAt::Live => told.expect("who joins without a cursor is told one"),
            StartAt::After(seq) => seq,
        };
        client.take(&answer.bytes().await.unwrap());
        Ok(client)
    }

    fn take(&mut self, body: &[u8]) {
        for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.heard.extend(heard(json::item(line), &mut self.cursor));
        }
    }

    pub(super) async fn hear(&mut self) -> Heard {
        if let Some(heard) = self.heard.pop_front() {
            return heard;
        }
        let hold = match self.transport {
            Transport::LongPolling => format!("&hold_ms={}", self.hold_ms),
            _ => {
                tokio::time::sleep(POLL_EVERY).await;
                String::new()
            }
        };
        match self.poster.get(&format!("after={}{hold}{}", self.cursor, self.token)).await {
            Err(error) => Heard::Ended(End::Broken(error.to_string())),
            Ok(answer) => match answer.status().as_u16() {
                204 => Heard::Beat,
                200 => {
                    let body = answer.bytes().await.unwrap();
                    self.take(&body);
                    self.heard.pop_front().expect("an answer with a body has something in it")
                }
                status => Heard::Ended(End::Status(status)),
            },
        }
    }
}
