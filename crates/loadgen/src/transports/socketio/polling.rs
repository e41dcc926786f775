//! Socket.IO's polling: a question that is held until there is something, and on a second connection a request for whatever there is to
//! say, one at a time, as browsers do it.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use tokio::sync::Notify;

use super::request;
use super::talk::{PacketReader, Reply, push_packets};
use crate::client::{Client, Way};
use crate::error::{Fault, SessionEnd};
use crate::link::Connection;
use crate::protocol::Carry;
use crate::protocol::packets::{PACKET_BYTES_MAX, SEPARATOR};
use crate::protocol::response::Part;
use crate::transports::exchange::{Expected, HttpConnection, ReadOutcome, Request, Requester};
use crate::worker::Worker;
use results::FaultKind;
use results::{ByteClass, Direction, TrafficKind};

/// Until it brings something a question is an empty one.
const PACKETS: Expected = Expected { statuses: &[200], heads: TrafficKind::Empty, framing: TrafficKind::Delivery };

/// The connection a session asks on.
pub(super) struct PollConnection {
    exchange: Requester,
    question: Vec<u8>,
}

impl PollConnection {
    pub(super) fn new(exchange: Requester, worker: &Worker, sid: &str) -> Self {
        Self { exchange, question: request(worker, "GET", "polling", sid, "") }
    }

    /// Asks once and takes the packets of the answer; what is to be said to them goes to the uplink.
    pub(super) async fn poll(
        &mut self,
        worker: &Worker,
        client: &Rc<Client>,
        talk: &PacketReader,
        uplink: &Rc<PacketSender>,
    ) -> Result<(), SessionEnd> {
        let (mut carry, mut purpose) = (Carry::default(), TrafficKind::Empty);
        let mut take = |packet: &[u8], around: usize| -> Result<(), SessionEnd> {
            // What an answer is for is what it is mostly for: messages before all else.
            purpose = match packet {
                [b'4', b'2' | b'5', ..] => TrafficKind::Delivery,
                [b'4', b'3', ..] if purpose == TrafficKind::Empty => TrafficKind::Posting,
                [b'4', b'0' | b'4', ..] => TrafficKind::SetUp,
                _ => purpose,
            };
            if let Some(say) = talk.receive(worker, client, packet, around)? {
                uplink.send_packet(worker, say)?;
            }
            Ok(())
        };
        let mut batches = 0;
        let request = Request::get(&self.question, PACKETS);
        let head = self
            .exchange
            .request(worker, client, &request, |bytes| {
                let before = worker.delivered();
                carry.feed(bytes, |bytes| {
                    let mut taken = 0;
                    for end in memchr::memchr_iter(SEPARATOR, bytes) {
                        take(&bytes[taken..end], 1)?;
                        taken = end + 1;
                    }
                    if bytes.len() - taken > PACKET_BYTES_MAX {
                        return Err(Fault::new(FaultKind::BadBytes, "a packet without end").into());
                    }
                    Ok::<_, SessionEnd>(taken)
                })?;
                batches += u64::from(worker.delivered() > before);
                Ok(())
            })
            .await?;
        let before = worker.delivered();
        take(&carry.take(), 0)?;
        batches += u64::from(worker.delivered() > before);
        request.reclassify(worker, &head, purpose);
        let tally = &mut worker.counters.borrow_mut().traffic;
        tally.batches += batches.min(1);
        tally.empty_answers += u64::from(purpose == TrafficKind::Empty);
        Ok(())
    }
}

/// The connection a session talks on: opened when there is something to say, one request at a time; what comes in between goes together.
pub(crate) struct PacketSender {
    head: Vec<u8>,
    link: RefCell<Option<Rc<Connection>>>,
    /// A request is on its way and not answered.
    busy: Cell<bool>,
    /// It has answered: from then on the server may have closed it whenever nothing is on its way.
    is_kept: Cell<bool>,
    /// What is to be said besides posts.
    packets: RefCell<Vec<u8>>,
    ready: Notify,
    idle: Notify,
}

impl PacketSender {
    pub(super) fn new(worker: &Worker, sid: &str) -> Rc<Self> {
        let mut head = request(worker, "POST", "polling", sid, "content-type: text/plain;charset=UTF-8\r\n");
        head.truncate(head.len() - 2);
        head.extend_from_slice(b"content-length: ");
        Rc::new(Self {
            head,
            link: RefCell::default(),
            busy: Cell::new(false),
            is_kept: Cell::new(false),
            packets: RefCell::default(),
            ready: Notify::new(),
            idle: Notify::new(),
        })
    }

    /// Says something of the protocol's own.
    pub(super) fn send_packet(&self, worker: &Worker, say: Reply) -> Result<(), Fault> {
        let mut said = self.packets.borrow_mut();
        let before = said.len();
        if before > 0 {
            said.push(SEPARATOR);
        }
        said.extend_from_slice(&say.packet);
        worker.count_bytes(Direction::Up, say.purpose, ByteClass::Framing, said.len() - before);
        drop(said);
        self.send(worker, None)
    }

    /// Sends the posts that are due, if the line is free.
    pub(crate) fn flush(&self, worker: &Worker, client: &Client) -> Result<(), Fault> {
        if self.busy.get() {
            client.mark_delayed();
            return Ok(());
        }
        self.send(worker, Some(client))
    }

    /// Sends all there is to say as one request; opens the line first where there is none.
    fn send(&self, worker: &Worker, client: Option<&Client>) -> Result<(), Fault> {
        let link = self.link.borrow();
        let Some(link) = link.as_ref().filter(|_| !self.busy.get()) else {
            self.ready.notify_one();
            return Ok(());
        };
        let mut body = std::mem::take(&mut *self.packets.borrow_mut());
        let protocol = body.len();
        while let Some(due) = client.and_then(|client| Some((client, client.queue.borrow_mut().pop_front()?))) {
            let (client, due) = due;
            push_packets(worker, &worker.post(client, due.ordinal), &mut body);
            if !due.sent {
                worker.mark_sent(client, &due);
            }
        }
        if body.is_empty() {
            return Ok(());
        }
        self.busy.set(true);
        let mut request = self.head.clone();
        request.extend_from_slice(format!("{}\r\n\r\n", body.len()).as_bytes());
        let purpose = if body.len() > protocol { TrafficKind::Posting } else { TrafficKind::KeepAlive };
        let head = request.len();
        request.extend_from_slice(&body);
        if let Err(fault) = worker.send(link, &request) {
            if fault.kind != FaultKind::Reset || !self.is_kept.get() {
                return Err(fault);
            }
            // Nothing of it has left. The reading side meets the same end, and opens another line for it.
            self.busy.set(false);
            *self.packets.borrow_mut() = body;
            return Ok(());
        }
        let tally = &mut worker.counters.borrow_mut().traffic;
        tally.requests += 1;
        tally.add(Direction::Up, purpose, ByteClass::Headers, head);
        Ok(())
    }

    /// Ends the session: the server would otherwise keep it, and feed it, until a ping goes unanswered.
    pub(crate) fn say_goodbye(&self) -> bool {
        let bye = [&self.head[..], b"1\r\n\r\n1"].concat();
        self.link.borrow().as_ref().is_some_and(|link| link.send(&bye).is_ok())
    }

    fn has_pending(&self, client: &Client) -> bool {
        !self.packets.borrow().is_empty() || (self.carries_posts(client) && !client.queue.borrow().is_empty())
    }

    /// Whether the client's posts go this way.
    fn carries_posts(&self, client: &Client) -> bool {
        matches!(&*client.sender.borrow(), Way::Packets(line) if std::ptr::eq(&**line, self))
    }

    /// Waits until nothing is on its way.
    pub(super) async fn wait_idle(&self) {
        while self.busy.get() || !self.packets.borrow().is_empty() {
            self.idle.notified().await;
        }
    }

    /// Keeps the line: opens it when there is something to say, and reads answers.
    pub(super) async fn serve(&self, worker: &Worker, client: &Client) -> Result<Infallible, SessionEnd> {
        loop {
            while !self.has_pending(client) {
                self.ready.notified().await;
            }
            let outcome = self.talk(worker, client).await;
            *self.link.borrow_mut() = None;
            self.is_kept.set(false);
            outcome?;
        }
    }

    /// Opens the line, says what there is to say and reads answers, until it is closed between two requests.
    async fn talk(&self, worker: &Worker, client: &Client) -> Result<(), SessionEnd> {
        let opened =
            if self.carries_posts(client) { worker.open_for_posts(client).await } else { worker.open(client).await };
        let mut connection = HttpConnection::new(opened?);
        *self.link.borrow_mut() = Some(Rc::clone(connection.link()));
        loop {
            if !self.busy.get() {
                self.send(worker, self.carries_posts(client).then_some(client))?;
                self.idle.notify_one();
            }
            let part = |part: Part<'_>| {
                if let Part::Body(bytes) = part {
                    worker.count_bytes(Direction::Down, TrafficKind::Posting, ByteClass::Framing, bytes.len());
                }
                Ok(())
            };
            match connection.read(worker, client, Expected::POST, || self.busy.get(), part).await? {
                ReadOutcome::Partial => {}
                ReadOutcome::Complete(head) => {
                    self.busy.set(false);
                    self.is_kept.set(true);
                    if head.closes {
                        self.idle.notify_one();
                        return Ok(());
                    }
                }
                ReadOutcome::Closed(fault) if self.busy.get() => return Err(fault.into()),
                ReadOutcome::Closed(_) => return Ok(()),
            }
            worker.send_scheduled();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::tests::{blocked_by_opening, worker_to};

    #[tokio::test]
    async fn what_comes_while_the_line_is_opened_is_not_the_pacer_s_fault() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let worker = worker_to(&listener, wire::Transport::SocketioPolling);
        let (client, uplink) = (worker.client(0), PacketSender::new(&worker, "sid"));
        *client.sender.borrow_mut() = Way::Packets(Rc::clone(&uplink));
        tokio::select! {
            // First the posts: the line is served only in between.
            biased;
            blocked = blocked_by_opening(&worker) => assert_eq!(blocked, 1),
            end = uplink.serve(&worker, client) => panic!("{end:?}"),
        }
    }

    #[tokio::test]
    async fn what_has_not_left_goes_on_a_new_line_without_a_fault() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let worker = worker_to(&listener, wire::Transport::SocketioPolling);
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let (client, uplink) = (worker.client(0), PacketSender::new(&worker, "sid"));
        let say = |packet: &str| {
            let packet = packet.as_bytes().to_vec();
            uplink.send_packet(&worker, Reply { purpose: TrafficKind::KeepAlive, packet }).unwrap();
        };
        let serving = async {
            let mut request = vec![0; 1024];
            for packets in ["3", "6\u{1e}6"] {
                let (mut socket, _) = listener.accept().await.unwrap();
                let n = socket.read(&mut request).await.unwrap();
                let text = String::from_utf8_lossy(&request[..n]).into_owned();
                assert!(text.ends_with(&format!("\r\n\r\n{packets}")), "{text:?}");
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                while uplink.busy.get() {
                    tokio::task::yield_now().await;
                }
                socket2::SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
                drop(socket);
                // Before its reader can know: the write is what meets the end. What comes behind it goes along.
                say("6");
                say("6");
            }
        };
        say("3");
        tokio::select! {
            () = serving => {}
            end = uplink.serve(&worker, client) => panic!("{end:?}"),
        }
        assert_eq!((worker.counters.borrow().traffic.requests, worker.faults.borrow().total()), (2, 0));
    }
}
