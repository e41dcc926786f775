//! A worker without a network: what it makes of messages, and whom it accuses.

use std::net::{SocketAddr, TcpListener};

use tokio::time::Instant;

use results::IncidentKind::{self, Corrupted, Duplicated, Lost, Reordered, Unexpected};
use wire::{Message, Reset, ServerItem};

use super::*;
use crate::client::PendingPost;
use crate::error::SessionEnd;
use crate::posting::{PROBE_ORDINAL, PROBE_TEXT};

/// All of a plan's clients in one worker, at a target where nobody listens.
pub(crate) fn worker(clients: u32, rooms: u32, more: &str) -> Rc<Worker> {
    worker_at(clients, rooms, more, Protocol::Pushbench)
}

/// The same at a server that speaks otherwise.
pub(crate) fn worker_at(clients: u32, rooms: u32, more: &str, protocol: Protocol) -> Rc<Worker> {
    let share = share(clients, rooms, more);
    Rc::new(Worker::new(WorkerConfig { target: Target { protocol, ..share.target.clone() }, ..share }))
}

/// The same over another transport, with somebody who listens.
pub(crate) fn worker_to(listener: &TcpListener, transport: Transport) -> Rc<Worker> {
    worker_of(&Arc::new(plan(1, 1, "")), listener.local_addr().unwrap(), transport)
}

/// The same for a plan.
pub(crate) fn worker_of(plan: &Arc<Plan>, to: SocketAddr, transport: Transport) -> Rc<Worker> {
    let share = share_of(Arc::clone(plan));
    Rc::new(Worker::new(WorkerConfig {
        transport,
        target: Target { http: to, tcp: to, ..share.target.clone() },
        ..share
    }))
}

pub(crate) fn plan(clients: u32, rooms: u32, more: &str) -> Plan {
    let text = format!(
        "name = \"t\"\nquestion = \"?\"\nclients = {clients}\nrooms = {rooms}\ntransports = [\"tcp\"]\n[posts]\n\
         per_client_per_s = 5.0\n{more}"
    );
    scenario::parse("t.toml", &text, &[]).unwrap().plans.remove(0)
}

fn share(clients: u32, rooms: u32, more: &str) -> WorkerConfig {
    share_of(Arc::new(plan(clients, rooms, more)))
}

fn share_of(plan: Arc<Plan>) -> WorkerConfig {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let posts = Arc::new(PostTable::new(usize::try_from(plan.posts_total()).unwrap()));
    let (_, cue) = tokio::sync::watch::channel(Cue::RampUp);
    let target = Target { http: nobody, tcp: nobody, token: None, protocol: Protocol::Pushbench };
    let (live, base) = (Arc::new(ProgressCounters::default()), Instant::now());
    WorkerConfig { plan, transport: Transport::Tcp, target, posts, live, cue, base, at: (0, 1), lock_step: false }
}

/// Three clients in one room that have all seen the probe as its first message.
fn room() -> Rc<Worker> {
    let worker = worker(3, 1, "");
    worker.clock.set_t0(Instant::now());
    for client in &worker.clients {
        worker.join(client, 0);
        see(&worker, client.id, 1, PROBE_AUTHOR, 0);
    }
    worker
}

fn see(worker: &Worker, client: u32, seq: u64, author: u32, ordinal: u64) {
    let text = if author == PROBE_AUTHOR { PROBE_TEXT } else { worker.plan.text(author, ordinal) };
    see_text(worker, client, seq, author, ordinal, text);
}

fn see_text(worker: &Worker, client: u32, seq: u64, author: u32, ordinal: u64, text: &str) {
    let message = Message { seq, author, ordinal, text: text.into() };
    worker.receive(worker.client(client), ServerItem::Message(message), text.len() + 21, 4).unwrap();
}

fn incidents(worker: &Worker) -> Vec<(IncidentKind, u32, u64)> {
    worker.counters.borrow().ledger.incidents.iter().map(|found| (found.kind, found.client, found.seq)).collect()
}

#[test]
fn a_log_that_everybody_sees_alike_is_right() {
    let worker = room();
    for client in 0..3 {
        see(&worker, client, 2, 0, 1);
        see(&worker, client, 3, 1, 1);
        see(&worker, client, 4, 0, 2);
    }
    assert_eq!(incidents(&worker), []);
    assert_eq!((worker.delivered(), worker.clients[2].ledger.borrow().received), (9, 3));
}

#[test]
fn a_garbled_first_sighting_accuses_nobody_else() {
    let worker = room();
    see_text(&worker, 0, 2, 0, 1, "something else");
    // It said it was another post, too.
    see_text(&worker, 0, 3, 2, 7, worker.plan.text(1, 1));
    for client in [1, 2] {
        see(&worker, client, 2, 0, 1);
        see(&worker, client, 3, 1, 1);
    }
    assert_eq!(incidents(&worker), [(Corrupted, 0, 2), (Corrupted, 0, 3)]);
}

#[test]
fn a_swap_at_the_first_receiver_accuses_nobody_else() {
    let worker = room();
    // Both of one author, and client 0 is the first of all to see either.
    see(&worker, 0, 3, 0, 2);
    for client in [1, 2] {
        see(&worker, client, 2, 0, 1);
        see(&worker, client, 3, 0, 2);
    }
    see(&worker, 0, 2, 0, 1);
    assert_eq!(incidents(&worker), [(Reordered, 0, 2)]);
}

#[test]
fn a_log_with_an_author_out_of_order_is_wrong_once() {
    let worker = room();
    for client in 0..3 {
        see(&worker, client, 2, 0, 2);
        see(&worker, client, 3, 0, 1);
    }
    assert_eq!(incidents(&worker), [(Reordered, 0, 3)]);
}

#[test]
fn two_receivers_that_are_told_different_things_under_one_seq_are_found() {
    let worker = room();
    see(&worker, 0, 2, 0, 1);
    see(&worker, 1, 2, 1, 1);
    assert_eq!(incidents(&worker), [(Corrupted, 1, 2)]);
}

#[test]
fn what_nobody_planned_leaves_a_hole() {
    let worker = room();
    see_text(&worker, 1, 2, 9, 1, "hello");
    see(&worker, 1, 3, 0, 1);
    see(&worker, 1, 3, 0, 1);
    assert_eq!(incidents(&worker), [(Unexpected, 1, 2), (Duplicated, 1, 3)]);
    assert_eq!(worker.clients[1].ledger.borrow().first_gap(), Some(2));
}

#[test]
fn a_log_that_was_begun_anew_has_lost_messages_and_nothing_else() {
    let worker = room();
    let reset = |client: u32, head| worker.receive(worker.client(client), ServerItem::Reset(Reset { head }), 20, 27);
    for client in 0..3 {
        see(&worker, client, 2, 0, 1);
        see(&worker, client, 3, 1, 1);
    }
    reset(0, 1).unwrap();
    // This one still reads what the server sent before.
    see(&worker, 1, 4, 0, 2);
    reset(1, 1).unwrap();
    reset(2, 1).unwrap();
    for client in 0..3 {
        see(&worker, client, 1, 0, 3);
        see(&worker, client, 2, 1, 2);
    }
    assert_eq!(incidents(&worker), [(Lost, 0, 2), (Lost, 1, 2), (Lost, 2, 2)]);
    let ledger = worker.counters.borrow().ledger.clone();
    assert_eq!((ledger.gap_messages, ledger.is_clean()), (2 + 3 + 2, false));
    assert_eq!(worker.delivered(), 3 * 4 + 1);
}

#[test]
fn a_reset_to_where_a_client_is_or_further_is_a_fault() {
    let worker = room();
    for head in [1, 7, u64::MAX] {
        let end = worker.receive(worker.client(0), ServerItem::Reset(Reset { head }), 20, 27).unwrap_err();
        assert!(matches!(&end, SessionEnd::Failed(fault) if fault.kind == FaultKind::BadBytes), "{end:?}");
    }
    assert_eq!(incidents(&worker), []);
}

#[test]
fn no_ordinal_is_taken_for_somebody_else_s_post() {
    let worker = room();
    // Added up without care, author 2's post before its first one would be author 1's last.
    for (seq, ordinal) in [(2, 0), (3, u64::MAX), (4, worker.plan.posts_of(2) + 1)] {
        see_text(&worker, 0, seq, 2, ordinal, "hello");
    }
    assert_eq!(incidents(&worker), [(Unexpected, 0, 2), (Unexpected, 0, 3), (Unexpected, 0, 4)]);
}

#[test]
fn the_probe_is_in_no_count_of_posts() {
    let worker = room();
    let client = worker.client(0);
    worker.receive(client, ServerItem::Ack(wire::Ack { ordinal: PROBE_ORDINAL, seq: 1 }), 17, 4).unwrap();
    worker.mark_sent(client, &PendingPost::now(PROBE_ORDINAL));
    let tally = worker.counters.borrow().traffic;
    assert_eq!((tally.posted, tally.accepted, tally.delivered), (0, 0, 0));
    worker.mark_sent(client, &PendingPost::now(1));
    worker.receive(client, ServerItem::Ack(wire::Ack { ordinal: 1, seq: 2 }), 17, 4).unwrap();
    let tally = worker.counters.borrow().traffic;
    assert_eq!((tally.posted, tally.accepted), (1, 1));
}

/// Posts twice, the second time while the connection is opened for the first one, and says how many were held up by that.
pub(crate) async fn blocked_by_opening(worker: &Worker) -> u64 {
    let (client, tally) = (worker.client(0), || worker.counters.borrow().traffic);
    client.queue.borrow_mut().push_back(PendingPost::now(1));
    worker.flush(client);
    while tally().posted == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tally().connections, 0, "it is being opened");
    client.queue.borrow_mut().push_back(PendingPost::now(2));
    worker.flush(client);
    while tally().requests == 0 {
        tokio::task::yield_now().await;
    }
    let waiting = client.queue.borrow().iter().filter(|due| due.delayed).count() as u64;
    tally().posts_delayed + waiting
}

#[tokio::test]
async fn a_connection_that_is_opened_twice_for_a_post_lets_it_leave_once() {
    let worker = worker(1, 1, "");
    worker.clients[0].queue.borrow_mut().push_back(PendingPost::now(1));
    for _ in 0..2 {
        assert!(worker.open_for_posts(&worker.clients[0]).await.is_err());
    }
    assert_eq!(worker.counters.borrow().traffic.posted, 1);
}

#[tokio::test(start_paused = true)]
async fn the_pacer_lets_posts_go_when_they_are_due_and_late_ones_at_once() {
    let worker = worker(3, 1, "[phases]\nwarm_up_s = 1.0\nwindow_s = 4.0\n");
    let begun = Instant::now();
    worker.clock.set_t0(begun);
    let waiting = || worker.clients.iter().map(|client| client.queue.borrow().len()).sum::<usize>();
    let due_by =
        |us: u64| (0..worker.plan.posts_total()).filter(|at| u64::from(worker.plan.due_us(*at as usize)) <= us).count();
    while let Some(wait) = worker.until_next_post() {
        // A pacer that is called a little early lets nothing go, and one that was kept for 150 ms everything it missed.
        tokio::time::advance(wait.saturating_sub(std::time::Duration::from_micros(1))).await;
        let before = waiting();
        worker.send_scheduled();
        assert_eq!(waiting(), before, "early");
        tokio::time::advance(std::time::Duration::from_millis(150)).await;
        worker.send_scheduled();
        assert_eq!(waiting(), due_by(begun.elapsed().as_micros() as u64));
    }
    for client in &worker.clients {
        let ordinals: Vec<_> = client.queue.borrow().iter().map(|due| due.ordinal).collect();
        assert_eq!(ordinals, (1..=worker.plan.posts_of(client.id)).collect::<Vec<_>>());
    }
}
