//! A TCP stream that counts what goes through it and ends clients that take too long.
//!
//! Three limits, none of which costs anything while traffic flows. A client that sends nothing, or half a request, for too long;
//! and one that leaves what we send unread. Their timers are only looked at when the socket has nothing to give or take.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use super::Connection;
use super::idle::{Activity, IdleDeadline, Timeouts};
use super::state::BusyGuard;
use crate::counters::Counter;

/// Pieces (a chunk's size, the chunk, a line end) that are small together are copied and written as one: the copy costs less than
/// a vectored write.
const GATHERED_BYTES_MAX: usize = 4 << 10;

thread_local!(static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHERED_BYTES_MAX)));

/// Most that is read from a client after the last answer to it.
const DISCARDED_BYTES_MAX: usize = 8 << 20;
const DISCARD_BUFFER_BYTES: usize = 4 << 10;
pub(crate) struct CountedStream {
    tcp: TcpStream,
    connection: Arc<Connection>,
    timeouts: Arc<Timeouts>,
    idle_timer: Option<IdleTimer>,
    stall_timer: Option<Pin<Box<Sleep>>>,
}

/// The reading side's timer.
struct IdleTimer {
    timer: Pin<Box<Sleep>>,
    deadline: IdleDeadline,
}

impl CountedStream {
    pub(crate) fn new(tcp: TcpStream, connection: Arc<Connection>, timeouts: Arc<Timeouts>) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        // The kernel's own guard against peers that vanished without a word.
        socket2::SockRef::from(&tcp).set_tcp_user_timeout(Some(timeouts.stall))?;
        Ok(Self { tcp, connection, timeouts, idle_timer: None, stall_timer: None })
    }

    pub(crate) const fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Waits for something to read. Keeps no buffer while it waits.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// Only the last task that asked is woken.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_read_ready(cx)
    }

    /// See [`TcpStream::try_read`].
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.tcp.try_read(buffer).inspect_err(|error| self.connection.on_error(error))?;
        self.connection.on_read(n);
        Ok(n)
    }

    /// Shuts down the write side and reads on, to the end or to a limit. Closing with unread input would send a reset, and the
    /// client could lose the last answer.
    pub(crate) async fn close_gracefully(&mut self) -> io::Result<()> {
        self.shutdown().await?;
        let limit = self.timeouts.header;
        let _busy = self.busy_guard();
        timeout(limit, self.discard_input()).await.unwrap_or(Ok(()))
    }

    async fn discard_input(&mut self) -> io::Result<()> {
        // Not on the stack, where every connection would keep room for it.
        let mut sink = vec![0; DISCARD_BUFFER_BYTES];
        let mut left = DISCARDED_BYTES_MAX;
        while left > 0 {
            match self.read(&mut sink).await? {
                0 => break,
                n => left = left.saturating_sub(n),
            }
        }
        Ok(())
    }

    /// The connection is ours to keep until the guard is dropped.
    pub(crate) fn busy_guard(&mut self) -> BusyGuard {
        self.idle_timer = None;
        // What came with the join or the request is part of what it took.
        self.connection.count_unclaimed();
        self.connection.busy_guard()
    }

    /// Looks, while nothing comes, whether the client has had its time.
    fn poll_idle_timeout(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let connection = &self.connection;
        if connection.is_busy() {
            self.idle_timer = None;
            return Poll::Pending;
        }
        let timeouts = &self.timeouts;
        let seen = Activity { requests: connection.requests(), in_request: connection.is_in_request() };
        let IdleTimer { timer, deadline: wait } = self.idle_timer.get_or_insert_with(|| {
            let (wait, end) = IdleDeadline::start(timeouts, seen, Instant::now());
            IdleTimer { timer: Box::pin(sleep_until(end)), deadline: wait }
        });
        if let Some(end) = wait.update(timeouts, seen, timer.deadline(), Instant::now) {
            timer.as_mut().reset(end);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let Some(end) = wait.extend(timeouts, seen, timer.deadline()) else {
                connection.count(Counter::TimedOut);
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            };
            timer.as_mut().reset(end);
        }
        Poll::Pending
    }

    /// Keeps a write back for as long as the slowdown wants.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pause) = self.connection.pause() else { return Poll::Ready(()) };
        ready!(self.stall_timer.get_or_insert_with(|| Box::pin(sleep(pause))).as_mut().poll(cx));
        self.stall_timer = None;
        self.connection.end_pause();
        Poll::Ready(())
    }

    /// Notes the outcome of a write; while the client does not read, looks whether it has had its time.
    fn after_write(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(outcome) => {
                self.stall_timer = None;
                match &outcome {
                    Ok(n) => self.connection.on_write(*n),
                    Err(error) => self.connection.on_error(error),
                }
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                let limit = self.timeouts.stall;
                ready!(self.stall_timer.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
                self.connection.on_stall();
                // Whoever reads this socket elsewhere, as socketioxide does, is to meet its end as well.
                socket2::SockRef::from(&self.tcp).shutdown(std::net::Shutdown::Both).ok();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut socket.tcp).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                socket.connection.on_read(buffer.filled().len() - before);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                socket.connection.on_error(&error);
                Poll::Ready(Err(error))
            }
            Poll::Pending => socket.poll_idle_timeout(cx).map(Err),
        }
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        ready!(socket.poll_pause(cx));
        let outcome = Pin::new(&mut socket.tcp).poll_write(cx, bytes);
        socket.after_write(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        ready!(socket.poll_pause(cx));
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
