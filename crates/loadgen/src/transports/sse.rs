//! Server-sent events.

use std::convert::Infallible;

use results::{ByteClass, Direction, TrafficKind};
use wire::{EventDecoder, StartAt, decode_json};

use super::http::stream;
use crate::error::SessionEnd;
use crate::session::Session;

const EVENT_BYTES_MAX: usize = 8 << 20;

/// Reads events from the chunks of a stream.
pub(super) struct Events {
    decoder: EventDecoder,
    /// How the previous chunk was counted.
    previous: TrafficKind,
}

impl Events {
    pub(super) fn new() -> Self {
        Self { decoder: EventDecoder::new(EVENT_BYTES_MAX), previous: TrafficKind::KeepAlive }
    }

    /// Handles the events that a chunk completes.
    pub(super) fn receive(&mut self, session: &Session, bytes: &[u8]) -> Result<(), SessionEnd> {
        let mut data_bytes = 0;
        let before = session.run.delivered();
        self.decoder.feed(bytes, |event| {
            data_bytes += event.data.len();
            session.receive(decode_json(event.data)?, event.data.len(), 0)
        })?;
        // Everything but the data is framing; a chunk without a message keeps the connection alive.
        let kind = if session.run.delivered() > before { TrafficKind::Delivery } else { TrafficKind::KeepAlive };
        let framing = bytes.len() as i64 - data_bytes as i64;
        // Below zero: data of this event arrived with the previous chunk and was counted as framing
        // there.
        let counted = if framing < 0 { self.previous } else { kind };
        session.run.counters.borrow_mut().traffic.correct(Direction::Down, counted, ByteClass::Framing, framing);
        self.previous = kind;
        Ok(())
    }
}

pub(super) async fn run_session(session: &Session) -> Result<Infallible, SessionEnd> {
    let mut events = Events::new();
    let mut headers = "accept: text/event-stream\r\n".to_owned();
    // `EventSource` sends this header when it reconnects. The cursor is also in the URL, for
    // servers that ignore the header.
    if let StartAt::After(last) = session.client.start_at() {
        headers += &format!("last-event-id: {last}\r\n");
    }
    stream::read(session, &headers, |bytes| events.receive(session, bytes)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;

    #[test]
    fn every_byte_is_counted_once_whatever_the_chunks() {
        let session = session(2, 1, "");
        let counters = &session.run.counters;
        let text = session.run.plan.text(0, 1);
        let message =
            |seq| format!("id:{seq}\ndata:{{\"seq\":{seq},\"author\":0,\"ordinal\":1,\"text\":\"{text}\"}}\n\n");
        let stream = format!(": hello\n\n{}: heartbeat\n\n{}", message(1), message(2));
        let chunks = (1..=stream.len()).map(|size| stream.as_bytes().chunks(size).collect::<Vec<_>>());
        let halves = (0..stream.len()).map(|cut| vec![&stream.as_bytes()[..cut], &stream.as_bytes()[cut..]]);
        for chunks in chunks.chain(halves) {
            let (mut events, before) = (Events::new(), counters.borrow().traffic);
            for chunk in &chunks {
                events.receive(&session, chunk).unwrap();
            }
            let counted = counters.borrow().traffic.since(&before).total(Direction::Down);
            assert_eq!(counted as usize, stream.len(), "{} chunks of {}", chunks.len(), chunks[0].len());
        }
    }
}
