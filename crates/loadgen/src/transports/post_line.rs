//! The second connection of a client whose first one waits for messages: opened when there is something to post, as a browser would,
//! and kept until the server closes it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::exchange::{Expected, HttpConnection, ReadOutcome, Request, append_body};
use super::polling::receive_ack;
use crate::client::{Client, PendingPost, Way};
use crate::crowd::spawn;
use crate::error::{Fault, SessionEnd};
use crate::link::Connection;
use crate::protocol::request::Requests;
use crate::protocol::response::Part;
use crate::worker::Worker;
use results::FaultKind;

pub(crate) struct PostConnection {
    requests: Requests,
    link: RefCell<Option<Rc<Connection>>>,
    /// A post is on its way and not answered.
    busy: Cell<bool>,
    /// It has answered: from then on the server may have closed it whenever nothing is on its way.
    is_kept: Cell<bool>,
}

impl PostConnection {
    /// Makes it the client's way to post, if the client ever posts. Its task ends with the worker.
    pub(super) fn attach(worker: &Rc<Worker>, client: &Rc<Client>) {
        if !worker.posts_at_all(client) {
            return;
        }
        let mut kept = client.kept_sender.borrow_mut();
        let line = kept.get_or_insert_with(|| {
            let line = Rc::new(Self {
                requests: worker.requests(client, "", ""),
                link: RefCell::default(),
                busy: Cell::new(false),
                is_kept: Cell::new(false),
            });
            spawn(worker, run(Rc::clone(worker), Rc::clone(client), Rc::clone(&line)));
            line
        });
        *client.sender.borrow_mut() = Way::Second(Rc::clone(line));
        drop(kept);
        worker.flush(client);
    }

    /// Sends the next post, if the line is open and free; opens it if it is not open.
    pub(crate) fn flush(&self, worker: &Worker, client: &Client) -> Result<(), Fault> {
        let link = self.link.borrow();
        let Some(link) = link.as_ref() else {
            client.post_ready.notify_one();
            return Ok(());
        };
        if self.busy.get() {
            client.mark_delayed();
            return Ok(());
        }
        self.send_next(worker, client, link)
    }

    fn send_next(&self, worker: &Worker, client: &Client, link: &Connection) -> Result<(), Fault> {
        let Some(due) = client.queue.borrow_mut().pop_front() else { return Ok(()) };
        self.busy.set(true);
        let post = worker.post(client, due.ordinal);
        let mut request = Vec::with_capacity(post.text.len() + 256);
        let body = self.requests.post(&post, &mut request);
        if !due.sent {
            worker.mark_sent(client, &due);
        }
        match Request::post(&request, body, post.text.len()).send(worker, link) {
            // Nothing of it has left. The reading side meets the same end, and opens another line for it.
            Err(fault) if fault.kind == FaultKind::Reset && self.is_kept.get() => {
                self.busy.set(false);
                client.queue.borrow_mut().push_front(PendingPost { sent: true, ..due });
                Ok(())
            }
            sent => sent,
        }
    }
}

async fn run(worker: Rc<Worker>, client: Rc<Client>, line: Rc<PostConnection>) {
    loop {
        while client.queue.borrow().is_empty() {
            client.post_ready.notified().await;
        }
        let outcome = serve(&worker, &client, &line).await;
        *line.link.borrow_mut() = None;
        line.busy.set(false);
        line.is_kept.set(false);
        if let Err(SessionEnd::Failed(fault)) = outcome {
            let pause = RETRY_PAUSE.max(fault.pause());
            worker.fault(fault);
            client.mark_delayed();
            tokio::time::sleep(pause).await;
        }
    }
}

/// After a post broke, the line rests before it is opened again.
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Opens the line and reads answers until it is closed between two posts.
async fn serve(worker: &Worker, client: &Client, line: &PostConnection) -> Result<(), SessionEnd> {
    let mut connection = HttpConnection::new(worker.open_for_posts(client).await?);
    *line.link.borrow_mut() = Some(Rc::clone(connection.link()));
    line.send_next(worker, client, connection.link())?;
    let mut answer = Vec::new();
    loop {
        let part = |part: Part<'_>| match part {
            Part::Body(bytes) => Ok(append_body(bytes, &mut answer)?),
            Part::Head(..) | Part::Framing(_) | Part::End => Ok(()),
        };
        match connection.read(worker, client, Expected::POST, || line.busy.get(), part).await? {
            ReadOutcome::Partial => {}
            ReadOutcome::Complete(head) => {
                receive_ack(worker, client, &std::mem::take(&mut answer))?;
                line.busy.set(false);
                line.is_kept.set(true);
                if head.closes {
                    return Ok(());
                }
                line.send_next(worker, client, connection.link())?;
            }
            ReadOutcome::Closed(fault) if line.busy.get() => return Err(fault.into()),
            ReadOutcome::Closed(_) => return Ok(()),
        }
        worker.send_scheduled();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use results::Direction;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::LocalSet;

    use super::*;
    use crate::worker::tests::{blocked_by_opening, worker_to};

    #[tokio::test]
    async fn what_comes_while_the_line_is_opened_is_not_the_pacer_s_fault() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let worker = worker_to(&listener, wire::Transport::LongPolling);
        LocalSet::new()
            .run_until(async {
                PostConnection::attach(&worker, worker.client(0));
                assert_eq!(blocked_by_opening(&worker).await, 1);
            })
            .await;
    }

    /// A line that has taken its first post, and the server's end of it.
    async fn line() -> (Rc<Worker>, TcpListener, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let worker = worker_to(&listener, wire::Transport::LongPolling);
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        PostConnection::attach(&worker, worker.client(0));
        post(&worker, 1);
        let (mut socket, _) = listener.accept().await.unwrap();
        acknowledge(&mut socket, 1, "").await;
        until(|| worker.counters.borrow().traffic.accepted == 1).await;
        (worker, listener, socket)
    }

    fn post(worker: &Worker, ordinal: u64) {
        worker.client(0).queue.borrow_mut().push_back(PendingPost::now(ordinal));
        worker.flush(worker.client(0));
    }

    /// Hears one post and confirms it, with more behind the answer.
    async fn acknowledge(socket: &mut TcpStream, ordinal: u64, more: &str) {
        let mut request = vec![0; 4096];
        let n = socket.read(&mut request).await.unwrap();
        let text = String::from_utf8_lossy(&request[..n]).into_owned();
        assert!(text.contains(&format!("\"ordinal\":{ordinal},")) && text.matches("POST").count() == 1, "{text}");
        let body = format!("{{\"ordinal\":{ordinal},\"seq\":{ordinal}}}");
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}{more}", body.len());
        socket.write_all(answer.as_bytes()).await.unwrap();
    }

    async fn until(done: impl Fn() -> bool) {
        while !done() {
            tokio::task::yield_now().await;
        }
    }

    fn counts(worker: &Worker) -> [u64; 5] {
        let tally = worker.counters.borrow().traffic;
        [tally.posted, tally.requests, tally.accepted, tally.connections, worker.faults.borrow().total()]
    }

    #[tokio::test]
    async fn a_post_of_which_nothing_has_left_goes_on_a_new_line_without_a_fault() {
        LocalSet::new()
            .run_until(async {
                let (worker, listener, socket) = line().await;
                socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
                drop(socket);
                // Before its reader can know: the write is what meets the end.
                post(&worker, 2);
                let (mut socket, _) = listener.accept().await.unwrap();
                acknowledge(&mut socket, 2, "").await;
                until(|| worker.counters.borrow().traffic.accepted == 2).await;
                assert_eq!(counts(&worker), [2, 2, 2, 2, 0], "{:?}", worker.faults.borrow());
            })
            .await;
    }

    #[tokio::test]
    async fn a_line_that_is_broken_while_nobody_posts_is_no_fault() {
        LocalSet::new()
            .run_until(async {
                let (worker, listener, socket) = line().await;
                socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
                drop(socket);
                until(|| worker.connections.is_empty()).await;
                post(&worker, 2);
                let (mut socket, _) = listener.accept().await.unwrap();
                acknowledge(&mut socket, 2, "").await;
                until(|| worker.counters.borrow().traffic.accepted == 2).await;
                assert_eq!(counts(&worker), [2, 2, 2, 2, 0], "{:?}", worker.faults.borrow());
            })
            .await;
    }

    #[tokio::test]
    async fn a_post_that_has_left_is_never_made_again() {
        LocalSet::new()
            .run_until(async {
                let (worker, listener, socket) = line().await;
                drop(socket);
                // The server has ended its half only: this is written, and nobody hears it.
                post(&worker, 2);
                until(|| worker.faults.borrow().total() > 0).await;
                post(&worker, 3);
                let (mut socket, _) = listener.accept().await.unwrap();
                acknowledge(&mut socket, 3, "").await;
                until(|| worker.counters.borrow().traffic.accepted == 2).await;
                assert_eq!(counts(&worker), [3, 3, 2, 2, 1], "{:?}", worker.faults.borrow());
            })
            .await;
    }

    #[tokio::test]
    async fn bytes_behind_an_acknowledgement_end_the_line_and_are_counted() {
        LocalSet::new()
            .run_until(async {
                let (worker, _listener, mut socket) = line().await;
                let before = worker.counters.borrow().traffic.total(Direction::Down);
                post(&worker, 2);
                acknowledge(&mut socket, 2, "HTTP/1.1 200").await;
                until(|| worker.faults.borrow().total() > 0).await;
                let faults = worker.faults.borrow();
                assert_eq!(faults.texts[&FaultKind::BadBytes], ["12 bytes behind an answer"]);
                // A head of 39 bytes; the acknowledgement is not taken.
                assert_eq!(worker.counters.borrow().traffic.total(Direction::Down) - before, 39 + 12);
            })
            .await;
    }
}
