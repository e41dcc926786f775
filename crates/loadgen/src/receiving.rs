//! What a worker makes of what comes down: counted, held against the plan, and timed.

use results::{ByteClass, Direction, FaultKind, Incident, IncidentKind, Series, TrafficKind};
use wire::{Message, Reset, ServerItem};

use crate::fault::{End, Fault};
use crate::ledger::Sighting;
use crate::seat::Seat;
use crate::worker::{Hot, PROBE_AUTHOR, Worker};

impl Worker {
    /// Takes an item that came down; `item_bytes` is its encoding, `framing_bytes` what said where it ends.
    pub(crate) fn take(
        &self,
        seat: &Seat,
        item: ServerItem<'_>,
        item_bytes: usize,
        framing_bytes: usize,
    ) -> Result<(), End> {
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
        let mut hot = self.hot.borrow_mut();
        hot.tally.add(Direction::Down, purpose, ByteClass::Payload, payload);
        hot.tally.add(Direction::Down, purpose, ByteClass::Envelope, item_bytes - payload);
        hot.tally.add(Direction::Down, purpose, ByteClass::Framing, framing_bytes);
        match item {
            ServerItem::Message(message) => self.deliver(&mut hot, seat, &message),
            ServerItem::Ack(ack) => self.confirm(&mut hot, seat, ack.ordinal),
            ServerItem::Joined(joined) => {
                drop(hot);
                self.join(seat, joined.after);
            }
            ServerItem::Gap(gap) => hot.ledger.gap_messages += gap.to.saturating_sub(gap.from).saturating_add(1),
            ServerItem::Reset(reset) => self.reset(&mut hot, seat, reset)?,
            ServerItem::Error(problem) => return Err(Fault::new(FaultKind::Problem, problem.to_string()).into()),
            ServerItem::Heartbeat => {}
            ServerItem::Bye => return Err(End::Cut),
        }
        Ok(())
    }

    /// The server has a post of this seat.
    pub(crate) fn confirm(&self, hot: &mut Hot, seat: &Seat, ordinal: u64) {
        // The probe is no post of the plan: it neither leaves nor is confirmed in the counts.
        let Some(index) = self.plan.post_index(seat.id, ordinal) else { return };
        hot.tally.accepted += 1;
        self.posts.confirm(index);
        if self.is_in_window(index)
            && let Some(left) = self.posts.left_us(index)
        {
            hot.recorder.record(Series::AckLatency, self.clock.now_us() - left);
        }
    }

    /// The server has begun a room's log anew: what this seat saw behind its end is lost from it, and its seqs stand for other posts now.
    fn reset(&self, hot: &mut Hot, seat: &Seat, reset: Reset) -> Result<(), Fault> {
        let mut ledger = seat.ledger.borrow_mut();
        let (head, last) = (reset.head, ledger.last());
        if head >= last {
            let detail = format!("a reset to {head}, which is not below the cursor {last}");
            return Err(Fault::new(FaultKind::BadBytes, detail));
        }
        hot.ledger.gap_messages += last - head;
        hot.ledger.note(Incident { kind: IncidentKind::Lost, client: seat.id, seq: head + 1 });
        hot.rooms[seat.room as usize].as_mut().expect("a seat's room is among its worker's").begin_anew();
        ledger.begin(0);
        Ok(())
    }

    fn deliver(&self, hot: &mut Hot, seat: &Seat, message: &Message<'_>) {
        let now = self.clock.now_us();
        let sighting = seat.ledger.borrow_mut().see(message.seq);
        // Our own numbers say nothing about an order.
        let late = hot.numbers.is_none().then_some(IncidentKind::Reordered);
        let kind = match sighting {
            Sighting::New => self.check(hot, seat, message, now),
            Sighting::Late => self.check(hot, seat, message, now).or(late),
            Sighting::Again => Some(IncidentKind::Duplicated),
        };
        if let Some(kind) = kind {
            if kind == IncidentKind::Unexpected && message.author != PROBE_AUTHOR {
                seat.ledger.borrow_mut().reopen(message.seq);
            }
            hot.ledger.note(Incident { kind, client: seat.id, seq: message.seq });
        }
        if let Some(cut) = seat.cut_us.take() {
            hot.recorder.record(Series::ReconnectTime, self.clock.run_us() - cut);
        }
    }

    /// Holds a new message against the plan, and records it.
    fn check(&self, hot: &mut Hot, seat: &Seat, message: &Message<'_>, now: i64) -> Option<IncidentKind> {
        let room = hot.rooms[seat.room as usize].as_mut().expect("a seat's room is among its worker's");
        if message.author == PROBE_AUTHOR {
            if !seat.probed.replace(true) {
                self.probed.set(self.probed.get() + 1);
            }
            return (!room.set_base(message.seq)).then_some(IncidentKind::Unexpected);
        }
        let Some(index) = self.plan.post_index(message.author, message.ordinal) else {
            return Some(IncidentKind::Unexpected);
        };
        hot.tally.delivered += 1;
        seat.ledger.borrow_mut().seen += 1;
        if hot.said.0 != index {
            hot.said = (index, self.plan.text_offset(message.author, message.ordinal));
        }
        if message.text != self.plan.text_at_offset(hot.said.1) {
            // Who it says it is may be as wrong as what it says: it teaches the room nothing, and times nothing.
            return Some(IncidentKind::Corrupted);
        }
        let mut kind = None;
        match room.agree(message.seq, index as u32) {
            // In a log that was begun anew there is only the text to be checked.
            Some(false) if room.began_anew() => self.posts.see(index),
            Some(false) => {}
            Some(true) => {
                self.posts.see(index);
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
            hot.recorder.record(Series::DeliveryLatency, now - due);
            if let Some(left) = self.posts.left_us(index) {
                hot.recorder.record(Series::DeliveryLatencyFromSend, now - left);
            }
            if let Some(spread) = self.posts.spread_us(index, now, self.plan.room_size(seat.room)) {
                hot.recorder.record(Series::FanoutSpread, spread);
            }
        }
        kind
    }
}
