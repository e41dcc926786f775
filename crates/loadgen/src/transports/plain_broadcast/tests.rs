//! Texts without a seq: which incidents are found, and at which client.

use results::IncidentKind::{self, Corrupted, Duplicated, Reordered, Unexpected};
use scenario::Protocol;

use super::*;
use crate::run_context::{PROBE_ORDINAL, PROBE_TEXT};
use crate::testing::worker_with;
use crate::worker::Worker;

fn worker() -> Worker {
    worker_with(3, 1, "", Protocol::PlainBroadcast { path: "/".to_owned() })
}

/// Three clients that have received the probe.
fn room() -> Worker {
    let worker = worker();
    worker.run.clock.set_t0(tokio::time::Instant::now());
    for client in 0..3 {
        worker.session(client).join(0);
        receive(&worker, client, PROBE_AUTHOR, PROBE_ORDINAL);
    }
    worker
}

fn json(author: u32, ordinal: u64, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    wire::encode_post_json(&Post { author, ordinal, text: text.into() }, &mut out);
    out
}

fn receive(worker: &Worker, client: u32, author: u32, ordinal: u64) {
    let text = if author == PROBE_AUTHOR { PROBE_TEXT } else { worker.run.plan.text(author, ordinal) };
    receive_text(&worker.session(client), &json(author, ordinal, text), 2).unwrap();
}

fn incidents(worker: &Worker) -> Vec<(IncidentKind, u32)> {
    worker.run.counters.borrow().ledger.incidents.iter().map(|found| (found.kind, found.client)).collect()
}

fn first_missing(worker: &Worker, client: u32) -> Option<u64> {
    worker.scheduler.client(client).ledger.borrow().first_gap()
}

#[test]
fn posts_of_different_authors_may_arrive_in_any_order_those_of_one_may_not() {
    let worker = room();
    for (client, posts) in [(0, [(0, 1), (1, 1), (0, 2)]), (1, [(1, 1), (0, 1), (0, 2)]), (2, [(0, 1), (0, 2), (1, 1)])]
    {
        posts.into_iter().for_each(|(author, ordinal)| receive(&worker, client, author, ordinal));
    }
    assert_eq!(incidents(&worker), []);
    receive(&worker, 0, 2, 2);
    receive(&worker, 1, 2, 1);
    assert_eq!(incidents(&worker), [], "the first client to receive the second post may receive the first later");
    receive(&worker, 1, 2, 2);
    assert_eq!(incidents(&worker), []);
    receive(&worker, 0, 2, 1);
    assert_eq!(incidents(&worker), [(Reordered, 0)]);
}

#[test]
fn missing_and_duplicate_posts_are_found() {
    let worker = room();
    for client in 0..3 {
        receive(&worker, client, 0, 1);
        if client != 1 {
            receive(&worker, client, 1, 1);
        }
        receive(&worker, client, 0, 2);
    }
    assert_eq!(
        (first_missing(&worker, 0), first_missing(&worker, 1), first_missing(&worker, 2)),
        (None, Some(3), None)
    );
    assert_eq!(worker.scheduler.client(1).ledger.borrow().received, 2);
    receive(&worker, 2, 1, 1);
    assert_eq!(incidents(&worker), [(Duplicated, 2)]);
}

#[test]
fn other_texts_are_incidents_after_the_probe_and_greetings_before_it() {
    let worker = worker();
    let session = worker.session(0);
    session.join(0);
    receive_text(&session, b"welcome", 2).unwrap();
    receive_text(&session, br#"{"hello":"you"}"#, 2).unwrap();
    assert_eq!(incidents(&worker), []);
    receive(&worker, 0, PROBE_AUTHOR, PROBE_ORDINAL);
    receive_text(&session, b"3 people are here", 2).unwrap();
    receive_text(&session, &json(1, 1, "another text"), 2).unwrap();
    receive_text(&session, &json(99, 1, "who?"), 2).unwrap();
    assert_eq!(incidents(&worker), [(Unexpected, 0), (Corrupted, 0), (Unexpected, 0)]);
}

#[test]
fn a_post_is_accepted_when_its_author_receives_it_or_it_was_sent_on_an_unbroken_connection() {
    let worker = room();
    let index = |ordinal| worker.run.plan.post_index(0, ordinal).unwrap();
    (1..=3).for_each(|ordinal| worker.run.posts.mark_sent(index(ordinal), 5));
    receive(&worker, 1, 0, 1);
    assert_eq!(worker.run.counters.borrow().traffic.accepted, 0);
    receive(&worker, 0, 0, 1);
    assert_eq!(worker.run.counters.borrow().traffic.accepted, 1);
    assert!(worker.run.posts.is_on_server(index(1)) && !worker.run.posts.is_on_server(index(2)));
    confirm_sent_posts(&worker.run, &worker.scheduler.clients);
    assert!(
        worker.run.posts.is_on_server(index(2))
            && worker.run.posts.is_on_server(index(3))
            && !worker.run.posts.is_on_server(index(4))
    );
}

#[test]
fn a_post_sent_on_a_connection_that_broke_may_not_have_arrived() {
    let worker = room();
    let index = worker.run.plan.post_index(0, 1).unwrap();
    worker.run.posts.mark_sent(index, 5);
    let session = worker.session(0);
    session.client.mark_disconnected(&session.run);
    session.join(0);
    confirm_sent_posts(&worker.run, &worker.scheduler.clients);
    assert!(!worker.run.posts.is_on_server(index));
}
