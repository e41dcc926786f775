//! HTTP streaming: one response, a JSON item a line.

use std::convert::Infallible;
use std::rc::Rc;

use super::polling::take_lines;
use super::stream;
use crate::fault::End;
use crate::lean::Carry;
use crate::seat::Seat;
use crate::worker::Worker;

pub(super) async fn session(worker: &Rc<Worker>, seat: &Rc<Seat>) -> Result<Infallible, End> {
    let mut carry = Carry::default();
    stream::session(worker, seat, "", |bytes| carry.feed(bytes, |bytes| take_lines(worker, seat, bytes))).await
}
