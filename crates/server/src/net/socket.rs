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
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::Gauge;
use super::gauge::Hold;
use crate::config::Limits;
use crate::meter::Count;

/// Pieces (a chunk's size, the chunk, a line end) that are small together are copied and written as one: the copy costs less than
/// a vectored write.
const GATHERED_BYTES_MAX: usize = 4 << 10;

thread_local!(static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHERED_BYTES_MAX)));

/// How long a socket waits for its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    header: Duration,
    idle: Duration,
    stall: Duration,
}

impl From<&Limits> for Patience {
    fn from(limits: &Limits) -> Self {
        Self { header: limits.header_timeout, idle: limits.idle_timeout, stall: limits.stall_timeout }
    }
}

/// Most that is read from a client after the last answer to it.
const LINGER_BYTES_MAX: usize = 8 << 20;
const LINGER_BUFFER_BYTES: usize = 4 << 10;
/// Requests that come fast are not timed one by one. While they come, a connection is looked at this many times in an idle timeout, and
/// ends at most one such part of it too late.
const LOOKS_PER_IDLE_TIMEOUT: u32 = 32;

pub(crate) struct Socket {
    tcp: TcpStream,
    gauge: Arc<Gauge>,
    patience: Arc<Patience>,
    watch: Option<Watch>,
    stall: Option<Pin<Box<Sleep>>>,
}

/// The reading side's timer, and what was true when it was set.
struct Watch {
    timer: Pin<Box<Sleep>>,
    seen: Seen,
    /// Whether the timer runs to the end of the client's time, and not only to the next look.
    is_limit: bool,
}

/// Requests so far, and whether another had begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    requests: u32,
    in_head: bool,
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream, gauge: Arc<Gauge>, patience: Arc<Patience>) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        // The kernel's own guard against peers that vanished without a word.
        socket2::SockRef::from(&tcp).set_tcp_user_timeout(Some(patience.stall))?;
        Ok(Self { tcp, gauge, patience, watch: None, stall: None })
    }

    pub(crate) const fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
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
        let n = self.tcp.try_read(buffer).inspect_err(|error| self.gauge.on_error(error))?;
        self.gauge.on_read(n);
        Ok(n)
    }

    /// Shuts down the write side and reads on, to the end or to a limit. Closing with unread input would send a reset, and the
    /// client could lose the last answer.
    pub(crate) async fn linger(&mut self) -> io::Result<()> {
        self.shutdown().await?;
        let limit = self.patience.header;
        let _held = self.hold();
        timeout(limit, self.discard_input()).await.unwrap_or(Ok(()))
    }

    async fn discard_input(&mut self) -> io::Result<()> {
        // Not on the stack, where every connection would keep room for it.
        let mut sink = vec![0; LINGER_BUFFER_BYTES];
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            match self.read(&mut sink).await? {
                0 => break,
                n => left = left.saturating_sub(n),
            }
        }
        Ok(())
    }

    /// The connection is ours to keep until the guard is dropped.
    pub(crate) fn hold(&mut self) -> Hold {
        self.watch = None;
        // What came with the join or the request is part of what it took.
        self.gauge.claim();
        self.gauge.hold()
    }

    /// Looks, while nothing comes, whether the client has had its time.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let gauge = &self.gauge;
        if gauge.is_held() {
            self.watch = None;
            return Poll::Pending;
        }
        let Patience { header, idle, .. } = *self.patience;
        let look = idle / LOOKS_PER_IDLE_TIMEOUT;
        let now = Seen { requests: gauge.requests(), in_head: gauge.is_in_head() };
        let limit = if now.in_head { header } else { idle };
        let watch =
            self.watch.get_or_insert_with(|| Watch { timer: Box::pin(sleep(limit)), seen: now, is_limit: true });
        // Set anew for each request only of a client whose requests come further apart than the looks at the others.
        if watch.seen != now && (watch.is_limit || now.in_head) {
            let at = Instant::now();
            let was_quiet = watch.timer.deadline() < at + (idle - look);
            watch.is_limit = now.in_head || watch.seen.in_head || was_quiet;
            watch.seen = now;
            watch.timer.as_mut().reset(at + if watch.is_limit { limit } else { look });
        }
        while watch.timer.as_mut().poll(cx).is_ready() {
            if watch.is_limit {
                gauge.count(Count::TimedOut);
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            watch.is_limit = watch.seen == now;
            watch.seen = now;
            watch.timer.as_mut().reset(Instant::now() + if watch.is_limit { idle - look } else { look });
        }
        Poll::Pending
    }

    /// Keeps a write back for as long as the handicap wants.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pause) = self.gauge.pause() else { return Poll::Ready(()) };
        ready!(self.stall.get_or_insert_with(|| Box::pin(sleep(pause))).as_mut().poll(cx));
        self.stall = None;
        self.gauge.end_pause();
        Poll::Ready(())
    }

    /// Notes the outcome of a write; while the client does not read, looks whether it has had its time.
    fn after_write(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(outcome) => {
                self.stall = None;
                match &outcome {
                    Ok(n) => self.gauge.on_write(*n),
                    Err(error) => self.gauge.on_error(error),
                }
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                let limit = self.patience.stall;
                ready!(self.stall.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
                self.gauge.on_stall();
                // Whoever reads this socket elsewhere, as socketioxide does, is to meet its end as well.
                socket2::SockRef::from(&self.tcp).shutdown(std::net::Shutdown::Both).ok();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut socket.tcp).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                socket.gauge.on_read(buffer.filled().len() - before);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                socket.gauge.on_error(&error);
                Poll::Ready(Err(error))
            }
            Poll::Pending => socket.poll_watch(cx).map(Err),
        }
    }
}

impl AsyncWrite for Socket {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{Label, Meter};

    const HEADER: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    /// A socket whose client sends nothing.
    async fn silent() -> (Socket, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let patience = Patience { header: HEADER, idle: IDLE, stall: HEADER };
        let gauge = Gauge::new(Arc::new(Meter::new(None)), Arc::default());
        (Socket::new(accepted.unwrap().0, gauge, Arc::new(patience)).unwrap(), client.unwrap())
    }

    /// Time until the socket gives its client up.
    async fn time_to_end(socket: &mut Socket) -> Duration {
        let begun = Instant::now();
        let end = socket.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        begun.elapsed()
    }

    /// One request in each `period`, answered at once.
    async fn requests(socket: &mut Socket, period: Duration, count: u32) {
        for _ in 0..count {
            timeout(period, socket.read(&mut [0; 8])).await.unwrap_err();
            socket.gauge.begin_request(Label::OTHER);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_idle_timeout_begins_with_the_last_request_however_often_they_came() {
        for (period_ms, count) in [(10, 1), (100, 300), (1_000, 20), (5_000, 10), (60_000, 3), (74_000, 3)] {
            let (mut socket, _client) = silent().await;
            socket.gauge.begin_request(Label::OTHER);
            requests(&mut socket, Duration::from_millis(period_ms), count).await;
            let took = time_to_end(&mut socket).await;
            assert!((IDLE..IDLE.mul_f64(1.04)).contains(&took), "{took:?} after a request in {period_ms} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_own_timeout_from_its_first_byte() {
        let (mut socket, _client) = silent().await;
        let slack = Duration::from_millis(10);
        assert!((HEADER..HEADER + slack).contains(&time_to_end(&mut socket).await), "no byte came");
        for quiet_s in [0, 1, 4, 70] {
            let (mut socket, _client) = silent().await;
            socket.gauge.begin_request(Label::OTHER);
            timeout(Duration::from_secs(quiet_s), socket.read(&mut [0; 8])).await.unwrap_err();
            socket.gauge.on_read(1);
            let took = time_to_end(&mut socket).await;
            assert!((HEADER..HEADER + slack).contains(&took), "{took:?} for half a head after {quiet_s} s");
        }
    }
}
