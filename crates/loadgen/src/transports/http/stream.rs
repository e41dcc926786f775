//! A response without an end: what HTTP streaming and SSE share.

use std::convert::Infallible;

use results::TrafficKind;

use super::connection::{Expected, HttpConnection, ReadOutcome, Request};
use super::post_connection;
use crate::error::SessionEnd;
use crate::protocol::http_response::Part;
use crate::session::Session;

const STREAM: Expected = Expected { framing: TrafficKind::Delivery, ..Expected::SET_UP };

/// Requests the stream and passes its body to `on_body` until the server ends it.
pub(crate) async fn read(
    session: &Session,
    headers: &str,
    mut on_body: impl FnMut(&[u8]) -> Result<(), SessionEnd>,
) -> Result<Infallible, SessionEnd> {
    let mut request = Vec::new();
    session.requests("", headers).read(session.client.start_at(), &mut request);
    let on_part = |part: Part<'_>| match part {
        Part::Body(bytes) => on_body(bytes),
        Part::Head(..) | Part::Framing(_) | Part::End => Ok(()),
    };
    let attach = || post_connection::attach(session, || session.requests("", ""));
    read_parts(session, request, STREAM, attach, on_part).await
}

/// The same with a request as bytes and all parts of the response; `attach` is called when the client
/// has joined.
pub(crate) async fn read_parts(
    session: &Session,
    request: Vec<u8>,
    expected: Expected,
    attach: impl Fn(),
    mut on_part: impl FnMut(Part<'_>) -> Result<(), SessionEnd>,
) -> Result<Infallible, SessionEnd> {
    let (run, client) = (&*session.run, &*session.client);
    let mut connection = HttpConnection::new(session.open().await?);
    Request::get(&request, expected).send(run, connection.connection())?;
    drop(request);
    session.set_connection(connection.connection());
    loop {
        let mut delivered = None;
        let was_joined = client.joined.get();
        let on_part = |part: Part<'_>| {
            if matches!(part, Part::Body(_)) {
                delivered.get_or_insert_with(|| run.delivered());
            }
            on_part(part)
        };
        match connection.read(session, expected, || true, on_part).await? {
            ReadOutcome::Partial => {}
            ReadOutcome::Complete(_) => return Err(SessionEnd::Closed),
            ReadOutcome::Closed(fault) => return Err(fault.into()),
        }
        if let Some(before) = delivered {
            run.count_batch(before);
        }
        if client.joined.get() && !was_joined {
            attach();
        }
        session.send_scheduled();
    }
}
