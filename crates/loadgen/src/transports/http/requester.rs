//! Requests one after the other, on a connection that is kept between them.

use crate::error::{Fault, SessionEnd};
use crate::protocol::http_response::{Head, Part};
use crate::session::Session;
use results::FaultKind;

use super::connection::{Expected, HttpConnection, ReadOutcome, Request};

/// Largest body that is read as a whole.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Appends a piece of a body that is read as a whole.
pub(crate) fn append_body(bytes: &[u8], body: &mut Vec<u8>) -> Result<(), Fault> {
    if body.len() + bytes.len() > BODY_BYTES_MAX {
        return Err(Fault::new(FaultKind::BadBytes, format!("a body of more than {BODY_BYTES_MAX} bytes")));
    }
    body.extend_from_slice(bytes);
    Ok(())
}

/// Makes requests. Its connection is opened when there is none, and kept while both sides allow it.
pub(crate) struct Requester {
    kept: Option<HttpConnection>,
    keep_alive: bool,
}

impl Requester {
    pub(crate) const fn new(keep_alive: bool) -> Self {
        Self { kept: None, keep_alive }
    }

    /// Makes a request and passes the body of the response to `on_body` as it arrives.
    ///
    /// A server may close a kept connection at any time. A request that meets this is repeated on a
    /// new connection (RFC 9112, section 9.3.1): any request of which no byte was sent, and one
    /// without a body if no byte of a response was received. A post that was sent is never
    /// repeated, because the server may have it.
    pub(crate) async fn request(
        &mut self,
        session: &Session,
        request: &Request<'_>,
        mut on_body: impl FnMut(&[u8]) -> Result<(), SessionEnd>,
    ) -> Result<Head, SessionEnd> {
        let on_part = |part: Part<'_>| match part {
            Part::Body(bytes) => on_body(bytes),
            Part::Head(..) | Part::Framing(_) | Part::End => Ok(()),
        };
        self.request_parts(session, request, on_part).await
    }

    /// The same with all parts of the response.
    pub(crate) async fn request_parts(
        &mut self,
        session: &Session,
        request: &Request<'_>,
        mut on_part: impl FnMut(Part<'_>) -> Result<(), SessionEnd>,
    ) -> Result<Head, SessionEnd> {
        loop {
            let (mut connection, was_kept) = self.connection(session, request.expected).await?;
            match request.send(&session.run, connection.connection()) {
                Ok(()) => {}
                Err(fault) if was_kept && fault.kind == FaultKind::Reset => continue,
                Err(fault) => return Err(fault.into()),
            }
            match read_response(&mut connection, session, request.expected, &mut on_part).await? {
                Ok(head) => {
                    if self.keep_alive && !head.closes {
                        self.kept = Some(connection);
                    } else {
                        *session.client.connection.borrow_mut() = None;
                    }
                    return Ok(head);
                }
                // A connection closed by idle detection was not closed by the server.
                Err(_) if was_kept && request.body == 0 && !session.client.closed_as_idle.get() => {}
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// The kept connection if it is still open, or a new one; and whether it is the kept one.
    async fn connection(&mut self, session: &Session, expected: Expected) -> Result<(HttpConnection, bool), Fault> {
        if let Some(mut kept) = self.kept.take()
            && kept.is_open(&session.run, expected)?
        {
            return Ok((kept, true));
        }
        let opened = HttpConnection::new(session.open().await?);
        session.set_connection(opened.connection());
        Ok((opened, false))
    }
}

/// Reads a response to its end and returns its head. The inner error: the connection ended before
/// the first byte of a response.
async fn read_response(
    connection: &mut HttpConnection,
    session: &Session,
    expected: Expected,
    on_part: &mut impl FnMut(Part<'_>) -> Result<(), SessionEnd>,
) -> Result<Result<Head, Fault>, SessionEnd> {
    let mut begun = false;
    loop {
        match connection.read(session, expected, || true, &mut *on_part).await? {
            ReadOutcome::Partial => begun = true,
            ReadOutcome::Complete(head) => return Ok(Ok(head)),
            ReadOutcome::Closed(fault) if begun => return Err(fault.into()),
            ReadOutcome::Closed(fault) => return Ok(Err(fault)),
        }
    }
}

#[cfg(test)]
mod tests;
