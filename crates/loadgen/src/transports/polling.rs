//! Traditional polling: a question every interval, on a schedule that does not wait for answers; posts go between two questions.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wire::{Ack, StartAt, decode_json};

use super::exchange::{Expected, Request, Requester, append_body};
use crate::client::{Client, PendingPost, Way};
use crate::error::{Fault, SessionEnd};
use crate::protocol::Carry;
use crate::protocol::request::Requests;
use crate::worker::Worker;
use results::FaultKind;
use results::{ByteClass, Direction, TrafficKind};

const LINE_BYTES_MAX: usize = 8 << 20;
/// Until it brings something a question is an empty one.
const MESSAGES: Expected =
    Expected { statuses: &[200, 204], heads: TrafficKind::Empty, framing: TrafficKind::Delivery };
/// Longer than any run.
const NEVER: Duration = Duration::from_secs(1 << 20);

pub(super) async fn session(worker: &Rc<Worker>, client: &Rc<Client>) -> Result<Infallible, SessionEnd> {
    let interval = worker.tuning().interval.unwrap_or(NEVER);
    let mut poller = Poller::new(worker, client, "");
    // In lock-step it asks when it is told to: rung without anything to post.
    let first = if worker.lock_step { NEVER } else { worker.plan.poll_phase(client.id) };
    let mut next = Instant::now() + first;
    poller.poll().await?;
    *client.sender.borrow_mut() = Way::Between;
    let mut timer = std::pin::pin!(sleep_until(next));
    loop {
        // One post at least, however late the next question is: otherwise a server slower than the interval would never be posted to.
        loop {
            if let Some(due) = poller.next_post() {
                poller.post(due).await?;
                if Instant::now() >= next {
                    break;
                }
                continue;
            }
            tokio::select! {
                biased;
                () = timer.as_mut() => break,
                () = client.post_ready.notified(), if worker.posts_at_all(client) || worker.lock_step => {
                    if worker.lock_step && client.queue.borrow().is_empty() {
                        break;
                    }
                }
            }
        }
        if !worker.lock_step {
            next += interval;
        }
        timer.as_mut().reset(next);
        poller.poll().await?;
    }
}

/// A client that asks for messages, request by request.
pub(super) struct Poller<'a> {
    worker: &'a Rc<Worker>,
    client: &'a Rc<Client>,
    requests: Requests,
    exchange: Requester,
    request: Vec<u8>,
}

impl<'a> Poller<'a> {
    pub(super) fn new(worker: &'a Rc<Worker>, client: &'a Rc<Client>, parameters: &str) -> Self {
        let tuning = worker.tuning();
        let headers = if tuning.keep_alive { "" } else { "connection: close\r\n" };
        let padded = usize::try_from(tuning.request_bytes).unwrap_or(0);
        let requests = worker.requests(client, parameters, headers).padded(padded);
        Self { worker, client, requests, exchange: Requester::new(tuning.keep_alive), request: Vec::new() }
    }

    /// The same client, asking with other parameters.
    pub(super) fn with_parameters(self, parameters: &str) -> Self {
        let next = Self::new(self.worker, self.client, parameters);
        Self { exchange: self.exchange, ..next }
    }

    /// Asks once and takes what comes.
    pub(super) async fn poll(&mut self) -> Result<(), SessionEnd> {
        let start = self.client.start_at();
        self.request.clear();
        self.requests.read(start, &mut self.request);
        let (worker, client) = (self.worker, self.client);
        let (mut carry, mut full) = (Carry::default(), false);
        let take = |bytes: &[u8]| {
            let before = worker.delivered();
            carry.feed(bytes, |bytes| receive_lines(worker, client, bytes))?;
            full |= worker.delivered() > before;
            Ok(())
        };
        let request = Request::get(&self.request, MESSAGES);
        let head = self.exchange.request(worker, client, &request, take).await?;
        // While it asked, nothing could be posted.
        client.mark_delayed();
        if carry.len() > 0 {
            return Err(incomplete_line().into());
        }
        let empty = head.status == 204;
        if !empty {
            request.reclassify(worker, &head, TrafficKind::Delivery);
        }
        {
            let tally = &mut worker.counters.borrow_mut().traffic;
            tally.batches += u64::from(full);
            tally.empty_answers += u64::from(empty);
        }
        if let (StartAt::Live, Some(cursor)) = (start, head.cursor) {
            worker.join(client, cursor);
        } else if !client.joined.get() {
            let last = client.ledger.borrow().last();
            worker.join(client, last);
        }
        worker.send_scheduled();
        Ok(())
    }

    /// The client's next post, if one is due.
    fn next_post(&self) -> Option<PendingPost> {
        self.client.queue.borrow_mut().pop_front()
    }

    async fn post(&mut self, due: PendingPost) -> Result<(), SessionEnd> {
        let (worker, client) = (self.worker, self.client);
        self.request.clear();
        worker.mark_sent(client, &due);
        let post = worker.post(client, due.ordinal);
        let body = self.requests.post(&post, &mut self.request);
        let (request, mut answer) = (Request::post(&self.request, body, post.text.len()), Vec::new());
        self.exchange.request(worker, client, &request, |bytes| Ok(append_body(bytes, &mut answer)?)).await?;
        client.mark_delayed();
        Ok(receive_ack(worker, client, &answer)?)
    }
}

/// Takes whole lines, each an item; an empty one is a heart-beat.
pub(super) fn receive_lines(worker: &Worker, client: &Client, bytes: &[u8]) -> Result<usize, SessionEnd> {
    let mut taken = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let line = &bytes[taken..end];
        taken = end + 1;
        if line.is_empty() {
            worker.count_bytes(Direction::Down, TrafficKind::KeepAlive, ByteClass::Framing, 1);
        } else {
            worker.receive(client, decode_json(line)?, line.len(), 1)?;
        }
    }
    if bytes.len() - taken > LINE_BYTES_MAX {
        return Err(Fault::new(FaultKind::BadBytes, "a line without end").into());
    }
    Ok(taken)
}

/// An answer that is complete ends with a line that is.
pub(super) fn incomplete_line() -> Fault {
    Fault::new(FaultKind::BadBytes, "an answer that ends inside a line")
}

/// Takes the answer to a post.
pub(super) fn receive_ack(worker: &Worker, client: &Client, body: &[u8]) -> Result<(), Fault> {
    let mut hot = worker.counters.borrow_mut();
    hot.traffic.add(Direction::Down, TrafficKind::Posting, ByteClass::Envelope, body.len());
    let ack: Ack = serde_json::from_slice(body).map_err(wire::WireError::from)?;
    worker.confirm(&mut hot, client, ack.ordinal);
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use wire::{Message, ServerItem};

    use super::*;
    use crate::worker::tests::{plan, worker, worker_of};

    #[tokio::test]
    async fn what_others_hear_while_one_waits_is_no_batch_of_its_own() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut worker = Rc::into_inner(worker(2, 1, "")).unwrap();
        worker.transport = wire::Transport::Polling;
        worker.target.http = listener.local_addr().unwrap();
        worker.clock.set_t0(Instant::now());
        let worker = Rc::new(worker);
        let (asks, hears) = (worker.client(0), worker.client(1));
        worker.join(hears, 0);
        let mut poller = Poller::new(&worker, asks, "");
        let answering = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut question = [0; 1024];
            assert!(socket.read(&mut question).await.unwrap() > 0);
            let message = Message { seq: 1, author: 0, ordinal: 1, text: worker.plan.text(0, 1).into() };
            let item_bytes = message.text.len() + 21;
            worker.receive(hears, ServerItem::Message(message), item_bytes, 1).unwrap();
            socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            socket
        };
        let (read, _socket) = tokio::join!(poller.poll(), answering);
        assert_eq!(read, Ok(()));
        let tally = worker.counters.borrow().traffic;
        assert_eq!((tally.delivered, tally.batches, tally.empty_answers), (1, 0, 1));
    }

    #[tokio::test]
    async fn an_answer_that_ends_inside_a_line_cannot_be_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let worker = worker_of(&std::sync::Arc::new(plan(1, 1, "")), to, wire::Transport::Polling);
        let mut poller = Poller::new(&worker, worker.client(0), "");
        let answering = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n\x1f\x8b\x08gzip").await.unwrap();
            socket
        };
        let (read, _socket) = tokio::join!(poller.poll(), answering);
        assert_eq!(read, Err(incomplete_line().into()));
    }
}
