//! Socket.IO's polling: a question that is held until there is something, and on a second connection a request for whatever there is to
//! say, one at a time, as browsers do it.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use tokio::sync::Notify;

use super::request;
use super::talk::{Say, Talk, push_packets};
use crate::fault::{End, Fault};
use crate::lean::Carry;
use crate::lean::packets::{PACKET_BYTES_MAX, SEPARATOR};
use crate::lean::response::Part;
use crate::link::Link;
use crate::seat::{Seat, Way};
use crate::transports::exchange::{Connection, Exchange, Heard, Request, Wanted};
use crate::worker::Worker;
use results::FaultKind;
use results::{ByteClass, Direction, TrafficKind};

/// Until it brings something a question is an empty one.
const PACKETS: Wanted = Wanted { statuses: &[200], heads: TrafficKind::Empty, framing: TrafficKind::Delivery };

/// The connection a session asks on.
pub(super) struct Downlink {
    exchange: Exchange,
    question: Vec<u8>,
}

impl Downlink {
    pub(super) fn new(exchange: Exchange, worker: &Worker, sid: &str) -> Self {
        Self { exchange, question: request(worker, "GET", "polling", sid, "") }
    }

    /// Asks once and takes the packets of the answer; what is to be said to them goes to the uplink.
    pub(super) async fn ask(
        &mut self,
        worker: &Worker,
        seat: &Rc<Seat>,
        talk: &Talk,
        uplink: &Rc<Uplink>,
    ) -> Result<(), End> {
        let (mut carry, mut purpose) = (Carry::default(), TrafficKind::Empty);
        let mut take = |packet: &[u8], around: usize| -> Result<(), End> {
            // What an answer is for is what it is mostly for: messages before all else.
            purpose = match packet {
                [b'4', b'2' | b'5', ..] => TrafficKind::Delivery,
                [b'4', b'3', ..] if purpose == TrafficKind::Empty => TrafficKind::Posting,
                [b'4', b'0' | b'4', ..] => TrafficKind::SetUp,
                _ => purpose,
            };
            if let Some(say) = talk.take(worker, seat, packet, around)? {
                uplink.say(worker, say)?;
            }
            Ok(())
        };
        let mut batches = 0;
        let request = Request::get(&self.question, PACKETS);
        let head = self
            .exchange
            .ask(worker, seat, &request, |bytes| {
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
                    Ok::<_, End>(taken)
                })?;
                batches += u64::from(worker.delivered() > before);
                Ok(())
            })
            .await?;
        let before = worker.delivered();
        take(&carry.take(), 0)?;
        batches += u64::from(worker.delivered() > before);
        request.was_for(worker, &head, purpose);
        let tally = &mut worker.hot.borrow_mut().tally;
        tally.batches += batches.min(1);
        tally.empty_answers += u64::from(purpose == TrafficKind::Empty);
        Ok(())
    }
}

/// The connection a session talks on: opened when there is something to say, one request at a time; what comes in between goes together.
pub(crate) struct Uplink {
    head: Vec<u8>,
    link: RefCell<Option<Rc<Link>>>,
    /// A request is on its way and not answered.
    busy: Cell<bool>,
    /// It has answered: from then on the server may have closed it whenever nothing is on its way.
    is_kept: Cell<bool>,
    /// What is to be said besides posts.
    said: RefCell<Vec<u8>>,
    bell: Notify,
    quiet: Notify,
}

impl Uplink {
    pub(super) fn new(worker: &Worker, sid: &str) -> Rc<Self> {
        let mut head = request(worker, "POST", "polling", sid, "content-type: text/plain;charset=UTF-8\r\n");
        head.truncate(head.len() - 2);
        head.extend_from_slice(b"content-length: ");
        Rc::new(Self {
            head,
            link: RefCell::default(),
            busy: Cell::new(false),
            is_kept: Cell::new(false),
            said: RefCell::default(),
            bell: Notify::new(),
            quiet: Notify::new(),
        })
    }

    /// Says something of the protocol's own.
    pub(super) fn say(&self, worker: &Worker, say: Say) -> Result<(), Fault> {
        let mut said = self.said.borrow_mut();
        let before = said.len();
        if before > 0 {
            said.push(SEPARATOR);
        }
        said.extend_from_slice(&say.packet);
        worker.count(Direction::Up, say.purpose, ByteClass::Framing, said.len() - before);
        drop(said);
        self.send(worker, None)
    }

    /// Sends the posts that are due, if the line is free.
    pub(crate) fn flush(&self, worker: &Worker, seat: &Seat) -> Result<(), Fault> {
        if self.busy.get() {
            seat.mark_blocked();
            return Ok(());
        }
        self.send(worker, Some(seat))
    }

    /// Sends all there is to say as one request; opens the line first where there is none.
    fn send(&self, worker: &Worker, seat: Option<&Seat>) -> Result<(), Fault> {
        let link = self.link.borrow();
        let Some(link) = link.as_ref().filter(|_| !self.busy.get()) else {
            self.bell.notify_one();
            return Ok(());
        };
        let mut body = std::mem::take(&mut *self.said.borrow_mut());
        let protocol = body.len();
        while let Some(due) = seat.and_then(|seat| Some((seat, seat.outbox.borrow_mut().pop_front()?))) {
            let (seat, due) = due;
            push_packets(worker, &worker.post(seat, due.ordinal), &mut body);
            if !due.left {
                worker.leave(seat, &due);
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
            *self.said.borrow_mut() = body;
            return Ok(());
        }
        let tally = &mut worker.hot.borrow_mut().tally;
        tally.requests += 1;
        tally.add(Direction::Up, purpose, ByteClass::Headers, head);
        Ok(())
    }

    /// Ends the session: the server would otherwise keep it, and feed it, until a ping goes unanswered.
    pub(crate) fn leave(&self) -> bool {
        let bye = [&self.head[..], b"1\r\n\r\n1"].concat();
        self.link.borrow().as_ref().is_some_and(|link| link.send(&bye).is_ok())
    }

    fn has_something(&self, seat: &Seat) -> bool {
        !self.said.borrow().is_empty() || (self.carries_posts(seat) && !seat.outbox.borrow().is_empty())
    }

    /// Whether the seat's posts go this way.
    fn carries_posts(&self, seat: &Seat) -> bool {
        matches!(&*seat.way.borrow(), Way::Packets(line) if std::ptr::eq(&**line, self))
    }

    /// Waits until nothing is on its way.
    pub(super) async fn is_quiet(&self) {
        while self.busy.get() || !self.said.borrow().is_empty() {
            self.quiet.notified().await;
        }
    }

    /// Keeps the line: opens it when there is something to say, and reads answers.
    pub(super) async fn serve(&self, worker: &Worker, seat: &Seat) -> Result<Infallible, End> {
        loop {
            while !self.has_something(seat) {
                self.bell.notified().await;
            }
            let outcome = self.talk(worker, seat).await;
            *self.link.borrow_mut() = None;
            self.is_kept.set(false);
            outcome?;
        }
    }

    /// Opens the line, says what there is to say and reads answers, until it is closed between two requests.
    async fn talk(&self, worker: &Worker, seat: &Seat) -> Result<(), End> {
        let opened = if self.carries_posts(seat) { worker.open_for_posts(seat).await } else { worker.open(seat).await };
        let mut connection = Connection::new(opened?);
        *self.link.borrow_mut() = Some(Rc::clone(connection.link()));
        loop {
            if !self.busy.get() {
                self.send(worker, self.carries_posts(seat).then_some(seat))?;
                self.quiet.notify_one();
            }
            let part = |part: Part<'_>| {
                if let Part::Body(bytes) = part {
                    worker.count(Direction::Down, TrafficKind::Posting, ByteClass::Framing, bytes.len());
                }
                Ok(())
            };
            match connection.read(worker, seat, Wanted::POST, || self.busy.get(), part).await? {
                Heard::Part => {}
                Heard::Whole(head) => {
                    self.busy.set(false);
                    self.is_kept.set(true);
                    if head.closes {
                        self.quiet.notify_one();
                        return Ok(());
                    }
                }
                Heard::Gone(fault) if self.busy.get() => return Err(fault.into()),
                Heard::Gone(_) => return Ok(()),
            }
            worker.pace();
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
        let (seat, uplink) = (worker.seat(0), Uplink::new(&worker, "sid"));
        *seat.way.borrow_mut() = Way::Packets(Rc::clone(&uplink));
        tokio::select! {
            // First the posts: the line is served only in between.
            biased;
            blocked = blocked_by_opening(&worker) => assert_eq!(blocked, 1),
            end = uplink.serve(&worker, seat) => panic!("{end:?}"),
        }
    }

    #[tokio::test]
    async fn what_has_not_left_goes_on_a_new_line_without_a_fault() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let worker = worker_to(&listener, wire::Transport::SocketioPolling);
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let (seat, uplink) = (worker.seat(0), Uplink::new(&worker, "sid"));
        let say = |packet: &str| {
            let packet = packet.as_bytes().to_vec();
            uplink.say(&worker, Say { purpose: TrafficKind::KeepAlive, packet }).unwrap();
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
            end = uplink.serve(&worker, seat) => panic!("{end:?}"),
        }
        assert_eq!((worker.hot.borrow().tally.requests, worker.faults.borrow().total()), (2, 0));
    }
}
