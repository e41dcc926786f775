//! Long polling: a question that is held until there is something; the next one follows the answer at once.

use std::convert::Infallible;
use std::rc::Rc;

use super::polling::Poller;
use super::post_line::PostConnection;
use crate::client::Client;
use crate::error::SessionEnd;
use crate::worker::Worker;

pub(super) async fn session(worker: &Rc<Worker>, client: &Rc<Client>) -> Result<Infallible, SessionEnd> {
    let hold = worker.tuning().hold.unwrap_or_default();
    // The first question must not be held: its answer is how the client knows that it is in.
    let mut first = Poller::new(worker, client, "hold_ms=0");
    first.poll().await?;
    PostConnection::attach(worker, client);
    let mut poller = first.with_parameters(&format!("hold_ms={}", hold.as_millis()));
    loop {
        poller.poll().await?;
    }
}
