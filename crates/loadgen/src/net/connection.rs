//! A client's TCP connection. It is read into the worker's scratch buffer and written to directly;
//! it has a buffer of its own only while the kernel accepts less than it is given.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use slab::Slab;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use crate::error::Fault;
use crate::net::tcp_info::{SocketCounts, counts};
use results::FaultKind;

/// Largest amount of unsent data. More than this is an error: the server does not read.
const UNSENT_BYTES_MAX: usize = 1 << 20;
const CONNECT_MAX: Duration = Duration::from_secs(15);

/// Sockets whose counts are read without a pause. That takes about as long as a few messages.
const SOCKETS_PER_SLICE: usize = 32;

/// The connection as all tasks of the worker see it: any of them may send on it.
pub(crate) struct Connection {
    stream: RefCell<TcpStream>,
    unsent: RefCell<Vec<u8>>,
    reader: RefCell<Option<Waker>>,
    /// The client that it belongs to.
    client: u32,
    entry: ConnectionEntry,
}

/// The read half. It belongs to one task, which also sends what the kernel did not accept at once.
pub(crate) struct ReadHalf {
    connection: Rc<Connection>,
}

/// Connects. `source` is the local address to connect from, if one address has too few ports.
pub(crate) async fn open(
    to: SocketAddr,
    source: Option<Ipv4Addr>,
    client: u32,
    connections: &Rc<OpenConnections>,
) -> Result<ReadHalf, Fault> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(source) = source {
        // Leaves the choice of the port to `connect`, so that ports are shared between
        // destinations.
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)
            .map_err(io::Error::from)?;
        socket.bind(SocketAddr::from((source, 0)))?;
    }
    let stream = tokio::time::timeout(CONNECT_MAX, socket.connect(to))
        .await
        .map_err(|_| Fault::new(FaultKind::TimedOut, format!("no connection after {} s", CONNECT_MAX.as_secs())))??;
    stream.set_nodelay(true)?;
    let connection = Rc::new_cyclic(|connection| Connection {
        stream: RefCell::new(stream),
        unsent: RefCell::default(),
        reader: RefCell::default(),
        client,
        entry: connections.register(connection),
    });
    Ok(ReadHalf { connection })
}

impl Connection {
    pub(crate) const fn client(&self) -> u32 {
        self.client
    }

    /// Sends what the kernel accepts now; the read half sends the rest later. After an error
    /// nothing was sent.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut unsent = self.unsent.borrow_mut();
        let sent = if unsent.is_empty() {
            match self.stream.borrow().try_write(bytes) {
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
            return Err(Fault::new(
                FaultKind::TimedOut,
                format!("the server does not read: {UNSENT_BYTES_MAX} bytes are waiting to be sent"),
            ));
        }
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
        Ok(())
    }

    /// Shuts the connection down; the read half sees its end.
    pub(crate) fn abort(&self) {
        socket2::SockRef::from(&*self.stream.borrow()).shutdown(std::net::Shutdown::Both).ok();
    }

    /// The kernel's counts.
    pub(crate) fn counts(&self) -> SocketCounts {
        counts(&self.stream.borrow())
    }

    fn poll_send_rest(&self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let (stream, mut unsent) = (self.stream.borrow(), self.unsent.borrow_mut());
        while !unsent.is_empty() {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_write(&unsent) {
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
        self.entry.close(&self.counts());
    }
}

impl ReadHalf {
    pub(crate) const fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Reads bytes to the start of `scratch`, when there are any; 0 is the end of the connection.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &RefCell<Vec<u8>>) -> Poll<Result<usize, Fault>> {
        if !self.connection.unsent.borrow().is_empty()
            && let Poll::Ready(Err(fault)) = self.connection.poll_send_rest(cx)
        {
            return Poll::Ready(Err(fault));
        }
        let mut scratch = scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        match Pin::new(&mut *self.connection.stream.borrow_mut()).poll_read(cx, &mut buffer) {
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

    /// Reads the bytes that have arrived to the start of `scratch`: `None` if there are none, 0 at
    /// the end of the connection.
    pub(crate) fn try_read(&mut self, scratch: &RefCell<Vec<u8>>) -> io::Result<Option<usize>> {
        match self.connection.stream.borrow().try_read(&mut scratch.borrow_mut()) {
            Ok(n) => Ok(Some(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until there are bytes to read, or the end of the connection.
    #[cfg(test)]
    pub(crate) async fn readable(&self) {
        std::future::poll_fn(|cx| self.connection.stream.borrow().poll_read_ready(cx))
            .await
            .expect("a socket that can be waited for");
    }
}

/// The connections of a worker, and the kernel's counts of them. A total is the sum over closed and
/// open sockets; the counts of a window are the difference of two totals. Packets after `close` are
/// not included.
#[derive(Default)]
pub(crate) struct OpenConnections {
    open: RefCell<Slab<Weak<Connection>>>,
    closed: Cell<SocketCounts>,
}

/// Entry of a connection in [`OpenConnections`].
struct ConnectionEntry {
    connections: Rc<OpenConnections>,
    key: usize,
}

impl OpenConnections {
    fn register(self: &Rc<Self>, connection: &Weak<Connection>) -> ConnectionEntry {
        ConnectionEntry { connections: Rc::clone(self), key: self.open.borrow_mut().insert(Weak::clone(connection)) }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Counts so far. `between` is awaited after every few sockets, so that thousands of them do
    /// not delay the clients. Connections that are closed meanwhile are kept until their counts are
    /// read, so that none is missed or counted twice.
    pub(crate) async fn total(&self, mut between: impl AsyncFnMut()) -> SocketCounts {
        let mut total = self.closed.get();
        let open: Vec<_> = self.open.borrow().iter().filter_map(|(_, connection)| connection.upgrade()).collect();
        let mut open = open.into_iter();
        while open.len() > 0 {
            total =
                open.by_ref().take(SOCKETS_PER_SLICE).fold(total, |total, connection| total.plus(&connection.counts()));
            between().await;
        }
        total
    }
}

impl ConnectionEntry {
    /// Adds the last counts of a socket that is about to be closed.
    fn close(&self, last: &SocketCounts) {
        self.connections.open.borrow_mut().remove(self.key);
        self.connections.closed.set(self.connections.closed.get().plus(last));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn sockets_count_while_they_are_open_and_after_they_are_closed() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (connections, scratch) = (Rc::new(OpenConnections::default()), RefCell::new(vec![0; 64]));
        let mut opened = Vec::new();
        // More than one slice.
        for _ in 0..SOCKETS_PER_SLICE + 3 {
            let opening = open(listener.local_addr().unwrap(), None, 0, &connections);
            let (opened_half, accepted) = tokio::join!(opening, listener.accept());
            let (mut half, (mut server, _)) = (opened_half.unwrap(), accepted.unwrap());
            half.connection().send(b"hello").unwrap();
            server.write_all(b"hey").await.unwrap();
            server.read_exact(&mut [0; 5]).await.unwrap();
            assert_eq!(poll_fn(|cx| half.poll_read(cx, &scratch)).await.unwrap(), 3);
            // The server's FIN is no byte of data.
            server.shutdown().await.unwrap();
            assert_eq!(poll_fn(|cx| half.poll_read(cx, &scratch)).await.unwrap(), 0);
            opened.push((half, server));
        }
        let all = opened.len() as u64;
        let mut between = 0;
        let open = connections.total(async || between += 1).await;
        assert_eq!((open.bytes_up, open.bytes_down, between), (5 * all, 3 * all, 2));
        assert!(open.segments_up >= 2 * all && open.segments_down >= 2 * all, "{open:?}");
        assert!((40..=52).contains(&open.header_bytes_per_segment), "{open:?}");
        opened.truncate(1);
        // One more is closed while the others are counted.
        let after = connections.total(async || opened.clear()).await;
        assert_eq!((after.bytes_up, after.bytes_down), (5 * all, 3 * all));
        assert_eq!(connections.total(async || ()).await.since(&open).bytes_up, 0);
        assert!(connections.is_empty());
    }
}
