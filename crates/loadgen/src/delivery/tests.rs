//! What clients receive: which incidents are found, and at which client.

use results::IncidentKind::{self, Corrupted, Duplicated, Lost, Reordered, Unexpected};
use tokio::time::Instant;
use wire::Ack;

use super::*;
use crate::measure::probe::{PROBE_ORDINAL, PROBE_TEXT};
use crate::testing::worker;
use crate::worker::Worker;

/// Three clients in one room that have all received the probe as its first message.
fn room() -> Worker {
    let worker = worker(3, 1, "");
    worker.run.clock.set_t0(Instant::now());
    for client in 0..3 {
        worker.session(client).join(0);
        deliver(&worker, client, 1, PROBE_AUTHOR, 0);
    }
    worker
}

fn deliver(worker: &Worker, client: u32, seq: u64, author: u32, ordinal: u64) {
    let text = if author == PROBE_AUTHOR { PROBE_TEXT } else { worker.run.plan.text(author, ordinal) };
    deliver_text(worker, client, seq, author, ordinal, text);
}

fn deliver_text(worker: &Worker, client: u32, seq: u64, author: u32, ordinal: u64, text: &str) {
    let message = Message { seq, author, ordinal, text: text.into() };
    worker.session(client).receive(ServerItem::Message(message), text.len() + 21, 4).unwrap();
}

fn incidents(worker: &Worker) -> Vec<(IncidentKind, u32, u64)> {
    let counters = worker.run.counters.borrow();
    counters.ledger.incidents.iter().map(|found| (found.kind, found.client, found.seq)).collect()
}

#[test]
fn messages_in_one_order_for_all_clients_are_no_incident() {
    let worker = room();
    for client in 0..3 {
        deliver(&worker, client, 2, 0, 1);
        deliver(&worker, client, 3, 1, 1);
        deliver(&worker, client, 4, 0, 2);
    }
    assert_eq!(incidents(&worker), []);
    assert_eq!((worker.run.delivered(), worker.scheduler.clients[2].ledger.borrow().received), (9, 3));
}

#[test]
fn an_altered_message_is_an_incident_of_its_client_only() {
    let worker = room();
    deliver_text(&worker, 0, 2, 0, 1, "something else");
    // With author and ordinal of another post.
    deliver_text(&worker, 0, 3, 2, 7, worker.run.plan.text(1, 1));
    for client in [1, 2] {
        deliver(&worker, client, 2, 0, 1);
        deliver(&worker, client, 3, 1, 1);
    }
    assert_eq!(incidents(&worker), [(Corrupted, 0, 2), (Corrupted, 0, 3)]);
}

#[test]
fn two_swapped_messages_are_an_incident_of_their_client_only() {
    let worker = room();
    // Both are of one author, and client 0 is the first to receive either.
    deliver(&worker, 0, 3, 0, 2);
    for client in [1, 2] {
        deliver(&worker, client, 2, 0, 1);
        deliver(&worker, client, 3, 0, 2);
    }
    deliver(&worker, 0, 2, 0, 1);
    assert_eq!(incidents(&worker), [(Reordered, 0, 2)]);
}

#[test]
fn a_log_with_an_author_out_of_order_is_one_incident() {
    let worker = room();
    for client in 0..3 {
        deliver(&worker, client, 2, 0, 2);
        deliver(&worker, client, 3, 0, 1);
    }
    assert_eq!(incidents(&worker), [(Reordered, 0, 3)]);
}

#[test]
fn two_posts_with_one_seq_are_an_incident() {
    let worker = room();
    deliver(&worker, 0, 2, 0, 1);
    deliver(&worker, 1, 2, 1, 1);
    assert_eq!(incidents(&worker), [(Corrupted, 1, 2)]);
}

#[test]
fn an_unplanned_message_leaves_a_gap() {
    let worker = room();
    deliver_text(&worker, 1, 2, 9, 1, "hello");
    deliver(&worker, 1, 3, 0, 1);
    deliver(&worker, 1, 3, 0, 1);
    assert_eq!(incidents(&worker), [(Unexpected, 1, 2), (Duplicated, 1, 3)]);
    assert_eq!(worker.scheduler.clients[1].ledger.borrow().first_gap(), Some(2));
}

#[test]
fn a_restarted_log_has_lost_messages_and_no_other_incident() {
    let worker = room();
    let reset = |client: u32, head| worker.session(client).receive(ServerItem::Reset(Reset { head }), 20, 27);
    for client in 0..3 {
        deliver(&worker, client, 2, 0, 1);
        deliver(&worker, client, 3, 1, 1);
    }
    reset(0, 1).unwrap();
    // This client still receives what the server sent before its restart.
    deliver(&worker, 1, 4, 0, 2);
    reset(1, 1).unwrap();
    reset(2, 1).unwrap();
    for client in 0..3 {
        deliver(&worker, client, 1, 0, 3);
        deliver(&worker, client, 2, 1, 2);
    }
    assert_eq!(incidents(&worker), [(Lost, 0, 2), (Lost, 1, 2), (Lost, 2, 2)]);
    let ledger = worker.run.counters.borrow().ledger.clone();
    assert_eq!((ledger.gap_messages, ledger.is_clean()), (2 + 3 + 2, false));
    assert_eq!(worker.run.delivered(), 3 * 4 + 1);
}

#[test]
fn a_reset_to_the_cursor_or_beyond_is_a_fault() {
    let worker = room();
    for head in [1, 7, u64::MAX] {
        let end = worker.session(0).receive(ServerItem::Reset(Reset { head }), 20, 27).unwrap_err();
        assert!(matches!(&end, SessionEnd::Failed(fault) if fault.kind == FaultKind::BadBytes), "{end:?}");
    }
    assert_eq!(incidents(&worker), []);
}

#[test]
fn an_ordinal_out_of_range_is_no_post_of_another_author() {
    let worker = room();
    // A plain sum would take author 2's ordinal 0 as the last post of author 1.
    for (seq, ordinal) in [(2, 0), (3, u64::MAX), (4, worker.run.plan.posts_of(2) + 1)] {
        deliver_text(&worker, 0, seq, 2, ordinal, "hello");
    }
    assert_eq!(incidents(&worker), [(Unexpected, 0, 2), (Unexpected, 0, 3), (Unexpected, 0, 4)]);
}

#[test]
fn the_probe_is_in_no_count_of_posts() {
    let session = room().session(0);
    let counts = || {
        let traffic = session.run.counters.borrow().traffic;
        (traffic.posted, traffic.accepted, traffic.delivered)
    };
    for (ordinal, expected) in [(PROBE_ORDINAL, (0, 0, 0)), (1, (1, 1, 0))] {
        mark_sent(&session.run, &session.client, &PendingPost::new(ordinal));
        session.receive(ServerItem::Ack(Ack { ordinal, seq: ordinal + 1 }), 17, 4).unwrap();
        assert_eq!(counts(), expected);
    }
}

/// Sends the first two posts of client 0, whose first one the server refuses because its log is away.
fn refused() -> Worker {
    let worker = room();
    for ordinal in [1, 2] {
        mark_sent(&worker.run, worker.scheduler.client(0), &PendingPost::new(ordinal));
    }
    let away = ErrorBody::new(ErrorBody::LOG, "", "away", "");
    worker.session(0).receive(ServerItem::Error(away), 9, 1).unwrap();
    worker.session(0).receive(ServerItem::Ack(Ack { ordinal: 2, seq: 2 }), 9, 1).unwrap();
    worker
}

#[test]
fn a_refused_post_leaves_the_session_and_may_come_late() {
    let worker = refused();
    assert_eq!(worker.run.faults.borrow().counts[&FaultKind::RetryLater], 1);
    deliver(&worker, 0, 2, 0, 2);
    deliver(&worker, 0, 3, 0, 1);
    assert_eq!(incidents(&worker), []);
}

#[test]
fn an_acknowledged_post_may_not_come_late() {
    let worker = refused();
    worker.session(0).receive(ServerItem::Ack(Ack { ordinal: 1, seq: 3 }), 9, 1).unwrap();
    deliver(&worker, 0, 2, 0, 2);
    deliver(&worker, 0, 3, 0, 1);
    assert_eq!(incidents(&worker), [(Reordered, 0, 3)]);
}

#[test]
fn an_error_of_another_kind_ends_the_session() {
    let worker = room();
    let problem = ErrorBody::new("text", "", "too long", "");
    assert!(worker.session(0).receive(ServerItem::Error(problem), 9, 1).is_err());
}
