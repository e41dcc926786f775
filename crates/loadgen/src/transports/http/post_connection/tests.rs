//! The connection for posts, against a server that closes it at various points.

use std::time::Duration;

use results::Direction;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use wire::Transport;

use super::*;
use crate::testing::{delayed_by_opening, listener, until, worker_to};

#[tokio::test]
async fn posts_that_are_due_while_the_connection_is_opened_are_delayed_by_the_transport() {
    let listener = listener();
    let session = worker_to(&listener, Transport::LongPolling).session(0);
    LocalSet::new()
        .run_until(async {
            attach(&session, || session.requests("", ""));
            assert_eq!(delayed_by_opening(&session).await, 1);
        })
        .await;
}

/// A session that posts, and the server's listener.
struct Posting {
    session: Session,
    listener: TcpListener,
}

impl Posting {
    /// Its first post was acknowledged on this socket.
    async fn start() -> (Self, TcpStream) {
        let listener = listener();
        let session = worker_to(&listener, Transport::LongPolling).session(0);
        attach(&session, || session.requests("", ""));
        let posting = Self { session, listener };
        posting.post(1);
        let socket = posting.acknowledge_on_new_connection(1).await;
        posting.until_accepted(1).await;
        (posting, socket)
    }

    fn post(&self, ordinal: u64) {
        self.session.client.post(&self.session.run, ordinal);
    }

    async fn acknowledge_on_new_connection(&self, ordinal: u64) -> TcpStream {
        let (mut socket, _) = self.listener.accept().await.unwrap();
        acknowledge(&mut socket, ordinal, "").await;
        socket
    }

    async fn until_accepted(&self, posts: u64) {
        until(|| self.session.run.counters.borrow().traffic.accepted == posts).await;
    }

    async fn until_fault(&self) {
        until(|| self.session.run.faults.borrow().total() > 0).await;
    }

    /// Posts sent, requests, posts accepted, connections, faults.
    fn counts(&self) -> [u64; 5] {
        let traffic = self.session.run.counters.borrow().traffic;
        let faults = self.session.run.faults.borrow().total();
        [traffic.posted, traffic.requests, traffic.accepted, traffic.connections, faults]
    }
}

/// Reads one post and acknowledges it, with more bytes after the response.
async fn acknowledge(socket: &mut TcpStream, ordinal: u64, more: &str) {
    let mut request = vec![0; 4096];
    let n = socket.read(&mut request).await.unwrap();
    let text = String::from_utf8_lossy(&request[..n]).into_owned();
    assert!(text.contains(&format!("\"ordinal\":{ordinal},")) && text.matches("POST").count() == 1, "{text}");
    let body = format!("{{\"ordinal\":{ordinal},\"seq\":{ordinal}}}");
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}{more}", body.len());
    socket.write_all(answer.as_bytes()).await.unwrap();
}

fn reset(socket: TcpStream) {
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
}

#[tokio::test]
async fn a_reset_between_two_posts_is_no_fault() {
    // The client learns of the reset when it writes the post, or when it reads before.
    for is_read_first in [false, true] {
        LocalSet::new()
            .run_until(async {
                let (posting, socket) = Posting::start().await;
                reset(socket);
                if is_read_first {
                    until(|| posting.session.run.connections.is_empty()).await;
                }
                posting.post(2);
                let _socket = posting.acknowledge_on_new_connection(2).await;
                posting.until_accepted(2).await;
                assert_eq!(posting.counts(), [2, 2, 2, 2, 0], "{:?}", posting.session.run.faults.borrow());
            })
            .await;
    }
}

#[tokio::test]
async fn a_post_that_was_sent_is_never_repeated() {
    LocalSet::new()
        .run_until(async {
            let (posting, socket) = Posting::start().await;
            drop(socket);
            // The server's socket is closed, but the client can still write: nothing reads this
            // post.
            posting.post(2);
            posting.until_fault().await;
            posting.post(3);
            let _socket = posting.acknowledge_on_new_connection(3).await;
            posting.until_accepted(2).await;
            assert_eq!(posting.counts(), [3, 3, 2, 2, 1], "{:?}", posting.session.run.faults.borrow());
        })
        .await;
}

#[tokio::test]
async fn bytes_after_an_acknowledgement_are_a_fault_and_are_counted() {
    LocalSet::new()
        .run_until(async {
            let (posting, mut socket) = Posting::start().await;
            let received = || posting.session.run.counters.borrow().traffic.total(Direction::Down);
            let before = received();
            posting.post(2);
            acknowledge(&mut socket, 2, "HTTP/1.1 200").await;
            posting.until_fault().await;
            let faults = posting.session.run.faults.borrow();
            assert_eq!(faults.texts[&FaultKind::BadBytes], ["12 bytes after a response"]);
            // A head of 39 bytes. The acknowledgement is not counted, because it is not handled.
            assert_eq!(received() - before, 39 + 12);
        })
        .await;
}
