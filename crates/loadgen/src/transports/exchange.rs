//! A request and its response on a connection: what every HTTP transport is made of.

use std::time::Duration;

use crate::fault::{End, Fault};
use crate::lean::response::{Head, Part, ResponseReader};
use crate::link::Reading;
use crate::seat::Seat;
use crate::worker::Worker;
use results::FaultKind;
use results::{Class, Direction, Purpose};

/// Characters of a refusal's body that a fault shows …
const BODY_CHARS_MAX: usize = 200;
/// … of which none has more than four bytes.
const BODY_BYTES_KEPT_MAX: usize = 4 * BODY_CHARS_MAX;
/// It is waited for no longer than this.
pub(super) const BODY_WITHIN: Duration = Duration::from_millis(300);

/// A connection on which requests are made, one at a time.
pub(super) struct Exchange {
    reading: Reading,
    reader: ResponseReader,
    /// What came behind a response: frames after an upgrade.
    rest: Vec<u8>,
}

/// An answer with a status that is none to the request, while the beginning of its body is read: both are in the fault.
pub(super) struct Refusal {
    status: u16,
    expected: &'static [u16],
    body: Vec<u8>,
    ended: bool,
}

impl Refusal {
    /// `None` for a status that answers the request.
    pub(super) fn of(head: &Head, expected: &'static [u16]) -> Option<Self> {
        let refused = !expected.contains(&head.status);
        refused.then(|| Self { status: head.status, expected, body: Vec::new(), ended: false })
    }

    /// Takes what follows the head.
    pub(super) fn take(&mut self, part: &Part<'_>) {
        match part {
            Part::Body(bytes) => {
                let kept = bytes.len().min(BODY_BYTES_KEPT_MAX - self.body.len());
                self.body.extend_from_slice(&bytes[..kept]);
            }
            Part::End => self.ended = true,
            Part::Head(_) | Part::Framing(_) => {}
        }
    }

    /// Waits a moment for the rest of the body.
    pub(super) async fn finish(
        mut self,
        worker: &Worker,
        seat: &Seat,
        reading: &mut Reading,
        reader: &mut ResponseReader,
    ) -> Fault {
        let rest = async {
            while !self.ended && self.body.len() < BODY_BYTES_KEPT_MAX {
                let Ok(n @ 1..) = worker.fill(seat, reading).await else { break };
                let scratch = worker.scratch.borrow();
                let taken = reader.feed(&scratch[..n], |part| {
                    self.take(&part);
                    Ok::<_, Fault>(())
                });
                if taken.is_err() {
                    break;
                }
            }
        };
        // In a box: the clients whose requests are answered have no room for it. What has come in time is enough, the status says more.
        Box::pin(tokio::time::timeout(BODY_WITHIN, rest)).await.ok();
        bad_status(self.status, self.expected, &self.body)
    }
}

/// A fault that says what the server answered.
pub(super) fn bad_status(status: u16, expected: &[u16], body: &[u8]) -> Fault {
    let expected: Vec<_> = expected.iter().map(u16::to_string).collect();
    let mut detail = format!("status {status} instead of {}", expected.join(" or "));
    let body = String::from_utf8_lossy(body);
    if !body.trim().is_empty() {
        detail += ": ";
        for letter in body.trim().chars().take(BODY_CHARS_MAX) {
            if letter.is_control() { detail.extend(letter.escape_default()) } else { detail.push(letter) }
        }
    }
    Fault::new(FaultKind::BadStatus, detail)
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

    /// Sends a request, reads its response to the end, and gives the body out as it comes, unless the status is none of those `expected`.
    /// Chunk framing is counted under `purpose`; the rest is the caller's to count, who knows what it was good for.
    pub(super) async fn ask(
        &mut self,
        worker: &Worker,
        seat: &Seat,
        request: &[u8],
        purpose: Purpose,
        expected: &'static [u16],
        mut on_body: impl FnMut(&[u8]) -> Result<(), End>,
    ) -> Result<Head, End> {
        worker.hot.borrow_mut().tally.requests += 1;
        worker.send(self.reading.link(), request)?;
        let (mut head, mut refusal) = (None, None::<Refusal>);
        loop {
            let mut ended = false;
            let n = worker.fill(seat, &mut self.reading).await?;
            if n == 0 {
                let done = head.filter(|_| self.reader.ends_with_connection());
                return done.ok_or_else(|| Fault::cut_short("a response").into());
            }
            {
                let scratch = worker.scratch.borrow();
                let taken = self.reader.feed(&scratch[..n], |part| {
                    match (&mut refusal, part) {
                        (Some(refusal), part) => refusal.take(&part),
                        (None, Part::Head(found)) => {
                            refusal = Refusal::of(&found, expected);
                            head = Some(found);
                        }
                        (None, Part::Body(bytes)) => on_body(bytes)?,
                        (None, Part::Framing(bytes)) => worker.count(Direction::Down, purpose, Class::Framing, bytes),
                        (None, Part::End) => ended = true,
                    }
                    Ok::<_, End>(())
                })?;
                if let Some(head) = head.filter(|_| ended) {
                    self.rest.extend_from_slice(&scratch[taken..n]);
                    return Ok(head);
                }
            }
            if let Some(refusal) = refusal.take() {
                return Err(refusal.finish(worker, seat, &mut self.reading, &mut self.reader).await.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use wire::Transport;

    use super::*;
    use crate::worker::tests::worker_to;

    /// What a client makes of these bytes as the answer to its first request; the connection stays open behind them.
    async fn answered(transport: Transport, answer: &[u8]) -> Fault {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let worker = worker_to(&listener, transport);
        let listener = TcpListener::from_std(listener).unwrap();
        let answering = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(answer).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = crate::transports::session(&worker, worker.seat(0)) => match ended {
                Err(End::Fault(fault)) => fault,
                ended => panic!("{transport}: {ended:?}"),
            },
            () = answering => unreachable!("it never comes back"),
        }
    }

    #[tokio::test]
    async fn a_refusal_says_its_status_and_body_on_every_transport() {
        let sized = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 15\r\n\r\nno \x1b[31m\r\nentry";
        let chunked = b"HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n4\r\nno \x1b\r\n4\r\n[31m\r\n7\r\n\r\nentry\r\n0\r\n\r\n";
        for transport in Transport::ALL.into_iter().filter(|transport| transport.is_http()) {
            for answer in [&sized[..], chunked] {
                let Fault { kind, detail } = answered(transport, answer).await;
                let expected = detail.strip_prefix("status 403 instead of ").and_then(|rest| rest.split_once(": "));
                let (expected, body) = expected.unwrap_or_else(|| panic!("{transport}: {detail}"));
                assert!(matches!(expected, "101" | "200" | "200 or 204"), "{transport}: {detail}");
                assert_eq!((kind, body), (FaultKind::BadStatus, "no \\u{1b}[31m\\r\\nentry"), "{transport}");
            }
        }
    }

    #[tokio::test]
    async fn a_body_is_neither_waited_for_nor_kept_for_ever() {
        let silent = answered(Transport::Websocket, b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n").await;
        assert_eq!(silent.detail, "status 404 instead of 101");
        let long = "\u{10348}".repeat(10_000);
        let answer = format!("HTTP/1.1 500 Oops\r\ncontent-length: {}\r\n\r\n{long}", 2 * long.len());
        let fault = answered(Transport::Sse, answer.as_bytes()).await;
        assert_eq!(fault.detail, format!("status 500 instead of 200: {}", "\u{10348}".repeat(BODY_CHARS_MAX)));
    }
}
