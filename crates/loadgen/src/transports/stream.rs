//! A response that goes on: what HTTP streaming and SSE have in common.

use std::convert::Infallible;
use std::rc::Rc;

use super::exchange::{Expected, HttpConnection, ReadOutcome, Request};
use super::post_line::PostConnection;
use crate::client::Client;
use crate::error::SessionEnd;
use crate::protocol::response::Part;
use crate::worker::Worker;
use results::TrafficKind;

const STREAM: Expected = Expected { framing: TrafficKind::Delivery, ..Expected::SET_UP };

/// Asks for the stream and feeds it to `on_body`, until the server ends it properly (a cut) or not (a fault).
pub(super) async fn session(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    headers: &str,
    mut on_body: impl FnMut(&[u8]) -> Result<(), SessionEnd>,
) -> Result<Infallible, SessionEnd> {
    let mut request = Vec::new();
    worker.requests(client, "", headers).read(client.start_at(), &mut request);
    let mut connection = HttpConnection::new(worker.open(client).await?);
    Request::get(&request, STREAM).send(worker, connection.link())?;
    drop(request);
    *client.connection.borrow_mut() = Some(Rc::clone(connection.link()));
    loop {
        let mut delivered = None;
        let was_joined = client.joined.get();
        let part = |part: Part<'_>| match part {
            Part::Body(bytes) => {
                delivered.get_or_insert_with(|| worker.delivered());
                on_body(bytes)
            }
            Part::Head(..) | Part::Framing(_) | Part::End => Ok(()),
        };
        match connection.read(worker, client, STREAM, || true, part).await? {
            ReadOutcome::Partial => {}
            ReadOutcome::Complete(_) => return Err(SessionEnd::Closed),
            ReadOutcome::Closed(fault) => return Err(fault.into()),
        }
        if let Some(before) = delivered {
            worker.count_batch(before);
        }
        if client.joined.get() && !was_joined {
            PostConnection::attach(worker, client);
        }
        worker.send_scheduled();
    }
}
