//! What a worker makes of what comes down: counted, held against the plan, and timed.

use results::{ByteClass, Direction, FaultKind, Incident, IncidentKind, Series, TrafficKind};
use wire::{Message, Reset, ServerItem};

use crate::client::Client;
use crate::error::{Fault, SessionEnd};
use crate::ledger::Arrival;
use crate::worker::{Counters, PROBE_AUTHOR, Worker};

impl Worker {
    /// Takes an item that came down; `item_bytes` is its encoding, `framing_bytes` what said where it ends.
    pub(crate) fn receive(
        &self,
        client: &Client,
        item: ServerItem<'_>,
        item_bytes: usize,
        framing_bytes: usize,
    ) -> Result<(), SessionEnd> {
        let (purpose, payload) = match &item {
            ServerItem::Message(message) => (TrafficKind::Delivery, message.text.len()),
            ServerItem::Ack(_) => (TrafficKind::Posting, 0),
            ServerItem::Heartbeat => (TrafficKind::KeepAlive, 0),
            ServerItem::Joined(_)
            | ServerItem::Gap(_)
            | ServerItem::Reset(_)
            | ServerItem::Error(_)
            | ServerItem::Bye => (TrafficKind::SetUp, 0),
        };
        let mut hot = self.counters.borrow_mut();
        hot.traffic.add(Direction::Down, purpose, ByteClass::Payload, payload);
        hot.traffic.add(Direction::Down, purpose, ByteClass::Envelope, item_bytes - payload);
        hot.traffic.add(Direction::Down, purpose, ByteClass::Framing, framing_bytes);
        match item {
            ServerItem::Message(message) => self.deliver(&mut hot, client, &message),
            ServerItem::Ack(ack) => self.confirm(&mut hot, client, ack.ordinal),
            ServerItem::Joined(joined) => {
                drop(hot);
                self.join(client, joined.after);
            }
            ServerItem::Gap(gap) => hot.ledger.gap_messages += gap.to.saturating_sub(gap.from).saturating_add(1),
            ServerItem::Reset(reset) => self.reset(&mut hot, client, reset)?,
            ServerItem::Error(problem) => return Err(Fault::new(FaultKind::Problem, problem.to_string()).into()),
            ServerItem::Heartbeat => {}
            ServerItem::Bye => return Err(SessionEnd::Closed),
        }
        Ok(())
    }

    /// The server has a post of this client.
    pub(crate) fn confirm(&self, hot: &mut Counters, client: &Client, ordinal: u64) {
        // The probe is no post of the plan: it neither leaves nor is confirmed in the counts.
        let Some(index) = self.plan.post_index(client.id, ordinal) else { return };
        hot.traffic.accepted += 1;
        self.posts.mark_accepted(index);
        if self.is_in_window(index)
            && let Some(left) = self.posts.sent_us(index)
        {
            hot.histograms.record(Series::AckLatency, self.clock.now_us() - left);
        }
    }

    /// The server has begun a room's log anew: what this client saw behind its end is lost from it, and its seqs stand for other posts now.
    fn reset(&self, hot: &mut Counters, client: &Client, reset: Reset) -> Result<(), Fault> {
        let mut ledger = client.ledger.borrow_mut();
        let (head, last) = (reset.head, ledger.last());
        if head >= last {
            let detail = format!("a reset to {head}, which is not below the cursor {last}");
            return Err(Fault::new(FaultKind::BadBytes, detail));
        }
        hot.ledger.gap_messages += last - head;
        hot.ledger.note(Incident { kind: IncidentKind::Lost, client: client.id, seq: head + 1 });
        hot.rooms[client.room as usize].as_mut().expect("a client's room is among its worker's").restart();
        ledger.start_after(0);
        Ok(())
    }

    fn deliver(&self, hot: &mut Counters, client: &Client, message: &Message<'_>) {
        let now = self.clock.now_us();
        let sighting = client.ledger.borrow_mut().receive(message.seq);
        // Our own numbers say nothing about an order.
        let late = hot.numbers.is_none().then_some(IncidentKind::Reordered);
        let kind = match sighting {
            Arrival::InOrder => self.check(hot, client, message, now),
            Arrival::FilledGap => self.check(hot, client, message, now).or(late),
            Arrival::Duplicate => Some(IncidentKind::Duplicated),
        };
        if let Some(kind) = kind {
            if kind == IncidentKind::Unexpected && message.author != PROBE_AUTHOR {
                client.ledger.borrow_mut().reopen(message.seq);
            }
            hot.ledger.note(Incident { kind, client: client.id, seq: message.seq });
        }
        if let Some(cut) = client.disconnected_us.take() {
            hot.histograms.record(Series::ReconnectTime, self.clock.run_us() - cut);
        }
    }

    /// Holds a new message against the plan, and records it.
    fn check(&self, hot: &mut Counters, client: &Client, message: &Message<'_>, now: i64) -> Option<IncidentKind> {
        let room = hot.rooms[client.room as usize].as_mut().expect("a client's room is among its worker's");
        if message.author == PROBE_AUTHOR {
            if !client.probed.replace(true) {
                self.probed.set(self.probed.get() + 1);
            }
            return (!room.set_base(message.seq)).then_some(IncidentKind::Unexpected);
        }
        let Some(index) = self.plan.post_index(message.author, message.ordinal) else {
            return Some(IncidentKind::Unexpected);
        };
        hot.traffic.delivered += 1;
        client.ledger.borrow_mut().received += 1;
        if hot.last_text.0 != index {
            hot.last_text = (index, self.plan.text_offset(message.author, message.ordinal));
        }
        if message.text != self.plan.text_at_offset(hot.last_text.1) {
            // Who it says it is may be as wrong as what it says: it teaches the room nothing, and times nothing.
            return Some(IncidentKind::Corrupted);
        }
        let mut kind = None;
        match room.check(message.seq, index as u32) {
            // In a log that was begun anew there is only the text to be checked.
            Some(false) if room.was_restarted() => self.posts.mark_received(index),
            Some(false) => {}
            Some(true) => {
                self.posts.mark_received(index);
                let last = &mut hot.authors[message.author as usize];
                // By their places in the log: the first to see two of them may have got them in the wrong order.
                let rises = (message.seq > last.0) == (message.ordinal > last.1);
                kind = (!rises && hot.numbers.is_none()).then_some(IncidentKind::Reordered);
                *last = (message.seq, message.ordinal).max(*last);
            }
            None => kind = Some(IncidentKind::Corrupted),
        }
        let due = i64::from(self.plan.due_us(index));
        if self.window_us.contains(&due) {
            hot.histograms.record(Series::DeliveryLatency, now - due);
            if let Some(left) = self.posts.sent_us(index) {
                hot.histograms.record(Series::DeliveryLatencyFromSend, now - left);
            }
            if let Some(spread) = self.posts.spread_us(index, now, self.plan.room_size(client.room)) {
                hot.histograms.record(Series::FanoutSpread, spread);
            }
        }
        kind
    }
}
