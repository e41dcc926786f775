//! HTTP streaming: one response, a JSON item a line.

use std::convert::Infallible;
use std::rc::Rc;

use super::polling::receive_lines;
use super::stream;
use crate::client::Client;
use crate::error::SessionEnd;
use crate::protocol::Carry;
use crate::worker::Worker;

pub(super) async fn session(worker: &Rc<Worker>, client: &Rc<Client>) -> Result<Infallible, SessionEnd> {
    let mut carry = Carry::default();
    stream::session(worker, client, "", |bytes| carry.feed(bytes, |bytes| receive_lines(worker, client, bytes))).await
}
