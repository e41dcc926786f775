//! What a worker makes of texts without a seq, and whom it accuses.

use std::rc::Rc;

use results::IncidentKind::{self, Corrupted, Duplicated, Reordered, Unexpected};

use super::*;
use crate::posting::{PROBE_ORDINAL, PROBE_TEXT};
use crate::worker::tests::worker_at;
use scenario::Protocol;

/// Three clients of a server that repeats, which have seen the probe.
fn room() -> Rc<Worker> {
    let worker = worker_at(3, 1, "", Protocol::PlainBroadcast { path: "/".to_owned() });
    worker.clock.set_t0(tokio::time::Instant::now());
    for client in &worker.clients {
        worker.join(client, 0);
        hear(&worker, client.id, PROBE_AUTHOR, PROBE_ORDINAL);
    }
    worker
}

fn json(author: u32, ordinal: u64, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    wire::encode_post_json(&Post { author, ordinal, text: text.into() }, &mut out);
    out
}

fn hear(worker: &Worker, client: u32, author: u32, ordinal: u64) {
    let text = if author == PROBE_AUTHOR { PROBE_TEXT } else { worker.plan.text(author, ordinal) };
    worker.receive_text(worker.client(client), &json(author, ordinal, text), 2).unwrap();
}

fn incidents(worker: &Worker) -> Vec<(IncidentKind, u32)> {
    worker.counters.borrow().ledger.incidents.iter().map(|found| (found.kind, found.client)).collect()
}

fn first_missing(worker: &Worker, client: u32) -> Option<u64> {
    worker.client(client).ledger.borrow().first_gap()
}

#[test]
fn authors_may_come_in_any_order_each_ones_posts_may_not() {
    let worker = room();
    for (client, posts) in [(0, [(0, 1), (1, 1), (0, 2)]), (1, [(1, 1), (0, 1), (0, 2)]), (2, [(0, 1), (0, 2), (1, 1)])]
    {
        posts.into_iter().for_each(|(author, ordinal)| hear(&worker, client, author, ordinal));
    }
    assert_eq!(incidents(&worker), []);
    hear(&worker, 0, 2, 2);
    hear(&worker, 1, 2, 1);
    assert_eq!(incidents(&worker), [], "who is first to see the second may not have got the first yet");
    hear(&worker, 1, 2, 2);
    assert_eq!(incidents(&worker), []);
    hear(&worker, 0, 2, 1);
    assert_eq!(incidents(&worker), [(Reordered, 0)]);
}

#[test]
fn what_did_not_come_is_missing_and_what_came_twice_is_doubled() {
    let worker = room();
    for client in 0..3 {
        hear(&worker, client, 0, 1);
        if client != 1 {
            hear(&worker, client, 1, 1);
        }
        hear(&worker, client, 0, 2);
    }
    assert_eq!(
        (first_missing(&worker, 0), first_missing(&worker, 1), first_missing(&worker, 2)),
        (None, Some(3), None)
    );
    assert_eq!(worker.client(1).ledger.borrow().received, 2);
    hear(&worker, 2, 1, 1);
    assert_eq!(incidents(&worker), [(Duplicated, 2)]);
}

#[test]
fn other_words_are_found_and_greetings_are_not_held_against_anybody() {
    let worker = worker_at(3, 1, "", Protocol::PlainBroadcast { path: "/".to_owned() });
    let client = worker.client(0);
    worker.join(client, 0);
    worker.receive_text(client, b"welcome", 2).unwrap();
    worker.receive_text(client, br#"{"hello":"you"}"#, 2).unwrap();
    assert_eq!(incidents(&worker), []);
    hear(&worker, 0, PROBE_AUTHOR, PROBE_ORDINAL);
    worker.receive_text(client, b"3 people are here", 2).unwrap();
    worker.receive_text(client, &json(1, 1, "not what was said"), 2).unwrap();
    worker.receive_text(client, &json(99, 1, "who?"), 2).unwrap();
    assert_eq!(incidents(&worker), [(Unexpected, 0), (Corrupted, 0), (Unexpected, 0)]);
}

#[test]
fn a_post_is_confirmed_when_its_author_hears_it_and_real_when_it_left_on_a_whole_connection() {
    let worker = room();
    let index = |ordinal| worker.plan.post_index(0, ordinal).unwrap();
    (1..=3).for_each(|ordinal| worker.posts.mark_sent(index(ordinal), 5));
    hear(&worker, 1, 0, 1);
    assert_eq!(worker.counters.borrow().traffic.accepted, 0);
    hear(&worker, 0, 0, 1);
    assert_eq!(worker.counters.borrow().traffic.accepted, 1);
    assert!(worker.posts.is_on_server(index(1)) && !worker.posts.is_on_server(index(2)));
    worker.confirm_sent_posts();
    assert!(
        worker.posts.is_on_server(index(2))
            && worker.posts.is_on_server(index(3))
            && !worker.posts.is_on_server(index(4))
    );
}

#[test]
fn what_left_on_a_connection_that_broke_may_never_have_arrived() {
    let worker = room();
    let index = worker.plan.post_index(0, 1).unwrap();
    worker.posts.mark_sent(index, 5);
    worker.mark_disconnected(worker.client(0));
    worker.join(worker.client(0), 0);
    worker.confirm_sent_posts();
    assert!(!worker.posts.is_on_server(index));
}
