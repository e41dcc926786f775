//! HTTP requests and responses on one connection, with their bytes counted by class.

use std::rc::Rc;
use std::time::Duration;

use results::{ByteClass, Direction, FaultKind, TrafficKind};

use crate::error::{Fault, SessionEnd};
use crate::net::connection::{Connection, ReadHalf};
use crate::protocol::http_response::{Head, Part, ResponseReader};
use crate::run_context::RunContext;
use crate::session::Session;

/// Most bytes of an error response's body that are read and shown in the fault.
pub(crate) const ERROR_BODY_BYTES_MAX: usize = 200;
/// Longest wait for more of that body.
pub(crate) const ERROR_BODY_WITHIN: Duration = Duration::from_millis(300);
const SWITCHING_PROTOCOLS: u16 = 101;
const TOO_MANY_REQUESTS: u16 = 429;
const SERVICE_UNAVAILABLE: u16 = 503;

/// The expected statuses of a response, and how its head and the framing of its body are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) statuses: &'static [u16],
    pub(crate) heads: TrafficKind,
    pub(crate) framing: TrafficKind,
}

impl Expected {
    pub(crate) const SET_UP: Self = Self::new(&[200], TrafficKind::SetUp);
    pub(crate) const POST: Self = Self::new(&[200], TrafficKind::Posting);

    pub(crate) const fn new(statuses: &'static [u16], kind: TrafficKind) -> Self {
        Self { statuses, heads: kind, framing: kind }
    }
}

/// A request as it is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) bytes: &'a [u8],
    /// Bytes of the body.
    pub(crate) body: usize,
    /// Bytes of message text in the body.
    pub(crate) payload: usize,
    pub(crate) expected: Expected,
}

impl<'a> Request<'a> {
    /// A request without a body.
    pub(crate) const fn get(bytes: &'a [u8], expected: Expected) -> Self {
        Self { bytes, body: 0, payload: 0, expected }
    }

    pub(crate) const fn post(bytes: &'a [u8], body: usize, payload: usize) -> Self {
        Self { bytes, body, payload, expected: Expected::POST }
    }

    /// Sends and counts it. After an error no byte of it was sent.
    pub(crate) fn send(&self, run: &RunContext, connection: &Connection) -> Result<(), Fault> {
        run.send(connection, self.bytes)?;
        let traffic = &mut run.counters.borrow_mut().traffic;
        traffic.requests += 1;
        traffic.add(Direction::Up, self.expected.heads, ByteClass::Payload, self.payload);
        traffic.add(Direction::Up, self.expected.heads, ByteClass::Envelope, self.body - self.payload);
        traffic.add(Direction::Up, self.expected.heads, ByteClass::Headers, self.bytes.len() - self.body);
        Ok(())
    }

    /// Moves the counts of its head and of the response's head to another kind.
    pub(crate) fn reclassify(&self, run: &RunContext, response: &Head, kind: TrafficKind) {
        let traffic = &mut run.counters.borrow_mut().traffic;
        for (direction, bytes) in [(Direction::Up, self.bytes.len() - self.body), (Direction::Down, response.bytes)] {
            traffic.reassign(direction, ByteClass::Headers, self.expected.heads, kind, bytes);
        }
    }
}

/// The result of a read.
pub(crate) enum ReadOutcome {
    /// The response goes on.
    Partial,
    /// The response is complete. Its head.
    Complete(Head),
    /// The connection has ended. The fault that this is if a response was expected.
    Closed(Fault),
}

/// A connection that carries one request at a time.
pub(crate) struct HttpConnection {
    pub(crate) half: ReadHalf,
    reader: ResponseReader,
    /// Head of the response that is being read.
    head: Option<Head>,
    /// Beginning of the body of a response with an unexpected status.
    error_body: Vec<u8>,
    /// Bytes after a 101 response, which are not HTTP.
    rest: Vec<u8>,
}

impl HttpConnection {
    pub(crate) const fn new(half: ReadHalf) -> Self {
        Self { half, reader: ResponseReader::new(), head: None, error_body: Vec::new(), rest: Vec::new() }
    }

    pub(crate) const fn connection(&self) -> &Rc<Connection> {
        self.half.connection()
    }

    pub(crate) fn into_parts(self) -> (ReadHalf, Vec<u8>) {
        (self.half, self.rest)
    }

    /// Waits for bytes and passes the parts of the response to `on_part`. Heads and framing are
    /// counted here.
    ///
    /// A status that is not expected is a fault, and so are bytes after a response or without a
    /// request.
    pub(crate) async fn read(
        &mut self,
        session: &Session,
        expected: Expected,
        has_request: impl Fn() -> bool,
        on_part: impl FnMut(Part<'_>) -> Result<(), SessionEnd>,
    ) -> Result<ReadOutcome, SessionEnd> {
        let run = &*session.run;
        let is_error = self.head.is_some_and(|head| !expected.statuses.contains(&head.status));
        let reading = session.read(&mut self.half);
        let read = if is_error {
            // The status matters more than the body: what has arrived in time is enough.
            Box::pin(tokio::time::timeout(ERROR_BODY_WITHIN, reading)).await.unwrap_or(Ok(0))
        } else {
            reading.await
        };
        let ended = match read {
            Ok(0) if is_error || self.reader.ends_with_connection() => true,
            Ok(0) => return Ok(ReadOutcome::Closed(Fault::cut_short("a response"))),
            Ok(n) if has_request() => self.parse(run, n, expected, on_part)?,
            Ok(n) => return Err(surplus_bytes(run, expected, n, "without a request").into()),
            Err(fault) if fault.kind == FaultKind::Reset => return Ok(ReadOutcome::Closed(fault)),
            Err(fault) => return Err(fault.into()),
        };
        let Some(head) = self.head.take_if(|_| ended) else { return Ok(ReadOutcome::Partial) };
        if expected.statuses.contains(&head.status) {
            return Ok(ReadOutcome::Complete(head));
        }
        Err(status_fault(head.status, head.retry_after, expected.statuses, &self.error_body).into())
    }

    /// Parses `n` bytes of the scratch buffer. Returns whether the response is complete.
    fn parse(
        &mut self,
        run: &RunContext,
        n: usize,
        expected: Expected,
        mut on_part: impl FnMut(Part<'_>) -> Result<(), SessionEnd>,
    ) -> Result<bool, SessionEnd> {
        let Self { reader, head, error_body, rest, .. } = self;
        let count = |kind, class, bytes| run.count_bytes(Direction::Down, kind, class, bytes);
        let scratch = run.scratch.borrow();
        let mut ended = false;
        let parsed = reader.feed(&scratch[..n], |part| {
            match &part {
                Part::Head(found, _) => {
                    count(expected.heads, ByteClass::Headers, found.bytes);
                    *head = Some(*found);
                }
                Part::Framing(bytes) => count(expected.framing, ByteClass::Framing, *bytes),
                Part::Body(_) => {}
                Part::End => ended = true,
            }
            let Some(other) = head.filter(|head| !expected.statuses.contains(&head.status)) else {
                return on_part(part);
            };
            if let Part::Body(bytes) = part {
                count(expected.framing, ByteClass::Framing, bytes.len());
                error_body.extend_from_slice(&bytes[..bytes.len().min(ERROR_BODY_BYTES_MAX - error_body.len())]);
                if error_body.len() == ERROR_BODY_BYTES_MAX {
                    return Err(status_fault(other.status, other.retry_after, expected.statuses, error_body).into());
                }
            }
            Ok::<_, SessionEnd>(())
        })?;
        if head.is_some_and(|head| head.status == SWITCHING_PROTOCOLS) {
            rest.extend_from_slice(&scratch[parsed..n]);
        } else if parsed < n {
            return Err(surplus_bytes(run, expected, n - parsed, "after a response").into());
        }
        Ok(ended)
    }

    /// Whether the server has left the connection open while there was no request. Bytes are a
    /// fault.
    pub(crate) fn is_open(&mut self, run: &RunContext, expected: Expected) -> Result<bool, Fault> {
        match self.half.try_read(&run.scratch) {
            Ok(None) => Ok(true),
            Ok(Some(0)) | Err(_) => Ok(false),
            Ok(Some(n)) => Err(surplus_bytes(run, expected, n, "without a request")),
        }
    }
}

/// The fault for bytes that belong to no response. They are counted, because they were received.
fn surplus_bytes(run: &RunContext, expected: Expected, bytes: usize, what: &str) -> Fault {
    run.count_bytes(Direction::Down, expected.framing, ByteClass::Framing, bytes);
    Fault::new(FaultKind::BadBytes, format!("{bytes} bytes {what}"))
}

/// The fault for a response with an unexpected status.
pub(crate) fn status_fault(status: u16, retry_after: Option<Duration>, expected: &[u16], body: &[u8]) -> Fault {
    let kind = match status {
        TOO_MANY_REQUESTS => FaultKind::RetryLater,
        SERVICE_UNAVAILABLE if retry_after.is_some() => FaultKind::RetryLater,
        500..=599 => FaultKind::ServerError,
        _ => FaultKind::BadStatus,
    };
    let expected = expected.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let expected = expected.rsplit_once(", ").map_or(expected.clone(), |(some, last)| format!("{some} or {last}"));
    let text = String::from_utf8_lossy(&body[..body.len().min(ERROR_BODY_BYTES_MAX)]);
    let mut detail = format!("status {status} instead of {expected}");
    for (at, letter) in text.trim().chars().enumerate() {
        detail += if at == 0 { ": " } else { "" };
        if letter.is_control() { detail.extend(letter.escape_default()) } else { detail.push(letter) }
    }
    Fault { retry_after, ..Fault::new(kind, detail) }
}
