//! A request and its response on a connection: what every HTTP transport is made of.

use crate::fault::{End, Fault};
use crate::lean::response::{Head, Part, ResponseReader};
use crate::link::Reading;
use crate::seat::Seat;
use crate::worker::Worker;
use results::FaultKind;
use results::{Class, Direction, Purpose};

/// A connection on which requests are made, one at a time.
pub(super) struct Exchange {
    reading: Reading,
    reader: ResponseReader,
    /// What came behind a response: frames after an upgrade.
    rest: Vec<u8>,
}

/// A status other than those that answer the request is a fault.
pub(super) fn expect_status(found: u16, expected: &[u16]) -> Result<(), Fault> {
    if expected.contains(&found) {
        return Ok(());
    }
    let expected: Vec<_> = expected.iter().map(u16::to_string).collect();
    Err(Fault::new(FaultKind::BadStatus, format!("status {found} instead of {}", expected.join(" or "))))
}

impl Exchange {
    pub(super) const fn new(reading: Reading) -> Self {
        Self { reading, reader: ResponseReader::new(), rest: Vec::new() }
    }

    pub(super) const fn reading(&self) -> &Reading {
        &self.reading
    }

    pub(super) fn into_parts(self) -> (Reading, Vec<u8>) {
        (self.reading, self.rest)
    }

    /// Sends a request, reads its response to the end, and gives the body out as it comes. Chunk framing is counted under
    /// `purpose`; the rest is the caller's to count, who knows what it was good for.
    pub(super) async fn ask(
        &mut self,
        worker: &Worker,
        seat: &Seat,
        request: &[u8],
        purpose: Purpose,
        mut on_body: impl FnMut(&[u8]) -> Result<(), End>,
    ) -> Result<Head, End> {
        worker.hot.borrow_mut().tally.requests += 1;
        worker.send(self.reading.link(), request)?;
        let mut head = None;
        loop {
            let mut ended = false;
            let n = worker.fill(seat, &mut self.reading).await?;
            if n == 0 {
                let done = head.filter(|_| self.reader.ends_with_connection());
                return done.ok_or_else(|| Fault::cut_short("a response").into());
            }
            let scratch = worker.scratch.borrow();
            let taken = self.reader.feed(&scratch[..n], |part| {
                match part {
                    Part::Head(found) => head = Some(found),
                    Part::Body(bytes) => on_body(bytes)?,
                    Part::Framing(bytes) => worker.count(Direction::Down, purpose, Class::Framing, bytes),
                    Part::End => ended = true,
                }
                Ok::<_, End>(())
            })?;
            if let Some(head) = head.filter(|_| ended) {
                self.rest.extend_from_slice(&scratch[taken..n]);
                return Ok(head);
            }
        }
    }
}
