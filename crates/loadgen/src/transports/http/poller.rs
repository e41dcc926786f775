//! Polls one after the other, and the posts between them: what polling and long polling share.

use results::{ByteClass, Direction, FaultKind, TrafficKind};
use wire::{Ack, StartAt, WireError, decode_json};

use super::connection::{Expected, Request};
use super::requester::{Requester, append_body};
use crate::client::PendingPost;
use crate::delivery;
use crate::error::{Fault, SessionEnd};
use crate::protocol::Remainder;
use crate::protocol::http_request::Requests;
use crate::session::Session;

const LINE_BYTES_MAX: usize = 8 << 20;
/// A poll counts as empty until its response has messages.
const MESSAGES: Expected =
    Expected { statuses: &[200, 204], heads: TrafficKind::Empty, framing: TrafficKind::Delivery };

pub(crate) struct Poller<'a> {
    session: &'a Session,
    requests: Requests,
    requester: Requester,
    request: Vec<u8>,
}

impl<'a> Poller<'a> {
    pub(crate) fn new(session: &'a Session, parameters: &str) -> Self {
        let tuning = session.run.tuning();
        let headers = if tuning.keep_alive { "" } else { "connection: close\r\n" };
        let padded = usize::try_from(tuning.request_bytes).unwrap_or(0);
        let requests = session.requests(parameters, headers).padded(padded);
        Self { session, requests, requester: Requester::new(tuning.keep_alive), request: Vec::new() }
    }

    /// The same poller with other parameters in its requests.
    pub(crate) fn with_parameters(self, parameters: &str) -> Self {
        let next = Self::new(self.session, parameters);
        Self { requester: self.requester, ..next }
    }

    /// Polls once and handles the messages of the response.
    pub(crate) async fn poll(&mut self) -> Result<(), SessionEnd> {
        let session = self.session;
        let (run, client) = (&*session.run, &*session.client);
        let start = client.start_at();
        self.request.clear();
        self.requests.read(start, &mut self.request);
        let (mut remainder, mut has_messages) = (Remainder::default(), false);
        let on_body = |bytes: &[u8]| {
            let before = run.delivered();
            remainder.feed(bytes, |bytes| receive_lines(session, bytes))?;
            has_messages |= run.delivered() > before;
            Ok(())
        };
        let request = Request::get(&self.request, MESSAGES);
        let head = self.requester.request(session, &request, on_body).await?;
        // No post could be sent during the poll.
        client.mark_delayed();
        if remainder.len() > 0 {
            return Err(incomplete_line().into());
        }
        let is_empty = head.status == 204;
        if !is_empty {
            request.reclassify(run, &head, TrafficKind::Delivery);
        }
        count_poll(session, has_messages, is_empty);
        join(session, start, head.cursor);
        session.send_scheduled();
        Ok(())
    }

    pub(crate) async fn post(&mut self, pending: PendingPost) -> Result<(), SessionEnd> {
        let session = self.session;
        let (run, client) = (&*session.run, &*session.client);
        self.request.clear();
        delivery::mark_sent(run, client, &pending);
        let post = run.post(client.id, pending.ordinal);
        let body = self.requests.post(&post, &mut self.request);
        let (request, mut answer) = (Request::post(&self.request, body, post.text.len()), Vec::new());
        self.requester.request(session, &request, |bytes| Ok(append_body(bytes, &mut answer)?)).await?;
        client.mark_delayed();
        Ok(receive_ack(session, &answer)?)
    }
}

/// Counts a response to a poll.
pub(crate) fn count_poll(session: &Session, has_messages: bool, is_empty: bool) {
    let traffic = &mut session.run.counters.borrow_mut().traffic;
    traffic.batches += u64::from(has_messages);
    traffic.empty_answers += u64::from(is_empty);
}

/// The client has joined with the response to its first poll, which names the cursor if the poll
/// had none.
pub(crate) fn join(session: &Session, start: StartAt, cursor: Option<u64>) {
    let last = session.client.ledger.borrow().last();
    match (start, cursor) {
        (StartAt::Live, Some(cursor)) => session.join(cursor),
        _ if !session.client.joined.get() => session.join(last),
        _ => {}
    }
}

/// Handles complete lines, each an item; an empty line is a heartbeat. Returns how many bytes they
/// were.
pub(crate) fn receive_lines(session: &Session, bytes: &[u8]) -> Result<usize, SessionEnd> {
    let mut parsed = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let line = &bytes[parsed..end];
        parsed = end + 1;
        if line.is_empty() {
            session.run.count_bytes(Direction::Down, TrafficKind::KeepAlive, ByteClass::Framing, 1);
        } else {
            session.receive(decode_json(line)?, line.len(), 1)?;
        }
    }
    if bytes.len() - parsed > LINE_BYTES_MAX {
        return Err(Fault::new(FaultKind::BadBytes, format!("a line of more than {LINE_BYTES_MAX} bytes")).into());
    }
    Ok(parsed)
}

pub(crate) fn incomplete_line() -> Fault {
    Fault::new(FaultKind::BadBytes, "a response that ends within a line")
}

/// Handles the response to a post.
pub(crate) fn receive_ack(session: &Session, body: &[u8]) -> Result<(), Fault> {
    let mut counters = session.run.counters.borrow_mut();
    counters.traffic.add(Direction::Down, TrafficKind::Posting, ByteClass::Envelope, body.len());
    let ack: Ack = serde_json::from_slice(body).map_err(WireError::from)?;
    delivery::confirm(&session.run, &mut counters, &session.client, ack.ordinal);
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::Instant;
    use wire::{Message, ServerItem, Transport};

    use super::*;
    use crate::testing::{listener, plan, worker_of};

    /// Answers one request.
    async fn answer(listener: &TcpListener, before_answer: impl FnOnce(), response: &[u8]) -> tokio::net::TcpStream {
        let (mut socket, _) = listener.accept().await.unwrap();
        assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
        before_answer();
        socket.write_all(response).await.unwrap();
        socket
    }

    #[tokio::test]
    async fn what_other_clients_receive_during_a_poll_is_no_batch_of_it() {
        let listener = listener();
        let worker = worker_of(&plan(2, 1, "").into(), listener.local_addr().unwrap(), Transport::Polling);
        worker.run.clock.set_t0(Instant::now());
        let (polls, receives) = (worker.session(0), worker.session(1));
        receives.join(0);
        let mut poller = Poller::new(&polls, "");
        let receive = || {
            let message = Message { seq: 1, author: 0, ordinal: 1, text: worker.run.plan.text(0, 1).into() };
            let item_bytes = message.text.len() + 21;
            receives.receive(ServerItem::Message(message), item_bytes, 1).unwrap();
        };
        let answering = answer(&listener, receive, b"HTTP/1.1 204 No Content\r\n\r\n");
        let (polled, _socket) = tokio::join!(poller.poll(), answering);
        assert_eq!(polled, Ok(()));
        let traffic = worker.run.counters.borrow().traffic;
        assert_eq!((traffic.delivered, traffic.batches, traffic.empty_answers), (1, 0, 1));
    }

    #[tokio::test]
    async fn a_response_that_ends_within_a_line_is_a_fault() {
        let listener = listener();
        let worker = worker_of(&plan(1, 1, "").into(), listener.local_addr().unwrap(), Transport::Polling);
        let session = worker.session(0);
        let mut poller = Poller::new(&session, "");
        let answering = answer(&listener, || (), b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n\x1f\x8b\x08gzip");
        let (polled, _socket) = tokio::join!(poller.poll(), answering);
        assert_eq!(polled, Err(incomplete_line().into()));
    }
}
