//! What a received item means: it is counted, checked against the plan and timed.

use results::{ByteClass, Direction, FaultKind, Incident, IncidentKind, Series, TrafficKind};
use wire::{ErrorBody, Message, Reset, ServerItem};

use crate::client::{Client, PendingPost};
use crate::error::{Fault, SessionEnd};
use crate::measure::ledger::{Arrival, Placement};
use crate::measure::probe::PROBE_AUTHOR;
use crate::run_context::{Counters, RunContext};

/// Handles an item from the server: `item_bytes` of encoding, `framing_bytes` around it.
pub(crate) fn receive(
    run: &RunContext,
    client: &Client,
    item: ServerItem<'_>,
    item_bytes: usize,
    framing_bytes: usize,
) -> Result<(), SessionEnd> {
    let (kind, payload) = match &item {
        ServerItem::Message(message) => (TrafficKind::Delivery, message.text.len()),
        ServerItem::Ack(_) => (TrafficKind::Posting, 0),
        ServerItem::Heartbeat => (TrafficKind::KeepAlive, 0),
        ServerItem::Joined(_) | ServerItem::Gap(_) | ServerItem::Reset(_) | ServerItem::Error(_) | ServerItem::Bye => {
            (TrafficKind::SetUp, 0)
        }
    };
    let mut counters = run.counters.borrow_mut();
    counters.traffic.add(Direction::Down, kind, ByteClass::Payload, payload);
    counters.traffic.add(Direction::Down, kind, ByteClass::Envelope, item_bytes - payload);
    counters.traffic.add(Direction::Down, kind, ByteClass::Framing, framing_bytes);
    match item {
        ServerItem::Message(message) => deliver(run, &mut counters, client, &message),
        ServerItem::Ack(ack) => confirm(run, &mut counters, client, ack.ordinal),
        ServerItem::Joined(joined) => {
            drop(counters);
            client.join(run, joined.after);
        }
        ServerItem::Gap(gap) => counters.ledger.gap_messages += gap.to.saturating_sub(gap.from).saturating_add(1),
        ServerItem::Reset(reset) => restart_log(&mut counters, client, reset)?,
        ServerItem::Error(problem) if problem.field == ErrorBody::LOG && client.joined.get() => {
            client.give_up_answers(run);
            run.fault(Fault::new(FaultKind::RetryLater, problem.to_string()));
        }
        ServerItem::Error(problem) => return Err(Fault::new(FaultKind::Problem, problem.to_string()).into()),
        ServerItem::Heartbeat => {}
        ServerItem::Bye => return Err(SessionEnd::Closed),
    }
    Ok(())
}

/// The server has accepted a post of this client.
pub(crate) fn confirm(run: &RunContext, counters: &mut Counters, client: &Client, ordinal: u64) {
    if let Some(index) = accept(run, counters, client, ordinal)
        && run.due_in_window(index).is_some()
        && let Some(sent) = run.posts.sent_us(index)
    {
        counters.histograms.record(Series::AckLatency, run.clock.now_us() - sent);
    }
}

/// A post of this client counts as accepted. Returns its index; the probe is not in the plan and in
/// no count of posts.
pub(crate) fn accept(run: &RunContext, counters: &mut Counters, client: &Client, ordinal: u64) -> Option<usize> {
    let index = run.plan.post_index(client.id, ordinal)?;
    counters.traffic.accepted += 1;
    client.unanswered.borrow_mut().retain(|unanswered| *unanswered != index);
    run.posts.mark_accepted(index);
    Some(index)
}

/// The server has restarted a room's log. What this client received after the log's new end is lost
/// from it, and those seqs now belong to other posts.
fn restart_log(counters: &mut Counters, client: &Client, reset: Reset) -> Result<(), Fault> {
    let mut ledger = client.ledger.borrow_mut();
    let (head, last) = (reset.head, ledger.last());
    if head >= last {
        let detail = format!("a reset to seq {head}, which is not below the cursor {last}");
        return Err(Fault::new(FaultKind::BadBytes, detail));
    }
    counters.ledger.gap_messages += last - head;
    counters.ledger.note(Incident { kind: IncidentKind::Lost, client: client.id, seq: head + 1 });
    counters.rooms[client.room as usize].as_mut().expect("a worker has the rooms of its clients").restart();
    ledger.start_after(0);
    Ok(())
}

fn deliver(run: &RunContext, counters: &mut Counters, client: &Client, message: &Message<'_>) {
    let now = run.clock.now_us();
    let arrival = client.ledger.borrow_mut().receive(message.seq);
    let kind = match arrival {
        Arrival::InOrder => check(run, counters, client, message, now),
        Arrival::FilledGap => {
            // Numbers of our own say nothing about the order.
            let reordered = run.server_numbers_messages().then_some(IncidentKind::Reordered);
            check(run, counters, client, message, now).or(reordered)
        }
        Arrival::Duplicate => Some(IncidentKind::Duplicated),
    };
    if let Some(kind) = kind {
        if kind == IncidentKind::Unexpected && message.author != PROBE_AUTHOR {
            client.ledger.borrow_mut().reopen(message.seq);
        }
        counters.ledger.note(Incident { kind, client: client.id, seq: message.seq });
    }
    if let Some(disconnected_us) = client.disconnected_us.take() {
        counters.histograms.record(Series::ReconnectTime, run.clock.run_us() - disconnected_us);
    }
}

/// Checks a new message against the plan and records its latency.
fn check(
    run: &RunContext,
    counters: &mut Counters,
    client: &Client,
    message: &Message<'_>,
    now: i64,
) -> Option<IncidentKind> {
    if message.author == PROBE_AUTHOR {
        return (!receive_probe(run, counters, client, message.seq)).then_some(IncidentKind::Unexpected);
    }
    let room = counters.rooms[client.room as usize].as_mut().expect("a worker has the rooms of its clients");
    let Some(index) = run.plan.post_index(message.author, message.ordinal) else {
        return Some(IncidentKind::Unexpected);
    };
    counters.traffic.delivered += 1;
    client.ledger.borrow_mut().received += 1;
    if counters.last_text.0 != index {
        counters.last_text = (index, run.plan.text_offset(message.author, message.ordinal));
    }
    if message.text != run.plan.text_at_offset(counters.last_text.1) {
        // Author and ordinal may be as wrong as the text: neither the room's order nor a latency
        // uses them.
        return Some(IncidentKind::Corrupted);
    }
    let mut kind = None;
    match room.place(message.seq, index as u32) {
        Placement::Known => {}
        Placement::Unchecked => run.posts.mark_received(index),
        Placement::First => {
            run.posts.mark_received(index);
            let last = &mut counters.authors[message.author as usize];
            // Compared by seq, because the first client to receive two posts may get them in the
            // wrong order.
            let rises = (message.seq > last.0) == (message.ordinal > last.1);
            // A post without an answer may be appended after those that follow it.
            let is_excused = || {
                let other = run.plan.post_index(message.author, last.1);
                [Some(index), other].into_iter().flatten().any(|index| run.posts.is_unanswered(index))
            };
            let is_wrong = !rises && run.server_numbers_messages() && !is_excused();
            kind = is_wrong.then_some(IncidentKind::Reordered);
            *last = (message.seq, message.ordinal).max(*last);
        }
        Placement::Contradiction => kind = Some(IncidentKind::Corrupted),
    }
    record_latency(run, counters, client, index, now);
    kind
}

/// The client has the probe with this seq. Returns whether it is the seq that all clients of the room
/// have it with.
pub(crate) fn receive_probe(run: &RunContext, counters: &mut Counters, client: &Client, seq: u64) -> bool {
    if !client.probed.replace(true) {
        run.population.probed.set(run.population.probed.get() + 1);
    }
    let room = counters.rooms[client.room as usize].as_mut().expect("a worker has the rooms of its clients");
    room.set_base(seq)
}

fn record_latency(run: &RunContext, counters: &mut Counters, client: &Client, index: usize, now: i64) {
    let Some(due) = run.due_in_window(index) else { return };
    counters.histograms.record(Series::DeliveryLatency, now - due);
    counters.slice_delivery.saturating_record(u64::try_from(now - due).unwrap_or(0));
    if let Some(sent) = run.posts.sent_us(index) {
        counters.histograms.record(Series::DeliveryLatencyFromSend, now - sent);
    }
    if let Some(spread) = run.posts.spread_us(index, now, run.plan.receivers(client.room)) {
        counters.histograms.record(Series::FanoutSpread, spread);
    }
}

/// Marks a post as sent now: called just before its first byte is written, or its connection
/// opened.
pub(crate) fn mark_sent(run: &RunContext, client: &Client, post: &PendingPost) {
    let Some(index) = run.plan.post_index(client.id, post.ordinal) else { return };
    let now = run.clock.now_us();
    run.posts.mark_sent(index, now);
    client.unanswered.borrow_mut().push(index);
    let mut counters = run.counters.borrow_mut();
    counters.traffic.posted += 1;
    counters.traffic.posts_delayed += u64::from(post.delayed);
    if !post.delayed
        && let Some(due) = run.due_in_window(index)
    {
        counters.histograms.record(Series::SendDelay, now - due);
    }
}

#[cfg(test)]
mod tests;
