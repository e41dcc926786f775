//! A response that goes on: what HTTP streaming and SSE have in common.

use std::convert::Infallible;
use std::rc::Rc;

use super::exchange::{Exchange, Refusal};
use super::post_line::PostLine;
use crate::fault::{End, Fault};
use crate::lean::response::{Part, ResponseReader};
use crate::seat::Seat;
use crate::worker::Worker;
use results::{Class, Direction, Purpose};

/// Asks for the stream and feeds it to `on_body`, until the server ends it properly (a cut) or not (a fault).
pub(super) async fn session(
    worker: &Rc<Worker>,
    seat: &Rc<Seat>,
    headers: &str,
    mut on_body: impl FnMut(&[u8]) -> Result<(), End>,
) -> Result<Infallible, End> {
    let mut request = Vec::new();
    worker.requests(seat, "", headers).read(seat.start(), &mut request);
    let (mut reading, _) = Exchange::new(worker.open(seat).await?).into_parts();
    worker.hot.borrow_mut().tally.requests += 1;
    worker.count(Direction::Up, Purpose::SetUp, Class::Headers, request.len());
    worker.send(reading.link(), &request)?;
    drop(request);
    let (mut reader, mut refusal) = (ResponseReader::new(), None::<Refusal>);
    *seat.link.borrow_mut() = Some(Rc::clone(reading.link()));
    loop {
        let n = worker.fill(seat, &mut reading).await?;
        if n == 0 {
            return Err(Fault::cut_short("the stream").into());
        }
        let before = worker.delivered();
        let was_joined = seat.joined.get();
        {
            let scratch = worker.scratch.borrow();
            reader.feed(&scratch[..n], |part| {
                match (&mut refusal, part) {
                    (Some(refusal), part) => refusal.take(&part),
                    (None, Part::Head(head)) => {
                        refusal = Refusal::of(&head, &[200]);
                        worker.count(Direction::Down, Purpose::SetUp, Class::Headers, head.bytes);
                    }
                    (None, Part::Body(bytes)) => on_body(bytes)?,
                    (None, Part::Framing(bytes)) => {
                        worker.count(Direction::Down, Purpose::Delivery, Class::Framing, bytes);
                    }
                    (None, Part::End) => return Err(End::Cut),
                }
                Ok(())
            })?;
        }
        if let Some(refusal) = refusal.take() {
            return Err(refusal.finish(worker, seat, &mut reading, &mut reader).await.into());
        }
        worker.count_batch(before);
        if seat.joined.get() && !was_joined {
            PostLine::attach(worker, seat);
        }
        worker.pace();
    }
}
