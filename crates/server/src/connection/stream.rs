//! A TCP stream that counts its traffic and ends clients that take too long.
//!
//! Three limits apply: a client that sends nothing for too long, one that does not complete a
//! request, and one that leaves data unread. None of them costs anything while traffic flows: the
//! timers are polled only when the socket would block.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

use super::armed::Armed;
use super::timeouts::{Activity, IdleTimer, Timeouts};
use super::{BusyGuard, Connection};
use crate::counters::Counter;

/// Slices up to this size together (a chunk's size, the chunk, a line end) are copied and written
/// as one. The copy costs less than a vectored write.
const GATHERED_BYTES_MAX: usize = 4 << 10;

/// Size of the read buffer that all connections of a thread share, so that an idle connection has
/// none.
const SCRATCH_BYTES: usize = 16 << 10;

thread_local! {
    static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHERED_BYTES_MAX));
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Maximum number of bytes read from a client after the last response.
const DISCARDED_BYTES_MAX: usize = 8 << 20;
const DISCARD_BUFFER_BYTES: usize = 4 << 10;

/// Lends the read buffer of this thread. What is read into it has to be used before the task waits.
pub(crate) fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| read(scratch))
}

pub(crate) struct CountedStream {
    tcp: TcpStream,
    connection: Arc<Connection>,
    timeouts: Arc<Timeouts>,
    idle_timer: Option<IdleTimer>,
    stall_timer: Option<Pin<Box<Sleep>>>,
    /// Bytes that are read again before those of the socket.
    put_back: Vec<u8>,
    /// The task that wakes when the socket becomes readable.
    armed: Armed,
}

impl CountedStream {
    pub(crate) fn new(tcp: TcpStream, connection: Arc<Connection>, timeouts: Arc<Timeouts>) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        // The kernel's own limit for peers that vanished without a FIN.
        socket2::SockRef::from(&tcp).set_tcp_user_timeout(Some(timeouts.stall))?;
        Ok(Self {
            tcp,
            connection,
            timeouts,
            idle_timer: None,
            stall_timer: None,
            put_back: Vec::new(),
            armed: Armed::default(),
        })
    }

    pub(crate) const fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Lets the next reader of this socket begin with bytes that were read and not used.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        self.put_back.splice(..0, bytes.iter().copied());
    }

    /// Waits until the socket is readable. Needs no buffer meanwhile.
    pub(crate) async fn readable(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Wakes only the last task that polled.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_unchanged(cx) {
            return Poll::Pending;
        }
        let ready = self.tcp.poll_read_ready(cx);
        self.armed.update(cx, &ready);
        ready
    }

    /// Whether the socket is not readable, and the current task wakes when it is.
    fn is_unchanged(&self, cx: &Context<'_>) -> bool {
        let mut is_readable = false;
        self.armed.is_for(cx) && {
            let note = || {
                is_readable = true;
                Ok(())
            };
            self.tcp.try_io(Interest::READABLE, note).ok();
            !is_readable
        }
    }

    /// See [`TcpStream::try_read`].
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.tcp.try_read(buffer).inspect_err(|error| self.connection.count_error(error))?;
        self.connection.count_read(n);
        Ok(n)
    }

    /// Shuts down the write side and reads until EOF or a limit. Closing with unread input would
    /// send RST, and the client could lose the last response. Boxed: every connection would
    /// otherwise reserve memory for its end.
    pub(crate) fn close_gracefully(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            self.shutdown().await?;
            let limit = self.timeouts.header;
            let _busy = self.busy_guard();
            timeout(limit, self.discard_input()).await.unwrap_or(Ok(()))
        })
    }

    async fn discard_input(&mut self) -> io::Result<()> {
        let mut sink = [0; DISCARD_BUFFER_BYTES];
        let mut left = DISCARDED_BYTES_MAX;
        while left > 0 {
            match self.read(&mut sink).await? {
                0 => break,
                n => left = left.saturating_sub(n),
            }
        }
        Ok(())
    }

    /// Marks the connection as busy until the guard is dropped.
    pub(crate) fn busy_guard(&mut self) -> BusyGuard {
        self.idle_timer = None;
        // Bytes that were read with the join or the request belong to its transport.
        self.connection.stats.claim();
        self.connection.busy_guard()
    }

    /// Ready when the client has sent nothing for too long.
    fn poll_idle_timeout(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let connection = &self.connection;
        if connection.state.is_busy() {
            self.idle_timer.as_mut().map(IdleTimer::stop);
            return Poll::Pending;
        }
        let activity = Activity { requests: connection.stats.requests(), in_request: connection.state.is_in_request() };
        let timer = self.idle_timer.get_or_insert_with(|| IdleTimer::new(&self.timeouts));
        timer.poll(&self.timeouts, activity, cx).map(|()| {
            connection.stats.count(Counter::TimedOut);
            io::ErrorKind::TimedOut.into()
        })
    }

    /// Counts the outcome of a write. While the client does not read, checks the stall timeout.
    fn after_write(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.connection.state.set_write_blocked(outcome.is_pending());
        match outcome {
            Poll::Ready(outcome) => {
                self.stall_timer = None;
                match &outcome {
                    Ok(n) => self.connection.count_write(*n),
                    Err(error) => self.connection.count_error(error),
                }
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                let limit = self.timeouts.stall;
                ready!(self.stall_timer.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
                self.connection.count_stall();
                // Another task may read this socket, as in socketioxide: its read has to end, too.
                socket2::SockRef::from(&self.tcp).shutdown(std::net::Shutdown::Both).ok();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if !socket.put_back.is_empty() {
            let taken = buffer.remaining().min(socket.put_back.len());
            buffer.put_slice(&socket.put_back[..taken]);
            socket.put_back.drain(..taken);
            if socket.put_back.is_empty() {
                socket.put_back = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        if socket.is_unchanged(cx) {
            return socket.poll_idle_timeout(cx).map(Err);
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut socket.tcp).poll_read(cx, buffer);
        socket.armed.update(cx, &read);
        match read {
            Poll::Ready(Ok(())) => {
                socket.connection.count_read(buffer.filled().len() - before);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                socket.connection.count_error(&error);
                Poll::Ready(Err(error))
            }
            Poll::Pending => socket.poll_idle_timeout(cx).map(Err),
        }
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let outcome = Pin::new(&mut socket.tcp).poll_write(cx, bytes);
        socket.after_write(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let outcome = if slices.iter().map(|slice| slice.len()).sum::<usize>() <= GATHERED_BYTES_MAX {
            GATHERED.with_borrow_mut(|gathered| {
                gathered.clear();
                slices.iter().for_each(|slice| gathered.extend_from_slice(slice));
                Pin::new(&mut socket.tcp).poll_write(cx, gathered)
            })
        } else {
            Pin::new(&mut socket.tcp).poll_write_vectored(cx, slices)
        };
        socket.after_write(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
