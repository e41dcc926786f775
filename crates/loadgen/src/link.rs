//! A client's TCP connection: read into the worker's one scratch buffer, written to at once, without a buffer of its own unless the
//! kernel takes less than it was given.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use slab::Slab;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::error::Fault;
use crate::tcp_info::{SocketCounts, counts};
use results::FaultKind;

/// What a client keeps for a server that does not read.
const UNSENT_BYTES_MAX: usize = 1 << 20;
const CONNECT_MAX: Duration = Duration::from_secs(15);

/// Sockets read in one go: together they take about as long as a handful of messages.
const SOCKETS_PER_SLICE: usize = 32;

/// The writing side: anybody on the worker's thread may send.
pub(crate) struct Connection {
    half: OwnedWriteHalf,
    unsent: RefCell<Vec<u8>>,
    reader: RefCell<Option<Waker>>,
    entry: ConnectionEntry,
}

/// The reading side, which belongs to one task; it also finishes what could not be sent at once.
pub(crate) struct ReadHalf {
    half: OwnedReadHalf,
    connection: Rc<Connection>,
}

/// Connects. `source` is an address of this host to come from, where one is not enough.
pub(crate) async fn open(
    to: SocketAddr,
    source: Option<Ipv4Addr>,
    sockets: &Rc<OpenConnections>,
) -> Result<ReadHalf, Fault> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(source) = source {
        // The port is chosen when the destination is known: one source address then serves many destinations.
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)
            .map_err(io::Error::from)?;
        socket.bind(SocketAddr::from((source, 0)))?;
    }
    let stream = tokio::time::timeout(CONNECT_MAX, socket.connect(to))
        .await
        .map_err(|_| Fault::new(FaultKind::TimedOut, "no connection in time"))??;
    stream.set_nodelay(true)?;
    let (read, write) = stream.into_split();
    let link = Rc::new_cyclic(|link| Connection {
        half: write,
        unsent: RefCell::default(),
        reader: RefCell::default(),
        entry: sockets.enter(link),
    });
    Ok(ReadHalf { half: read, connection: link })
}

impl Connection {
    /// Sends now what the kernel takes; the rest follows when it can. An error of the system is met before anything has left.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut unsent = self.unsent.borrow_mut();
        let sent = if unsent.is_empty() {
            match self.half.try_write(bytes) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error.into()),
            }
        } else {
            0
        };
        if sent == bytes.len() {
            return Ok(());
        }
        unsent.extend_from_slice(&bytes[sent..]);
        if unsent.len() > UNSENT_BYTES_MAX {
            return Err(Fault::new(FaultKind::TimedOut, "the server does not read what is sent to it"));
        }
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
        Ok(())
    }

    /// Breaks the connection; its reader sees the end.
    pub(crate) fn abort(&self) {
        socket2::SockRef::from(self.half.as_ref()).shutdown(std::net::Shutdown::Both).ok();
    }

    /// What the kernel says of it.
    pub(crate) fn counts(&self) -> SocketCounts {
        counts(self.half.as_ref())
    }

    fn poll_send_rest(&self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let mut unsent = self.unsent.borrow_mut();
        while !unsent.is_empty() {
            ready!(self.half.as_ref().poll_write_ready(cx))?;
            match self.half.try_write(&unsent) {
                Ok(n) => drop(unsent.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        *unsent = Vec::new();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.entry.leave(&self.counts());
    }
}

impl ReadHalf {
    pub(crate) const fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Waits for bytes and reads them to the head of `scratch`; 0 is the end of the connection.
    pub(crate) async fn read(&mut self, scratch: &RefCell<Vec<u8>>) -> Result<usize, Fault> {
        poll_fn(|cx| self.poll_fill(cx, scratch)).await
    }

    /// Reads what has come already to the head of `scratch`: `None` when nothing has, 0 at the end of the connection.
    pub(crate) fn try_read(&mut self, scratch: &RefCell<Vec<u8>>) -> io::Result<Option<usize>> {
        match self.half.try_read(&mut scratch.borrow_mut()) {
            Ok(n) => Ok(Some(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until there is something to read, or the end of the connection.
    #[cfg(test)]
    pub(crate) async fn readable(&self) {
        self.half.readable().await.expect("a socket that can be waited for");
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, scratch: &RefCell<Vec<u8>>) -> Poll<Result<usize, Fault>> {
        if !self.connection.unsent.borrow().is_empty()
            && let Poll::Ready(Err(fault)) = self.connection.poll_send_rest(cx)
        {
            return Poll::Ready(Err(fault));
        }
        let mut scratch = scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        match Pin::new(&mut self.half).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => {
                let mut reader = self.connection.reader.borrow_mut();
                if !reader.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                    *reader = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

/// The open connections of a worker. Its total at an instant is what its closed sockets came to and what its open ones say; a window is
/// the difference of two totals. What a socket says of its own end after it is closed is not in it.
#[derive(Default)]
pub(crate) struct OpenConnections {
    open: RefCell<Slab<Weak<Connection>>>,
    closed: Cell<SocketCounts>,
}

/// The place of a connection among those that are open.
struct ConnectionEntry {
    sockets: Rc<OpenConnections>,
    key: usize,
}

impl OpenConnections {
    fn enter(self: &Rc<Self>, link: &Weak<Connection>) -> ConnectionEntry {
        ConnectionEntry { sockets: Rc::clone(self), key: self.open.borrow_mut().insert(Weak::clone(link)) }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Everything so far. `between` is awaited after every few sockets, so that thousands of them delay no client; those that are
    /// closed meanwhile are kept until their turn, so that none is missed or counted twice.
    pub(crate) async fn total(&self, mut between: impl AsyncFnMut()) -> SocketCounts {
        let mut total = self.closed.get();
        let open: Vec<_> = self.open.borrow().iter().filter_map(|(_, link)| link.upgrade()).collect();
        let mut open = open.into_iter();
        while open.len() > 0 {
            total = open.by_ref().take(SOCKETS_PER_SLICE).fold(total, |total, link| total.plus(&link.counts()));
            between().await;
        }
        total
    }
}

impl ConnectionEntry {
    /// The socket is about to be closed.
    fn leave(&self, last: &SocketCounts) {
        self.sockets.open.borrow_mut().remove(self.key);
        self.sockets.closed.set(self.sockets.closed.get().plus(last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sockets_count_while_they_are_open_and_after_they_are_closed() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (sockets, scratch) = (Rc::new(OpenConnections::default()), RefCell::new(vec![0; 64]));
        let mut links = Vec::new();
        // More than are read in one go.
        for _ in 0..SOCKETS_PER_SLICE + 3 {
            let opened = open(listener.local_addr().unwrap(), None, &sockets);
            let (reading, accepted) = tokio::join!(opened, listener.accept());
            let (mut reading, (mut server, _)) = (reading.unwrap(), accepted.unwrap());
            reading.connection().send(b"hello").unwrap();
            server.write_all(b"hey").await.unwrap();
            server.read_exact(&mut [0; 5]).await.unwrap();
            assert_eq!(reading.read(&scratch).await.unwrap(), 3);
            // The end of the server's half is no byte of data.
            server.shutdown().await.unwrap();
            assert_eq!(reading.read(&scratch).await.unwrap(), 0);
            links.push((reading, server));
        }
        let all = links.len() as u64;
        let mut between = 0;
        let open = sockets.total(async || between += 1).await;
        assert_eq!((open.bytes_up, open.bytes_down, between), (5 * all, 3 * all, 2));
        assert!(open.segments_up >= 2 * all && open.segments_down >= 2 * all, "{open:?}");
        assert!((40..=52).contains(&open.header_bytes_per_segment), "{open:?}");
        links.truncate(1);
        // One more is closed while the others are counted.
        let after = sockets.total(async || links.clear()).await;
        assert_eq!((after.bytes_up, after.bytes_down), (5 * all, 3 * all));
        assert_eq!(sockets.total(async || ()).await.since(&open).bytes_up, 0);
        assert!(sockets.is_empty());
    }
}
