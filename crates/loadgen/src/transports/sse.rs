//! Server-sent events.

use std::convert::Infallible;
use std::rc::Rc;

use wire::{EventDecoder, Start, decode_json};

use super::stream;
use crate::fault::End;
use crate::seat::Seat;
use crate::worker::Worker;
use results::{Class, Direction, Purpose};

pub(super) const EVENT_BYTES_MAX: usize = 8 << 20;

pub(super) async fn session(worker: &Rc<Worker>, seat: &Rc<Seat>) -> Result<Infallible, End> {
    let mut events = EventDecoder::new(EVENT_BYTES_MAX);
    let mut headers = "accept: text/event-stream\r\n".to_owned();
    // As `EventSource` does when it comes back; in the URL the cursor stands for servers that do not know the header.
    if let Start::After(last) = seat.start() {
        headers += &format!("last-event-id: {last}\r\n");
    }
    let take = |bytes: &[u8]| take_events(worker, seat, &mut events, bytes);
    stream::session(worker, seat, &headers, take).await
}

/// Takes the events a piece of the stream completes.
pub(super) fn take_events(worker: &Worker, seat: &Seat, events: &mut EventDecoder, bytes: &[u8]) -> Result<(), End> {
    let mut data_bytes = 0;
    let before = worker.delivered();
    events.feed(bytes, |event| {
        data_bytes += event.data.len();
        worker.take(seat, decode_json(event.data)?, event.data.len(), 0)
    })?;
    // What is not data is field names, ids and line ends; a piece without any event is a sign of life.
    let purpose = if worker.delivered() > before { Purpose::Delivery } else { Purpose::KeepAlive };
    // Data may have come with an earlier piece, and was counted as framing then.
    let framing = bytes.len() as i64 - data_bytes as i64;
    worker.hot.borrow_mut().tally.correct(Direction::Down, purpose, Class::Framing, framing);
    Ok(())
}
