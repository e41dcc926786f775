//! Traditional polling: a question every interval, on a schedule that does not wait for answers; posts go between two questions.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wire::{Ack, StartAt, decode_json};

use super::exchange::{Exchange, Request, Wanted, keep};
use crate::fault::{End, Fault};
use crate::lean::Carry;
use crate::lean::request::Requests;
use crate::seat::{Due, Seat, Way};
use crate::worker::Worker;
use results::FaultKind;
use results::{ByteClass, Direction, TrafficKind};

const LINE_BYTES_MAX: usize = 8 << 20;
/// Until it brings something a question is an empty one.
const MESSAGES: Wanted = Wanted { statuses: &[200, 204], heads: TrafficKind::Empty, framing: TrafficKind::Delivery };
/// Longer than any run.
const NEVER: Duration = Duration::from_secs(1 << 20);

pub(super) async fn session(worker: &Rc<Worker>, seat: &Rc<Seat>) -> Result<Infallible, End> {
    let interval = worker.tuning().interval.unwrap_or(NEVER);
    let mut client = Asking::new(worker, seat, "");
    // In lock-step it asks when it is told to: rung without anything to post.
    let first = if worker.lock_step { NEVER } else { worker.plan.poll_phase(seat.id) };
    let mut next = Instant::now() + first;
    client.read().await?;
    *seat.way.borrow_mut() = Way::Between;
    let mut timer = std::pin::pin!(sleep_until(next));
    loop {
        // One post at least, however late the next question is: otherwise a server slower than the interval would never be posted to.
        loop {
            if let Some(due) = client.next_post() {
                client.post(due).await?;
                if Instant::now() >= next {
                    break;
                }
                continue;
            }
            tokio::select! {
                biased;
                () = timer.as_mut() => break,
                () = seat.bell.notified(), if worker.posts_at_all(seat) || worker.lock_step => {
                    if worker.lock_step && seat.outbox.borrow().is_empty() {
                        break;
                    }
                }
            }
        }
        if !worker.lock_step {
            next += interval;
        }
        timer.as_mut().reset(next);
        client.read().await?;
    }
}

/// A client that asks for messages, request by request.
pub(super) struct Asking<'a> {
    worker: &'a Rc<Worker>,
    seat: &'a Rc<Seat>,
    requests: Requests,
    exchange: Exchange,
    request: Vec<u8>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(worker: &'a Rc<Worker>, seat: &'a Rc<Seat>, parameters: &str) -> Self {
        let tuning = worker.tuning();
        let headers = if tuning.keep_alive { "" } else { "connection: close\r\n" };
        let padded = usize::try_from(tuning.request_bytes).unwrap_or(0);
        let requests = worker.requests(seat, parameters, headers).padded(padded);
        Self { worker, seat, requests, exchange: Exchange::new(tuning.keep_alive), request: Vec::new() }
    }

    /// The same client, asking with other parameters.
    pub(super) fn with_parameters(self, parameters: &str) -> Self {
        let next = Self::new(self.worker, self.seat, parameters);
        Self { exchange: self.exchange, ..next }
    }

    /// Asks once and takes what comes.
    pub(super) async fn read(&mut self) -> Result<(), End> {
        let start = self.seat.start();
        self.request.clear();
        self.requests.read(start, &mut self.request);
        let (worker, seat) = (self.worker, self.seat);
        let (mut carry, mut full) = (Carry::default(), false);
        let take = |bytes: &[u8]| {
            let before = worker.delivered();
            carry.feed(bytes, |bytes| take_lines(worker, seat, bytes))?;
            full |= worker.delivered() > before;
            Ok(())
        };
        let request = Request::get(&self.request, MESSAGES);
        let head = self.exchange.ask(worker, seat, &request, take).await?;
        // While it asked, nothing could be posted.
        seat.mark_blocked();
        if carry.len() > 0 {
            return Err(half_a_line().into());
        }
        let empty = head.status == 204;
        if !empty {
            request.was_for(worker, &head, TrafficKind::Delivery);
        }
        {
            let tally = &mut worker.hot.borrow_mut().tally;
            tally.batches += u64::from(full);
            tally.empty_answers += u64::from(empty);
        }
        if let (StartAt::Live, Some(cursor)) = (start, head.cursor) {
            worker.join(seat, cursor);
        } else if !seat.joined.get() {
            let last = seat.ledger.borrow().last();
            worker.join(seat, last);
        }
        worker.pace();
        Ok(())
    }

    /// The seat's next post, if one is due.
    fn next_post(&self) -> Option<Due> {
        self.seat.outbox.borrow_mut().pop_front()
    }

    async fn post(&mut self, due: Due) -> Result<(), End> {
        let (worker, seat) = (self.worker, self.seat);
        self.request.clear();
        worker.leave(seat, &due);
        let post = worker.post(seat, due.ordinal);
        let body = self.requests.post(&post, &mut self.request);
        let (request, mut answer) = (Request::post(&self.request, body, post.text.len()), Vec::new());
        self.exchange.ask(worker, seat, &request, |bytes| Ok(keep(bytes, &mut answer)?)).await?;
        seat.mark_blocked();
        Ok(take_ack(worker, seat, &answer)?)
    }
}

/// Takes whole lines, each an item; an empty one is a heart-beat.
pub(super) fn take_lines(worker: &Worker, seat: &Seat, bytes: &[u8]) -> Result<usize, End> {
    let mut taken = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let line = &bytes[taken..end];
        taken = end + 1;
        if line.is_empty() {
            worker.count(Direction::Down, TrafficKind::KeepAlive, ByteClass::Framing, 1);
        } else {
            worker.take(seat, decode_json(line)?, line.len(), 1)?;
        }
    }
    if bytes.len() - taken > LINE_BYTES_MAX {
        return Err(Fault::new(FaultKind::BadBytes, "a line without end").into());
    }
    Ok(taken)
}

/// An answer that is complete ends with a line that is.
pub(super) fn half_a_line() -> Fault {
    Fault::new(FaultKind::BadBytes, "an answer that ends inside a line")
}

/// Takes the answer to a post.
pub(super) fn take_ack(worker: &Worker, seat: &Seat, body: &[u8]) -> Result<(), Fault> {
    let mut hot = worker.hot.borrow_mut();
    hot.tally.add(Direction::Down, TrafficKind::Posting, ByteClass::Envelope, body.len());
    let ack: Ack = serde_json::from_slice(body).map_err(wire::WireError::from)?;
    worker.confirm(&mut hot, seat, ack.ordinal);
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
        let (asks, hears) = (worker.seat(0), worker.seat(1));
        worker.join(hears, 0);
        let mut client = Asking::new(&worker, asks, "");
        let answering = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut question = [0; 1024];
            assert!(socket.read(&mut question).await.unwrap() > 0);
            let message = Message { seq: 1, author: 0, ordinal: 1, text: worker.plan.text(0, 1).into() };
            let item_bytes = message.text.len() + 21;
            worker.take(hears, ServerItem::Message(message), item_bytes, 1).unwrap();
            socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            socket
        };
        let (read, _socket) = tokio::join!(client.read(), answering);
        assert_eq!(read, Ok(()));
        let tally = worker.hot.borrow().tally;
        assert_eq!((tally.delivered, tally.batches, tally.empty_answers), (1, 0, 1));
    }

    #[tokio::test]
    async fn an_answer_that_ends_inside_a_line_cannot_be_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let worker = worker_of(&std::sync::Arc::new(plan(1, 1, "")), to, wire::Transport::Polling);
        let mut client = Asking::new(&worker, worker.seat(0), "");
        let answering = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n\x1f\x8b\x08gzip").await.unwrap();
            socket
        };
        let (read, _socket) = tokio::join!(client.read(), answering);
        assert_eq!(read, Err(half_a_line().into()));
    }
}
