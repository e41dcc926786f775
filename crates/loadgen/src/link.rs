//! A client's TCP connection: read into the worker's one scratch buffer, written to at once, without a buffer of its own unless the
//! kernel takes less than it was given.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::fault::Fault;
use crate::sockets::{self, SocketCounts, Sockets};
use results::FaultKind;

/// What a client keeps for a server that does not read.
const UNSENT_BYTES_MAX: usize = 1 << 20;
const CONNECT_MAX: Duration = Duration::from_secs(15);

/// The writing side: anybody on the worker's thread may send.
pub(crate) struct Link {
    half: OwnedWriteHalf,
    unsent: RefCell<Vec<u8>>,
    reader: RefCell<Option<Waker>>,
    entry: sockets::Entry,
}

/// The reading side, which belongs to one task; it also finishes what could not be sent at once.
pub(crate) struct Reading {
    half: OwnedReadHalf,
    link: Rc<Link>,
}

/// Connects. `source` is an address of this host to come from, where one is not enough.
pub(crate) async fn open(to: SocketAddr, source: Option<Ipv4Addr>, sockets: &Rc<Sockets>) -> Result<Reading, Fault> {
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
    let link = Rc::new_cyclic(|link| Link {
        half: write,
        unsent: RefCell::default(),
        reader: RefCell::default(),
        entry: sockets.enter(link),
    });
    Ok(Reading { half: read, link })
}

impl Link {
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
        sockets::counts(self.half.as_ref())
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

impl Drop for Link {
    fn drop(&mut self) {
        self.entry.leave(&self.counts());
    }
}

impl Reading {
    pub(crate) const fn link(&self) -> &Rc<Link> {
        &self.link
    }

    /// Waits for bytes and reads them to the head of `scratch`; 0 is the end of the connection.
    pub(crate) async fn fill(&mut self, scratch: &RefCell<Vec<u8>>) -> Result<usize, Fault> {
        poll_fn(|cx| self.poll_fill(cx, scratch)).await
    }

    /// Reads what has come already to the head of `scratch`: `None` when nothing has, 0 at the end of the connection.
    pub(crate) fn look(&mut self, scratch: &RefCell<Vec<u8>>) -> io::Result<Option<usize>> {
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
        if !self.link.unsent.borrow().is_empty()
            && let Poll::Ready(Err(fault)) = self.link.poll_send_rest(cx)
        {
            return Poll::Ready(Err(fault));
        }
        let mut scratch = scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        match Pin::new(&mut self.half).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => {
                let mut reader = self.link.reader.borrow_mut();
                if !reader.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                    *reader = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}
