//! A response that goes on: what HTTP streaming and SSE have in common.

use std::convert::Infallible;
use std::rc::Rc;

use super::exchange::{Connection, Heard, Request, Wanted};
use super::post_line::PostLine;
use crate::fault::End;
use crate::lean::response::Part;
use crate::seat::Seat;
use crate::worker::Worker;
use results::TrafficKind;

const STREAM: Wanted = Wanted { framing: TrafficKind::Delivery, ..Wanted::SET_UP };

/// Asks for the stream and feeds it to `on_body`, until the server ends it properly (a cut) or not (a fault).
pub(super) async fn session(
    worker: &Rc<Worker>,
    seat: &Rc<Seat>,
    headers: &str,
    mut on_body: impl FnMut(&[u8]) -> Result<(), End>,
) -> Result<Infallible, End> {
    let mut request = Vec::new();
    worker.requests(seat, "", headers).read(seat.start(), &mut request);
    let mut connection = Connection::new(worker.open(seat).await?);
    Request::get(&request, STREAM).send(worker, connection.link())?;
    drop(request);
    *seat.link.borrow_mut() = Some(Rc::clone(connection.link()));
    loop {
        let mut delivered = None;
        let was_joined = seat.joined.get();
        let part = |part: Part<'_>| match part {
            Part::Body(bytes) => {
                delivered.get_or_insert_with(|| worker.delivered());
                on_body(bytes)
            }
            Part::Head(..) | Part::Framing(_) | Part::End => Ok(()),
        };
        match connection.read(worker, seat, STREAM, || true, part).await? {
            Heard::Part => {}
            Heard::Whole(_) => return Err(End::Cut),
            Heard::Gone(fault) => return Err(fault.into()),
        }
        if let Some(before) = delivered {
            worker.count_batch(before);
        }
        if seat.joined.get() && !was_joined {
            PostLine::attach(worker, seat);
        }
        worker.pace();
    }
}
