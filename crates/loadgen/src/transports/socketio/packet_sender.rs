//! The connection on which a Socket.IO session on polling sends packets. It is opened when there is
//! something to send and carries one request at a time, as in browsers; packets that are queued
//! meanwhile are sent together.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use results::{ByteClass, Direction, FaultKind, TrafficKind};
use tokio::sync::Notify;

use super::packet_reader::Reply;
use super::post_packets::push_packets;
use super::request;
use crate::client::{Client, PostSender};
use crate::delivery;
use crate::error::{Fault, SessionEnd};
use crate::net::connection::Connection;
use crate::protocol::http_response::Part;
use crate::protocol::socketio_packet::SEPARATOR;
use crate::run_context::RunContext;
use crate::session::Session;
use crate::transports::http::connection::{Expected, HttpConnection, ReadOutcome};

pub(super) struct PacketSender {
    head: Vec<u8>,
    connection: RefCell<Option<Rc<Connection>>>,
    /// A request was sent and not answered yet.
    busy: Cell<bool>,
    /// A request was answered: from then on the server may close the connection whenever it is not
    /// busy.
    is_kept: Cell<bool>,
    /// Packets to be sent that are no posts.
    packets: RefCell<Vec<u8>>,
    /// Wakes the task when there is something to send.
    ready: Notify,
    /// Wakes the waiters when a request was answered.
    idle: Notify,
}

impl PacketSender {
    pub(super) fn new(session: &Session, sid: &str) -> Rc<Self> {
        let mut head = request(session, "POST", "polling", sid, "content-type: text/plain;charset=UTF-8\r\n");
        head.truncate(head.len() - 2);
        head.extend_from_slice(b"content-length: ");
        Rc::new(Self {
            head,
            connection: RefCell::default(),
            busy: Cell::new(false),
            is_kept: Cell::new(false),
            packets: RefCell::default(),
            ready: Notify::new(),
            idle: Notify::new(),
        })
    }

    /// Sends a packet that is no post.
    pub(super) fn send_packet(&self, run: &RunContext, reply: &Reply) -> Result<(), Fault> {
        let mut packets = self.packets.borrow_mut();
        let before = packets.len();
        if before > 0 {
            packets.push(SEPARATOR);
        }
        packets.extend_from_slice(&reply.packet);
        run.count_bytes(Direction::Up, reply.kind, ByteClass::Framing, packets.len() - before);
        drop(packets);
        self.send(run, None)
    }

    /// Sends everything that is pending as one request, or wakes the task that opens the
    /// connection.
    fn send(&self, run: &RunContext, posts_of: Option<&Client>) -> Result<(), Fault> {
        let connection = self.connection.borrow();
        let Some(connection) = connection.as_ref().filter(|_| !self.busy.get()) else {
            self.ready.notify_one();
            return Ok(());
        };
        let mut body = std::mem::take(&mut *self.packets.borrow_mut());
        let packets_bytes = body.len();
        if let Some(client) = posts_of {
            push_posts(run, client, &mut body);
        }
        if body.is_empty() {
            return Ok(());
        }
        self.busy.set(true);
        let mut request = self.head.clone();
        request.extend_from_slice(format!("{}\r\n\r\n", body.len()).as_bytes());
        let kind = if body.len() > packets_bytes { TrafficKind::Posting } else { TrafficKind::KeepAlive };
        let head_bytes = request.len();
        request.extend_from_slice(&body);
        if let Err(fault) = run.send(connection, &request) {
            if fault.kind != FaultKind::Reset || !self.is_kept.get() {
                return Err(fault);
            }
            // No byte was sent. The read half sees the same end, and a new connection is opened for
            // it.
            self.busy.set(false);
            *self.packets.borrow_mut() = body;
            return Ok(());
        }
        let traffic = &mut run.counters.borrow_mut().traffic;
        traffic.requests += 1;
        traffic.add(Direction::Up, kind, ByteClass::Headers, head_bytes);
        Ok(())
    }

    /// Whether this is the sender of the client's posts.
    fn carries_posts(&self, client: &Client) -> bool {
        client.sender.borrow().as_ref().is_some_and(|sender| std::ptr::addr_eq(Rc::as_ptr(sender), self))
    }

    fn has_pending(&self, client: &Client) -> bool {
        !self.packets.borrow().is_empty() || (self.carries_posts(client) && !client.queue.borrow().is_empty())
    }

    /// Waits until every request was answered and nothing is pending.
    pub(super) async fn wait_idle(&self) {
        while self.busy.get() || !self.packets.borrow().is_empty() {
            self.idle.notified().await;
        }
    }

    /// Opens the connection whenever there is something to send, and reads responses.
    pub(super) async fn run(&self, session: &Session) -> Result<Infallible, SessionEnd> {
        loop {
            while !self.has_pending(&session.client) {
                self.ready.notified().await;
            }
            let served = self.serve(session).await;
            *self.connection.borrow_mut() = None;
            self.is_kept.set(false);
            served?;
        }
    }

    /// Opens the connection, sends and reads responses until it is closed between two requests.
    async fn serve(&self, session: &Session) -> Result<(), SessionEnd> {
        let (run, client) = (&*session.run, &*session.client);
        let opened = if self.carries_posts(client) { session.open_for_posts().await } else { session.open().await };
        let mut http = HttpConnection::new(opened?);
        *self.connection.borrow_mut() = Some(Rc::clone(http.connection()));
        loop {
            if !self.busy.get() {
                self.send(run, self.carries_posts(client).then_some(client))?;
                self.idle.notify_one();
            }
            let on_part = |part: Part<'_>| {
                if let Part::Body(bytes) = part {
                    run.count_bytes(Direction::Down, TrafficKind::Posting, ByteClass::Framing, bytes.len());
                }
                Ok(())
            };
            match http.read(session, Expected::POST, || self.busy.get(), on_part).await? {
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
            session.send_scheduled();
        }
    }
}

impl PostSender for PacketSender {
    /// Sends all posts of the queue as one request, if no other request is waiting for its
    /// response.
    fn flush(&self, run: &RunContext, client: &Client) -> Result<(), Fault> {
        if self.busy.get() {
            client.mark_delayed();
            return Ok(());
        }
        self.send(run, Some(client))
    }

    /// Sends the Engine.IO close packet. Without it the server keeps the session until a ping times
    /// out.
    fn say_goodbye(&self) -> bool {
        let request = [&self.head[..], b"1\r\n\r\n1"].concat();
        self.connection.borrow().as_ref().is_some_and(|connection| connection.send(&request).is_ok())
    }
}

fn push_posts(run: &RunContext, client: &Client, body: &mut Vec<u8>) {
    while let Some(pending) = client.queue.borrow_mut().pop_front() {
        push_packets(run, client, &run.post(client.id, pending.ordinal), body);
        if !pending.sent {
            delivery::mark_sent(run, client, &pending);
        }
        if run.nothing_acknowledges() {
            delivery::accept(run, &mut run.counters.borrow_mut(), client, pending.ordinal);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::Transport;

    use super::*;
    use crate::testing::{delayed_by_opening, listener, until, worker_to};

    #[tokio::test]
    async fn posts_that_are_due_while_the_connection_is_opened_are_delayed_by_the_transport() {
        let listener = listener();
        let session = worker_to(&listener, Transport::SocketioPolling).session(0);
        let sender = PacketSender::new(&session, "sid");
        *session.client.sender.borrow_mut() = Some(Rc::<PacketSender>::clone(&sender));
        tokio::select! {
            // The posts first: the sender runs only while they wait.
            biased;
            delayed = delayed_by_opening(&session) => assert_eq!(delayed, 1),
            end = sender.run(&session) => panic!("{end:?}"),
        }
    }

    #[tokio::test]
    async fn packets_that_meet_a_reset_are_sent_on_a_new_connection() {
        let listener = listener();
        let session = worker_to(&listener, Transport::SocketioPolling).session(0);
        let sender = PacketSender::new(&session, "sid");
        let send = |packet: &str| {
            let reply = Reply { kind: TrafficKind::KeepAlive, packet: packet.as_bytes().to_vec() };
            sender.send_packet(&session.run, &reply).unwrap();
        };
        let serving = async {
            let mut request = vec![0; 1024];
            for packets in ["3", "6\u{1e}6"] {
                let (mut socket, _) = listener.accept().await.unwrap();
                let n = socket.read(&mut request).await.unwrap();
                let text = String::from_utf8_lossy(&request[..n]).into_owned();
                assert!(text.ends_with(&format!("\r\n\r\n{packets}")), "{text:?}");
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                until(|| !sender.busy.get()).await;
                socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
                drop(socket);
                // The client has not read the reset yet: the write fails. The next packet goes with
                // it.
                send("6");
                send("6");
            }
        };
        send("3");
        tokio::select! {
            () = serving => {}
            end = sender.run(&session) => panic!("{end:?}"),
        }
        assert_eq!((session.run.counters.borrow().traffic.requests, session.run.faults.borrow().total()), (2, 0));
    }
}
