//! The hot path without a network, for benchmarks.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scenario::Plan;
use wire::{Message, ServerItem, Transport, decode_json, encode_json};

use crate::config::{RunConfig, Target};
use crate::measure::probe::{PROBE_AUTHOR, PROBE_TEXT};
use crate::run_context::{WorkerConfig, WorkerIndex};
use crate::worker::Worker;

/// Handles every message of a plan at every client of its room. Returns how long that took and the
/// number of deliveries. With `decoding` each message is decoded from JSON, as from a socket.
pub fn receive_all(plan: &Arc<Plan>, decoding: bool) -> (Duration, u64) {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let target = Target { http: nowhere, tcp: nowhere, token: None, protocol: None };
    let config = RunConfig { plan: Arc::clone(plan), transport: Transport::Websocket, target, cores: Vec::new() };
    let worker = Worker::new(WorkerConfig::alone(&config, WorkerIndex::ONLY));
    worker.run.clock.set_t0(tokio::time::Instant::now());
    let sessions: Vec<_> = (0..plan.clients).map(|client| worker.session(client)).collect();
    let (mut took, mut deliveries) = (Duration::ZERO, 0);
    for (room, messages) in messages(plan).iter().enumerate() {
        for (message, json) in messages {
            let begun = Instant::now();
            for client in plan.clients_in(room as u32) {
                let item = if decoding { decode_json(json).expect("JSON of our own") } else { borrowed(message) };
                sessions[client as usize].receive(item, json.len(), 2).expect("a message of the plan");
                deliveries += 1;
            }
            took += begun.elapsed();
        }
    }
    (took, deliveries)
}

fn borrowed<'a>(message: &'a Message<'_>) -> ServerItem<'a> {
    let Message { seq, author, ordinal, ref text } = *message;
    ServerItem::Message(Message { seq, author, ordinal, text: Cow::Borrowed(text) })
}

/// The messages of every room, the probe first, as values and as JSON.
fn messages(plan: &Plan) -> Vec<Vec<(Message<'_>, Vec<u8>)>> {
    let mut rooms: Vec<Vec<(Message<'_>, Vec<u8>)>> = (0..plan.rooms).map(|_| Vec::new()).collect();
    let mut push = |room: u32, author: u32, ordinal: u64, text: &'_ str| {
        let messages = &mut rooms[room as usize];
        let seq = messages.len() as u64 + 1;
        let message = Message { seq, author, ordinal, text: text.to_owned().into() };
        let mut json = Vec::new();
        encode_json(&ServerItem::Message(message.clone()), &mut json);
        messages.push((message, json));
    };
    (0..plan.rooms).for_each(|room| push(room, PROBE_AUTHOR, 0, PROBE_TEXT));
    for author in 0..plan.clients {
        for ordinal in 1..=plan.posts_of(author) {
            push(plan.room_of(author), author, ordinal, plan.text(author, ordinal));
        }
    }
    rooms
}
