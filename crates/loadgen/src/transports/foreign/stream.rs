//! A protocol on a response without an end. A unit is an event, or a chunk, or what ends with a
//! newline.

use std::convert::Infallible;
use std::rc::Rc;

use results::{ByteClass, Direction, TrafficKind};
use scenario::ValueSource;
use wire::EventDecoder;

use super::posts;
use super::requests::{STREAM, Speaker, checked_head};
use super::unit::Unit;
use super::websocket::kind_without_text;
use crate::client::Client;
use crate::error::SessionEnd;
use crate::protocol::Remainder;
use crate::protocol::http_response::Part;
use crate::session::Session;
use crate::transports::http::stream;

const EVENT_BYTES_MAX: usize = 8 << 20;

pub(super) async fn run_http_streaming(session: &Session, speaker: Rc<Speaker>) -> Result<Infallible, SessionEnd> {
    let (mut remainder, mut unit) = (Remainder::default(), Unit::default());
    read(session, &speaker, "", |part| {
        match part {
            Part::Body(bytes) => {
                remainder.feed(bytes, |bytes| unit.read(session, bytes, true))?;
                if !bytes.ends_with(b"\n") {
                    return Ok(());
                }
            }
            Part::Framing(_) => {}
            Part::Head(..) | Part::End => return Ok(()),
        }
        if remainder.len() == 0 {
            unit.end(&session.run, kind_without_text(&session.client), 0);
        }
        Ok(())
    })
    .await
}

pub(super) async fn run_sse(session: &Session, speaker: Rc<Speaker>) -> Result<Infallible, SessionEnd> {
    let (mut decoder, mut unit) = (EventDecoder::new(EVENT_BYTES_MAX), Unit::default());
    let (run, client) = (&*session.run, &*session.client);
    let protocol = Rc::clone(&speaker);
    read(session, &speaker, "accept: text/event-stream\r\n", |part| {
        let Part::Body(bytes) = part else { return Ok(()) };
        // The decoder says where events end, and not how many bytes were around their data.
        let (mut data_bytes, mut has_text) = (0, false);
        decoder.feed(bytes, |event| {
            data_bytes += unit.read(session, event.data, false)?;
            has_text |= unit.end(run, kind_without_text(client), 0);
            learn_event_id(&protocol, client, event.last_id);
            Ok::<_, SessionEnd>(())
        })?;
        let kind = if has_text { TrafficKind::Delivery } else { kind_without_text(client) };
        let framing = bytes.len() as i64 - data_bytes as i64;
        run.counters.borrow_mut().traffic.correct(Direction::Down, kind, ByteClass::Framing, framing);
        Ok(())
    })
    .await
}

fn learn_event_id(speaker: &Speaker, client: &Client, id: &str) {
    let named = speaker.protocol().cursor.iter().filter(|(_, source)| **source == ValueSource::EventId);
    for (name, _) in named.filter(|_| !id.is_empty()) {
        client.learned.borrow_mut().learn(name, id);
    }
}

/// Requests the stream. The client has joined with the head of the response.
async fn read(
    session: &Session,
    speaker: &Rc<Speaker>,
    headers: &str,
    mut on_part: impl FnMut(Part<'_>) -> Result<(), SessionEnd>,
) -> Result<Infallible, SessionEnd> {
    let (client, mut request) = (&*session.client, Vec::new());
    let form = &speaker.protocol().read;
    speaker.push_request(&client.learned.borrow(), form, headers, None, &mut request);
    let attach = || posts::attach(session, speaker);
    let on_part = |part: Part<'_>| {
        if let Part::Head(_, head) = &part {
            checked_head(head)?;
            session.join(0);
        }
        on_part(part)
    };
    stream::read_parts(session, request, STREAM, attach, on_part).await
}
