//! Server-sent events.

use std::convert::Infallible;
use std::rc::Rc;

use wire::{EventDecoder, StartAt, decode_json};

use super::stream;
use crate::client::Client;
use crate::error::SessionEnd;
use crate::worker::Worker;
use results::{ByteClass, Direction, TrafficKind};

const EVENT_BYTES_MAX: usize = 8 << 20;

/// Events out of the pieces of a stream.
pub(super) struct Events {
    decoder: EventDecoder,
    /// What the piece before was counted under.
    before: TrafficKind,
}

impl Events {
    pub(super) fn new() -> Self {
        Self { decoder: EventDecoder::new(EVENT_BYTES_MAX), before: TrafficKind::KeepAlive }
    }
}

pub(super) async fn session(worker: &Rc<Worker>, client: &Rc<Client>) -> Result<Infallible, SessionEnd> {
    let mut events = Events::new();
    let mut headers = "accept: text/event-stream\r\n".to_owned();
    // As `EventSource` does when it comes back; in the URL the cursor stands for servers that do not know the header.
    if let StartAt::After(last) = client.start_at() {
        headers += &format!("last-event-id: {last}\r\n");
    }
    let take = |bytes: &[u8]| receive_events(worker, client, &mut events, bytes);
    stream::session(worker, client, &headers, take).await
}

/// Takes the events a piece of the stream completes.
pub(super) fn receive_events(
    worker: &Worker,
    client: &Client,
    events: &mut Events,
    bytes: &[u8],
) -> Result<(), SessionEnd> {
    let mut data_bytes = 0;
    let before = worker.delivered();
    events.decoder.feed(bytes, |event| {
        data_bytes += event.data.len();
        worker.receive(client, decode_json(event.data)?, event.data.len(), 0)
    })?;
    // What is not data is field names, ids and line ends; a piece without any event is a sign of life.
    let purpose = if worker.delivered() > before { TrafficKind::Delivery } else { TrafficKind::KeepAlive };
    let framing = bytes.len() as i64 - data_bytes as i64;
    // Data may have come with the piece before, and was counted as framing then.
    let counted = if framing < 0 { events.before } else { purpose };
    worker.counters.borrow_mut().traffic.correct(Direction::Down, counted, ByteClass::Framing, framing);
    events.before = purpose;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::tests::worker;

    #[test]
    fn every_byte_is_counted_once_however_the_stream_is_cut() {
        let worker = worker(2, 1, "");
        let text = worker.plan.text(0, 1);
        let message =
            |seq| format!("id:{seq}\ndata:{{\"seq\":{seq},\"author\":0,\"ordinal\":1,\"text\":\"{text}\"}}\n\n");
        let stream = format!(": hello\n\n{}: beat\n\n{}", message(1), message(2));
        let pieces = (1..=stream.len()).map(|size| stream.as_bytes().chunks(size).collect::<Vec<_>>());
        let halves = (0..stream.len()).map(|cut| vec![&stream.as_bytes()[..cut], &stream.as_bytes()[cut..]]);
        for pieces in pieces.chain(halves) {
            let (mut events, before) = (Events::new(), worker.counters.borrow().traffic);
            for piece in &pieces {
                receive_events(&worker, worker.client(0), &mut events, piece).unwrap();
            }
            let counted = worker.counters.borrow().traffic.since(&before).total(Direction::Down);
            assert_eq!(counted as usize, stream.len(), "{} pieces of {}", pieces.len(), pieces[0].len());
        }
    }
}
