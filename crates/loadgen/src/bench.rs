//! A door for the benchmarks: the hot path with nothing around it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use scenario::Plan;
use tokio::sync::watch;
use tokio::time::Instant;
use wire::{Message, ServerItem, Transport, decode_json, encode_json};

use crate::live::{Cue, ProgressCounters};
use crate::posts::PostTable;
use crate::target::Target;
use crate::worker::{PROBE_AUTHOR, Worker, WorkerConfig};

/// Takes every message of a plan at every receiver of its room, and says how long that took and how many there were. `decoding` takes them
/// from their JSON, as they come from a socket; otherwise ledger, clock and recorder are all there is.
pub fn take_all(plan: &Arc<Plan>, decoding: bool) -> (Duration, u64) {
    let (_cue, heard) = watch::channel(Cue::RampUp);
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let worker = Worker::new(WorkerConfig {
        plan: Arc::clone(plan),
        transport: Transport::Websocket,
        target: Target { http: nowhere, tcp: nowhere, token: None, protocol: scenario::Protocol::Pushbench },
        posts: Arc::new(PostTable::new(plan.posts_total() as usize)),
        live: Arc::new(ProgressCounters::default()),
        cue: heard,
        base: Instant::now(),
        at: (0, 1),
        lock_step: false,
    });
    worker.clock.set_t0(Instant::now());
    let items = items(plan);
    let (mut took, mut deliveries) = (Duration::ZERO, 0);
    for (room, messages) in items.iter().enumerate() {
        for (item, json) in messages {
            let begun = Instant::now();
            for id in plan.clients_in(room as u32) {
                let item = if decoding { decode_json(json).expect("our own JSON") } else { borrowed(item) };
                worker.receive(worker.client(id), item, json.len(), 2).expect("a message of the plan");
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

/// Every room's messages, the probe first, as values and as JSON.
fn items(plan: &Plan) -> Vec<Vec<(Message<'_>, Vec<u8>)>> {
    let mut rooms: Vec<Vec<(Message<'_>, Vec<u8>)>> = (0..plan.rooms).map(|_| Vec::new()).collect();
    let mut push = |room: u32, author: u32, ordinal: u64, text: &'_ str| {
        let items = &mut rooms[room as usize];
        let seq = items.len() as u64 + 1;
        let message = Message { seq, author, ordinal, text: text.to_owned().into() };
        let mut json = Vec::new();
        encode_json(&ServerItem::Message(message.clone()), &mut json);
        items.push((message, json));
    };
    (0..plan.rooms).for_each(|room| push(room, PROBE_AUTHOR, 0, "probe"));
    for author in 0..plan.clients {
        for ordinal in 1..=plan.posts_of(author) {
            push(plan.room_of(author), author, ordinal, plan.text(author, ordinal));
        }
    }
    rooms
}
