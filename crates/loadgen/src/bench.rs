//! The hot path without a network, for benchmarks.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use results::TrafficKind;
use scenario::Plan;
use wire::{Message, ServerItem, Transport, decode_json, encode_json};

use crate::config::{Node, RunConfig, Target};
use crate::measure::probe::{PROBE_AUTHOR, PROBE_TEXT};
use crate::run_context::{WorkerConfig, WorkerIndex};
use crate::transports::Unit;
use crate::worker::Worker;

/// What a client receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// A message that is decoded already.
    Message,
    /// JSON of the built-in server.
    Json,
    /// JSON of another server, in which a text with a marker is found.
    Foreign,
}

/// Handles every message of a plan at every client of its room. Returns how long that took and the
/// number of deliveries.
pub fn receive_all(plan: &Arc<Plan>, received: Received) -> (Duration, u64) {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let protocol = (received == Received::Foreign)
        .then(|| Box::new(serde_json::from_str(r#"{"post":{"send":"{text}"}}"#).expect("a protocol")));
    let target = Target { protocol, ..Target::of(Node { http: nowhere, tcp: nowhere }) };
    let config = RunConfig {
        plan: Arc::clone(plan),
        transport: Transport::Websocket,
        target,
        cores: Vec::new(),
        never_sleeps: false,
    };
    let worker = Worker::new(WorkerConfig::alone(&config, WorkerIndex::ONLY));
    worker.run.clock.set_t0(tokio::time::Instant::now());
    let sessions: Vec<_> = (0..plan.clients).map(|client| worker.session(client)).collect();
    let (mut took, mut deliveries, mut unit) = (Duration::ZERO, 0, Unit::default());
    for (room, messages) in messages(plan).iter().enumerate() {
        for (message, json) in messages {
            let foreign = worker
                .run
                .markers
                .as_ref()
                .map(|markers| in_envelope(&markers.text(plan, message.author, message.ordinal)));
            let begun = Instant::now();
            for session in plan.clients_in(room as u32).map(|client| &sessions[client as usize]) {
                let handled = match (received, &foreign) {
                    (Received::Json, _) => session.receive(decode_json(json).expect("JSON of our own"), json.len(), 2),
                    (Received::Foreign, Some(bytes)) => unit.read(session, bytes, false).map(|_| {
                        unit.end(&session.run, TrafficKind::KeepAlive, 2);
                    }),
                    _ => session.receive(borrowed(message), json.len(), 2),
                };
                handled.expect("a message of the plan");
                deliveries += 1;
            }
            took += begun.elapsed();
        }
    }
    (took, deliveries)
}

/// A text as servers wrap it.
fn in_envelope(text: &str) -> Vec<u8> {
    let envelope = r#"{"type":"new_message","at":1764201600000,"payload":{"from":"client-17","text":""#;
    format!("{envelope}{text}\"}}}}").into_bytes()
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
