//! Requests and their answers on a connection: what every HTTP transport is made of.

use std::rc::Rc;
use std::time::Duration;

use crate::client::Client;
use crate::error::{Fault, SessionEnd};
use crate::link::{Connection, ReadHalf};
use crate::protocol::response::{Head, Part, ResponseReader};
use crate::worker::Worker;
use results::FaultKind;
use results::{ByteClass, Direction, TrafficKind};

/// An answer that is taken as a whole.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Most bytes of the body of a refusal that are read, and stand in its fault.
const REFUSAL_BYTES_MAX: usize = 200;
/// Longest wait for more of that body.
const REFUSAL_WITHIN: Duration = Duration::from_millis(300);
const SWITCHING_PROTOCOLS: u16 = 101;
const TOO_MANY_REQUESTS: u16 = 429;
const SERVICE_UNAVAILABLE: u16 = 503;

/// What answers a request, and what heads and the framing of bodies are counted under.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) statuses: &'static [u16],
    pub(super) heads: TrafficKind,
    pub(super) framing: TrafficKind,
}

impl Expected {
    pub(super) const SET_UP: Self = Self::all(&[200], TrafficKind::SetUp);
    pub(super) const POST: Self = Self::all(&[200], TrafficKind::Posting);

    pub(super) const fn all(statuses: &'static [u16], purpose: TrafficKind) -> Self {
        Self { statuses, heads: purpose, framing: purpose }
    }
}

/// A request as it goes out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) bytes: &'a [u8],
    /// Bytes of its body, and of the payload in it.
    pub(super) body: usize,
    pub(super) payload: usize,
    pub(super) wanted: Expected,
}

impl<'a> Request<'a> {
    /// One that only asks.
    pub(super) const fn get(bytes: &'a [u8], wanted: Expected) -> Self {
        Self { bytes, body: 0, payload: 0, wanted }
    }

    pub(super) const fn post(bytes: &'a [u8], body: usize, payload: usize) -> Self {
        Self { bytes, body, payload, wanted: Expected::POST }
    }

    /// Sends and counts it. After an error nothing of it has left.
    pub(super) fn send(&self, worker: &Worker, link: &Connection) -> Result<(), Fault> {
        worker.send(link, self.bytes)?;
        let tally = &mut worker.counters.borrow_mut().traffic;
        tally.requests += 1;
        tally.add(Direction::Up, self.wanted.heads, ByteClass::Payload, self.payload);
        tally.add(Direction::Up, self.wanted.heads, ByteClass::Envelope, self.body - self.payload);
        tally.add(Direction::Up, self.wanted.heads, ByteClass::Headers, self.bytes.len() - self.body);
        Ok(())
    }

    /// Counts its head and that of its answer under what they turned out to be good for.
    pub(super) fn reclassify(&self, worker: &Worker, answer: &Head, purpose: TrafficKind) {
        let tally = &mut worker.counters.borrow_mut().traffic;
        for (direction, bytes) in [(Direction::Up, self.bytes.len() - self.body), (Direction::Down, answer.bytes)] {
            tally.reassign(direction, ByteClass::Headers, self.wanted.heads, purpose, bytes);
        }
    }
}

/// What a read came to.
pub(super) enum ReadOutcome {
    /// The answer goes on.
    Partial,
    /// It is complete, and this is its head.
    Complete(Head),
    /// The connection is over: what is wrong with that if an answer was awaited.
    Closed(Fault),
}

/// A connection on which requests are answered, one at a time.
pub(super) struct HttpConnection {
    reading: ReadHalf,
    reader: ResponseReader,
    /// Of the answer that is being read.
    head: Option<Head>,
    /// What an answer with another status says.
    refusal: Vec<u8>,
    /// What came behind a 101: no HTTP any more.
    rest: Vec<u8>,
}

impl HttpConnection {
    pub(super) const fn new(reading: ReadHalf) -> Self {
        Self { reading, reader: ResponseReader::new(), head: None, refusal: Vec::new(), rest: Vec::new() }
    }

    pub(super) const fn link(&self) -> &Rc<Connection> {
        self.reading.connection()
    }

    pub(super) fn into_parts(self) -> (ReadHalf, Vec<u8>) {
        (self.reading, self.rest)
    }

    /// Waits for bytes and gives out what they are parts of; head and framing are counted here. Bytes that come behind an answer, or
    /// while nothing is asked, are a fault, and so is any other status.
    pub(super) async fn read(
        &mut self,
        worker: &Worker,
        client: &Client,
        wanted: Expected,
        is_asked: impl Fn() -> bool,
        on_part: impl FnMut(Part<'_>) -> Result<(), SessionEnd>,
    ) -> Result<ReadOutcome, SessionEnd> {
        let is_refused = self.head.is_some_and(|head| !wanted.statuses.contains(&head.status));
        let filling = worker.read(client, &mut self.reading);
        let filled = if is_refused {
            // What has come of the body in time is enough: the status says more.
            Box::pin(tokio::time::timeout(REFUSAL_WITHIN, filling)).await.unwrap_or(Ok(0))
        } else {
            filling.await
        };
        let ended = match filled {
            Ok(0) if is_refused || self.reader.ends_with_connection() => true,
            Ok(0) => return Ok(ReadOutcome::Closed(Fault::cut_short("an answer"))),
            Ok(n) if is_asked() => self.take(worker, n, wanted, on_part)?,
            Ok(n) => return Err(surplus_bytes(worker, wanted, n, "that nobody asked for").into()),
            Err(fault) if fault.kind == FaultKind::Reset => return Ok(ReadOutcome::Closed(fault)),
            Err(fault) => return Err(fault.into()),
        };
        let Some(head) = self.head.take_if(|_| ended) else { return Ok(ReadOutcome::Partial) };
        if wanted.statuses.contains(&head.status) {
            return Ok(ReadOutcome::Complete(head));
        }
        Err(status_fault(head.status, head.retry_after, wanted.statuses, &self.refusal).into())
    }

    /// Takes bytes at the head of the scratch buffer, and returns whether the answer is complete.
    fn take(
        &mut self,
        worker: &Worker,
        n: usize,
        wanted: Expected,
        mut on_part: impl FnMut(Part<'_>) -> Result<(), SessionEnd>,
    ) -> Result<bool, SessionEnd> {
        let Self { reader, head, refusal, rest, .. } = self;
        let count = |purpose, class, bytes| worker.count_bytes(Direction::Down, purpose, class, bytes);
        let scratch = worker.scratch.borrow();
        let mut ended = false;
        let taken = reader.feed(&scratch[..n], |part| {
            match &part {
                Part::Head(found, _) => {
                    count(wanted.heads, ByteClass::Headers, found.bytes);
                    *head = Some(*found);
                }
                Part::Framing(bytes) => count(wanted.framing, ByteClass::Framing, *bytes),
                Part::Body(_) => {}
                Part::End => ended = true,
            }
            let Some(other) = head.filter(|head| !wanted.statuses.contains(&head.status)) else { return on_part(part) };
            if let Part::Body(bytes) = part {
                count(wanted.framing, ByteClass::Framing, bytes.len());
                refusal.extend_from_slice(&bytes[..bytes.len().min(REFUSAL_BYTES_MAX - refusal.len())]);
                if refusal.len() == REFUSAL_BYTES_MAX {
                    return Err(status_fault(other.status, other.retry_after, wanted.statuses, refusal).into());
                }
            }
            Ok::<_, SessionEnd>(())
        })?;
        if head.is_some_and(|head| head.status == SWITCHING_PROTOCOLS) {
            rest.extend_from_slice(&scratch[taken..n]);
        } else if taken < n {
            return Err(surplus_bytes(worker, wanted, n - taken, "behind an answer").into());
        }
        Ok(ended)
    }

    /// Whether it still stands, now that nothing is asked: not when the server has closed it. Bytes are a fault.
    fn is_open(&mut self, worker: &Worker, wanted: Expected) -> Result<bool, Fault> {
        match self.reading.try_read(&worker.scratch) {
            Ok(None) => Ok(true),
            Ok(Some(0)) | Err(_) => Ok(false),
            Ok(Some(n)) => Err(surplus_bytes(worker, wanted, n, "that nobody asked for")),
        }
    }
}

/// Bytes that belong to no answer: they came, so they count, and nothing behind them can be trusted.
fn surplus_bytes(worker: &Worker, wanted: Expected, bytes: usize, what: &str) -> Fault {
    worker.count_bytes(Direction::Down, wanted.framing, ByteClass::Framing, bytes);
    Fault::new(FaultKind::BadBytes, format!("{bytes} bytes {what}"))
}

/// What it means when an answer has a status that is none of those wanted.
pub(super) fn status_fault(status: u16, retry_after: Option<Duration>, wanted: &[u16], body: &[u8]) -> Fault {
    let kind = match status {
        TOO_MANY_REQUESTS => FaultKind::RetryLater,
        SERVICE_UNAVAILABLE if retry_after.is_some() => FaultKind::RetryLater,
        500..=599 => FaultKind::ServerError,
        _ => FaultKind::BadStatus,
    };
    let wanted: Vec<_> = wanted.iter().map(u16::to_string).collect();
    let said = String::from_utf8_lossy(&body[..body.len().min(REFUSAL_BYTES_MAX)]);
    let mut detail = format!("status {status} instead of {}", wanted.join(" or "));
    for (at, letter) in said.trim().chars().enumerate() {
        detail += if at == 0 { ": " } else { "" };
        if letter.is_control() { detail.extend(letter.escape_default()) } else { detail.push(letter) }
    }
    Fault { retry_after, ..Fault::new(kind, detail) }
}

/// Keeps what came of an answer that is taken as a whole.
pub(super) fn append_body(bytes: &[u8], answer: &mut Vec<u8>) -> Result<(), Fault> {
    if answer.len() + bytes.len() > ANSWER_BYTES_MAX {
        return Err(Fault::new(FaultKind::BadBytes, format!("an answer beyond {ANSWER_BYTES_MAX} bytes")));
    }
    answer.extend_from_slice(bytes);
    Ok(())
}

/// Requests, one at a time, on a connection that is opened when there is none, and kept while both sides want to.
pub(super) struct Requester {
    kept: Option<HttpConnection>,
    pub(super) keep_alive: bool,
}

impl Requester {
    pub(super) const fn new(keep_alive: bool) -> Self {
        Self { kept: None, keep_alive }
    }

    /// Makes a request, reads its answer to the end, and gives the body out as it comes.
    ///
    /// A server may close a kept connection at any time, and the request that meets its end is made on a new one (RFC 9112, section
    /// 9.3.1): any request of which nothing has left, and one that only asks if no byte of an answer has come. A post that has
    /// left is never made again: the server may have it.
    pub(super) async fn request(
        &mut self,
        worker: &Worker,
        client: &Client,
        request: &Request<'_>,
        mut on_body: impl FnMut(&[u8]) -> Result<(), SessionEnd>,
    ) -> Result<Head, SessionEnd> {
        loop {
            let (mut connection, was_kept) = self.connection(worker, client, request.wanted).await?;
            match request.send(worker, connection.link()) {
                Ok(()) => {}
                Err(fault) if was_kept && fault.kind == FaultKind::Reset => continue,
                Err(fault) => return Err(fault.into()),
            }
            match answer(&mut connection, worker, client, request.wanted, &mut on_body).await? {
                Ok(head) => {
                    if self.keep_alive && !head.closes {
                        self.kept = Some(connection);
                    } else {
                        *client.connection.borrow_mut() = None;
                    }
                    return Ok(head);
                }
                // A connection that the watchman broke is no kept one that was closed.
                Err(_) if was_kept && request.body == 0 && !client.aborted.get() => {}
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// The connection that was kept, if it still stands, or a new one; and which of them it is.
    async fn connection(
        &mut self,
        worker: &Worker,
        client: &Client,
        wanted: Expected,
    ) -> Result<(HttpConnection, bool), Fault> {
        if let Some(mut kept) = self.kept.take()
            && kept.is_open(worker, wanted)?
        {
            return Ok((kept, true));
        }
        let opened = HttpConnection::new(worker.open(client).await?);
        *client.connection.borrow_mut() = Some(Rc::clone(opened.link()));
        Ok((opened, false))
    }
}

/// Reads an answer to its end and returns its head; or says why there is none, not a byte of it.
async fn answer(
    connection: &mut HttpConnection,
    worker: &Worker,
    client: &Client,
    wanted: Expected,
    on_body: &mut impl FnMut(&[u8]) -> Result<(), SessionEnd>,
) -> Result<Result<Head, Fault>, SessionEnd> {
    let mut begun = false;
    loop {
        let part = |part: Part<'_>| match part {
            Part::Body(bytes) => on_body(bytes),
            Part::Head(..) | Part::Framing(_) | Part::End => Ok(()),
        };
        match connection.read(worker, client, wanted, || true, part).await? {
            ReadOutcome::Partial => begun = true,
            ReadOutcome::Complete(head) => return Ok(Ok(head)),
            ReadOutcome::Closed(fault) if begun => return Err(fault.into()),
            ReadOutcome::Closed(fault) => return Ok(Err(fault)),
        }
    }
}

#[cfg(test)]
mod tests;
