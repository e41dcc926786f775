//! A worker without a network: what it makes of messages, and whom it accuses.

use std::net::{SocketAddr, TcpListener};

use tokio::time::Instant;

use results::IncidentKind::{self, Corrupted, Duplicated, Lost, Reordered, Unexpected};
use wire::{Message, Reset, ServerItem};

use super::*;
use crate::fault::End;
use crate::posting::{PROBE_ORDINAL, PROBE_TEXT};
use crate::seat::Due;

/// All of a plan's seats in one worker, at a target where nobody listens.
pub(crate) fn worker(clients: u32, rooms: u32, more: &str) -> Rc<Worker> {
    worker_at(clients, rooms, more, Protocol::Pushbench)
}

/// The same at a server that speaks otherwise.
pub(crate) fn worker_at(clients: u32, rooms: u32, more: &str, protocol: Protocol) -> Rc<Worker> {
    let share = share(clients, rooms, more);
    Rc::new(Worker::new(Share { target: Target { protocol, ..share.target.clone() }, ..share }))
}

/// The same over another transport, with somebody who listens.
pub(crate) fn worker_to(listener: &TcpListener, transport: Transport) -> Rc<Worker> {
    worker_of(&Arc::new(plan(1, 1, "")), listener.local_addr().unwrap(), transport)
}

/// The same for a plan.
pub(crate) fn worker_of(plan: &Arc<Plan>, to: SocketAddr, transport: Transport) -> Rc<Worker> {
    let share = share_of(Arc::clone(plan));
    Rc::new(Worker::new(Share { transport, target: Target { http: to, tcp: to, ..share.target.clone() }, ..share }))
}

pub(crate) fn plan(clients: u32, rooms: u32, more: &str) -> Plan {
    let text = format!(
        "name = \"t\"\nquestion = \"?\"\nclients = {clients}\nrooms = {rooms}\ntransports = [\"tcp\"]\n[posts]\n\
         per_client_per_s = 5.0\n{more}"
    );
    scenario::parse("t.toml", &text, &[]).unwrap().plans.remove(0)
}

fn share(clients: u32, rooms: u32, more: &str) -> Share {
    share_of(Arc::new(plan(clients, rooms, more)))
}

fn share_of(plan: Arc<Plan>) -> Share {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let posts = Arc::new(Posts::new(usize::try_from(plan.posts_total()).unwrap()));
    let (_, cue) = tokio::sync::watch::channel(Cue::RampUp);
    let target = Target { http: nobody, tcp: nobody, token: None, protocol: Protocol::Pushbench };
    let (live, base) = (Arc::new(Live::default()), Instant::now());
    Share { plan, transport: Transport::Tcp, target, posts, live, cue, base, at: (0, 1), lock_step: false }
}

/// Three seats in one room that have all seen the probe as its first message.
fn room() -> Rc<Worker> {
    let worker = worker(3, 1, "");
    worker.clock.set_t0(Instant::now());
    for seat in &worker.seats {
        worker.join(seat, 0);
        see(&worker, seat.id, 1, PROBE_AUTHOR, 0);
    }
    worker
}

fn see(worker: &Worker, seat: u32, seq: u64, author: u32, ordinal: u64) {
    let text = if author == PROBE_AUTHOR { PROBE_TEXT } else { worker.plan.text(author, ordinal) };
    see_text(worker, seat, seq, author, ordinal, text);
}

fn see_text(worker: &Worker, seat: u32, seq: u64, author: u32, ordinal: u64, text: &str) {
    let message = Message { seq, author, ordinal, text: text.into() };
    worker.take(worker.seat(seat), ServerItem::Message(message), text.len() + 21, 4).unwrap();
}

fn incidents(worker: &Worker) -> Vec<(IncidentKind, u32, u64)> {
    worker.hot.borrow().ledger.incidents.iter().map(|found| (found.kind, found.client, found.seq)).collect()
}

#[test]
fn a_log_that_everybody_sees_alike_is_right() {
    let worker = room();
    for seat in 0..3 {
        see(&worker, seat, 2, 0, 1);
        see(&worker, seat, 3, 1, 1);
        see(&worker, seat, 4, 0, 2);
    }
    assert_eq!(incidents(&worker), []);
    assert_eq!((worker.delivered(), worker.seats[2].ledger.borrow().seen), (9, 3));
}

#[test]
fn a_garbled_first_sighting_accuses_nobody_else() {
    let worker = room();
    see_text(&worker, 0, 2, 0, 1, "something else");
    // It said it was another post, too.
    see_text(&worker, 0, 3, 2, 7, worker.plan.text(1, 1));
    for seat in [1, 2] {
        see(&worker, seat, 2, 0, 1);
        see(&worker, seat, 3, 1, 1);
    }
    assert_eq!(incidents(&worker), [(Corrupted, 0, 2), (Corrupted, 0, 3)]);
}

#[test]
fn a_swap_at_the_first_receiver_accuses_nobody_else() {
    let worker = room();
    // Both of one author, and seat 0 is the first of all to see either.
    see(&worker, 0, 3, 0, 2);
    for seat in [1, 2] {
        see(&worker, seat, 2, 0, 1);
        see(&worker, seat, 3, 0, 2);
    }
    see(&worker, 0, 2, 0, 1);
    assert_eq!(incidents(&worker), [(Reordered, 0, 2)]);
}

#[test]
fn a_log_with_an_author_out_of_order_is_wrong_once() {
    let worker = room();
    for seat in 0..3 {
        see(&worker, seat, 2, 0, 2);
        see(&worker, seat, 3, 0, 1);
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
    assert_eq!(worker.seats[1].ledger.borrow().first_hole(), Some(2));
}

#[test]
fn a_log_that_was_begun_anew_has_lost_messages_and_nothing_else() {
    let worker = room();
    let reset = |seat: u32, head| worker.take(worker.seat(seat), ServerItem::Reset(Reset { head }), 20, 27);
    for seat in 0..3 {
        see(&worker, seat, 2, 0, 1);
        see(&worker, seat, 3, 1, 1);
    }
    reset(0, 1).unwrap();
    // This one still reads what the server sent before.
    see(&worker, 1, 4, 0, 2);
    reset(1, 1).unwrap();
    reset(2, 1).unwrap();
    for seat in 0..3 {
        see(&worker, seat, 1, 0, 3);
        see(&worker, seat, 2, 1, 2);
    }
    assert_eq!(incidents(&worker), [(Lost, 0, 2), (Lost, 1, 2), (Lost, 2, 2)]);
    let ledger = worker.hot.borrow().ledger.clone();
    assert_eq!((ledger.gap_messages, ledger.is_clean()), (2 + 3 + 2, false));
    assert_eq!(worker.delivered(), 3 * 4 + 1);
}

#[test]
fn a_reset_to_where_a_client_is_or_further_is_a_fault() {
    let worker = room();
    for head in [1, 7, u64::MAX] {
        let end = worker.take(worker.seat(0), ServerItem::Reset(Reset { head }), 20, 27).unwrap_err();
        assert!(matches!(&end, End::Fault(fault) if fault.kind == FaultKind::BadBytes), "{end:?}");
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
    let seat = worker.seat(0);
    worker.take(seat, ServerItem::Ack(wire::Ack { ordinal: PROBE_ORDINAL, seq: 1 }), 17, 4).unwrap();
    worker.leave(seat, &Due::now(PROBE_ORDINAL));
    let tally = worker.hot.borrow().tally;
    assert_eq!((tally.posted, tally.accepted, tally.delivered), (0, 0, 0));
    worker.leave(seat, &Due::now(1));
    worker.take(seat, ServerItem::Ack(wire::Ack { ordinal: 1, seq: 2 }), 17, 4).unwrap();
    let tally = worker.hot.borrow().tally;
    assert_eq!((tally.posted, tally.accepted), (1, 1));
}

/// Posts twice, the second time while the connection is opened for the first one, and says how many were held up by that.
pub(crate) async fn blocked_by_opening(worker: &Worker) -> u64 {
    let (seat, tally) = (worker.seat(0), || worker.hot.borrow().tally);
    seat.outbox.borrow_mut().push_back(Due::now(1));
    worker.flush(seat);
    while tally().posted == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tally().connections, 0, "it is being opened");
    seat.outbox.borrow_mut().push_back(Due::now(2));
    worker.flush(seat);
    while tally().requests == 0 {
        tokio::task::yield_now().await;
    }
    let waiting = seat.outbox.borrow().iter().filter(|due| due.blocked).count() as u64;
    tally().posts_delayed + waiting
}

#[tokio::test]
async fn a_connection_that_is_opened_twice_for_a_post_lets_it_leave_once() {
    let worker = worker(1, 1, "");
    worker.seats[0].outbox.borrow_mut().push_back(Due::now(1));
    for _ in 0..2 {
        assert!(worker.open_for_posts(&worker.seats[0]).await.is_err());
    }
    assert_eq!(worker.hot.borrow().tally.posted, 1);
}

#[tokio::test(start_paused = true)]
async fn the_pacer_lets_posts_go_when_they_are_due_and_late_ones_at_once() {
    let worker = worker(3, 1, "[phases]\nwarm_up_s = 1.0\nwindow_s = 4.0\n");
    let begun = Instant::now();
    worker.clock.set_t0(begun);
    let waiting = || worker.seats.iter().map(|seat| seat.outbox.borrow().len()).sum::<usize>();
    let due_by =
        |us: u64| (0..worker.plan.posts_total()).filter(|at| u64::from(worker.plan.due_us(*at as usize)) <= us).count();
    while let Some(wait) = worker.until_due() {
        // A pacer that is called a little early lets nothing go, and one that was kept for 150 ms everything it missed.
        tokio::time::advance(wait.saturating_sub(std::time::Duration::from_micros(1))).await;
        let before = waiting();
        worker.pace();
        assert_eq!(waiting(), before, "early");
        tokio::time::advance(std::time::Duration::from_millis(150)).await;
        worker.pace();
        assert_eq!(waiting(), due_by(begun.elapsed().as_micros() as u64));
    }
    for seat in &worker.seats {
        let ordinals: Vec<_> = seat.outbox.borrow().iter().map(|due| due.ordinal).collect();
        assert_eq!(ordinals, (1..=worker.plan.posts_of(seat.id)).collect::<Vec<_>>());
    }
}
