//! Long polling: a question that is held until there is something; the next one follows the answer at once.

use std::convert::Infallible;
use std::rc::Rc;

use super::polling::Asking;
use super::post_line::PostLine;
use crate::fault::End;
use crate::seat::Seat;
use crate::worker::Worker;

pub(super) async fn session(worker: &Rc<Worker>, seat: &Rc<Seat>) -> Result<Infallible, End> {
    let hold = worker.tuning().hold.unwrap_or_default();
    // The first question must not be held: its answer is how the client knows that it is in.
    let mut first = Asking::new(worker, seat, "hold_ms=0");
    first.read().await?;
    PostLine::attach(worker, seat);
    let mut client = first.with_parameters(&format!("hold_ms={}", hold.as_millis()));
    loop {
        client.read().await?;
    }
}
