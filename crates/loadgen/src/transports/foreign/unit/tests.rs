//! Texts without a seq: which incidents are found, and at which client.

use std::sync::Arc;

use results::IncidentKind::{Corrupted, Duplicated, Reordered, Unexpected};
use scenario::TargetProtocol;
use wire::Transport;

use super::*;
use crate::measure::probe::PROBE_ORDINAL;
use crate::testing::{plan, worker_with};
use crate::transports::foreign::confirm_sent_posts;
use crate::worker::Worker;

fn worker() -> Worker {
    worker_for(plan(3, 1, ""))
}

fn worker_for(plan: scenario::Plan) -> Worker {
    let protocol: TargetProtocol = serde_json::from_str(r#"{"post":{"send":"{text}"}}"#).unwrap();
    let nowhere = "127.0.0.1:9".parse().unwrap();
    worker_with(&Arc::new(plan), nowhere, Transport::Websocket, Some(protocol))
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

fn text(worker: &Worker, author: u32, ordinal: u64) -> String {
    worker.run.markers.as_ref().unwrap().text(&worker.run.plan, author, ordinal)
}

fn read(session: &Session, bytes: &[u8]) {
    let mut unit = Unit::default();
    assert_eq!(unit.read(session, bytes, false).unwrap(), bytes.len());
    unit.end(&session.run, TrafficKind::KeepAlive, 2);
}

fn receive(worker: &Worker, client: u32, author: u32, ordinal: u64) {
    let text = if author == 99 { text(worker, 1, 1).replace(".1.1.", ".99.1.") } else { text(worker, author, ordinal) };
    read(&worker.session(client), text.as_bytes());
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
fn texts_without_a_marker_are_counted_apart_and_unknown_posts_are_incidents() {
    let worker = worker();
    let session = worker.session(0);
    session.join(0);
    read(&session, b"welcome");
    receive(&worker, 0, PROBE_AUTHOR, PROBE_ORDINAL);
    read(&session, b"3 people are here");
    read(&session, b"a text of an earlier run: pb.aaaaaa.0.1.x");
    assert_eq!((incidents(&worker), session.run.traffic().unmarked), (vec![], 3));
    let cut = text(&worker, 1, 1);
    read(&session, &cut.as_bytes()[..cut.len() - 1]);
    receive(&worker, 0, 99, 1);
    assert_eq!(incidents(&worker), [(Corrupted, 0), (Unexpected, 0)]);
}

#[test]
fn a_text_that_a_unit_repeats_is_one_delivery_and_every_byte_is_counted_once() {
    let worker = room();
    let (session, text) = (worker.session(0), text(&worker, 1, 1));
    let before = session.run.traffic();
    let unit = format!("{{\"text\":\"{text}\",\"html\":\"<p>{text}</p>\"}}");
    read(&session, unit.as_bytes());
    let counted = session.run.traffic().since(&before);
    assert_eq!((incidents(&worker), counted.delivered), (vec![], 1));
    assert_eq!(counted.total(Direction::Down), unit.len() as u64 + 2);
    read(&session, unit.as_bytes());
    assert_eq!(incidents(&worker), [(Duplicated, 0)]);
}

#[test]
fn an_own_message_is_an_incident_where_authors_do_not_receive_theirs() {
    let mut plan = plan(3, 1, "");
    plan.author_receives = false;
    let worker = worker_for(plan);
    let session = worker.session(0);
    session.join(0);
    receive(&worker, 0, PROBE_AUTHOR, PROBE_ORDINAL);
    receive(&worker, 0, 1, 1);
    assert_eq!(incidents(&worker), []);
    receive(&worker, 0, 0, 1);
    assert_eq!((incidents(&worker), session.run.traffic().delivered), (vec![(Unexpected, 0)], 1));
}

#[test]
fn what_a_response_without_a_cursor_repeats_is_no_duplicate() {
    let worker = room();
    let session = worker.session(0);
    let mut unit = Unit::repeating();
    for posts in [1, 2] {
        let body: String = (1..=posts).map(|ordinal| text(&worker, 1, ordinal)).collect();
        unit.read(&session, body.as_bytes(), false).unwrap();
        unit.end(&session.run, TrafficKind::Empty, 0);
    }
    assert_eq!((incidents(&worker), session.run.traffic().delivered), (vec![], 2));
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
