//! One accepted connection: a TCP stream that counts what goes through it and ends clients that take too long.
//!
//! Three limits, none of which costs anything while traffic flows. A client that sends nothing, or half a request, for too long;
//! and one that leaves what we send unread. Their timers are only looked at when the socket has nothing to give or take.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::config::Limits;
use crate::flow::Flow;
use crate::hub::Batch;
use crate::meter::{Count, Label, Meter};

/// Pieces (a chunk's size, the chunk, a line end) that are small together are copied and written as one: the copy costs less than
/// a vectored write.
const GATHERED_BYTES_MAX: usize = 4 << 10;

thread_local!(static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHERED_BYTES_MAX)));

/// Whether a connection is waited for, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Between requests.
    Idle,
    /// A request or join has begun and is not complete.
    Head,
    /// We are the ones who keep it: a stream, a held poll, a joined socket.
    Held,
}

/// What becomes of a socket that a handler takes back from HTTP.
pub(crate) type Handover = Box<dyn FnOnce(Socket) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What is known of a connection, shared by its socket and by those who handle its requests.
pub(crate) struct Gauge {
    meter: Arc<Meter>,
    open: Arc<AtomicUsize>,
    label: AtomicU8,
    home: AtomicU8,
    phase: AtomicU8,
    has_stalled: AtomicBool,
    requests: AtomicU32,
    /// How long the next write is to be kept back, in a server with a handicap.
    pause_us: AtomicU32,
    up_unclaimed: AtomicU64,
    reads_unclaimed: AtomicU64,
    handover: Mutex<Option<Handover>>,
    /// Who is told of every write, if anybody is.
    flow: OnceLock<Arc<Flow>>,
}

impl Gauge {
    /// Counts a connection for as long as the gauge lives.
    pub(crate) fn new(meter: Arc<Meter>, open: Arc<AtomicUsize>) -> Arc<Self> {
        open.fetch_add(1, Relaxed);
        meter.add(Label::OTHER, Count::ConnectionsOpened, 1);
        Arc::new(Self {
            meter,
            open,
            label: AtomicU8::new(Label::OTHER.to_u8()),
            home: AtomicU8::new(Label::OTHER.to_u8()),
            phase: AtomicU8::new(Phase::Head as u8),
            has_stalled: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            pause_us: AtomicU32::new(0),
            up_unclaimed: AtomicU64::new(0),
            reads_unclaimed: AtomicU64::new(0),
            handover: Mutex::new(None),
            flow: OnceLock::new(),
        })
    }

    /// A request is complete: what was read for it, and what follows, belongs to `label`.
    pub(crate) fn begin_request(&self, label: Label) {
        self.requests.store(self.requests.load(Relaxed).wrapping_add(1), Relaxed);
        self.attribute(label);
        self.count(Count::Requests);
    }

    /// Whose connection this is from now on; the first owner is the one it is counted for.
    pub(crate) fn attribute(&self, label: Label) {
        self.phase.store(Phase::Idle as u8, Relaxed);
        self.label.store(label.to_u8(), Relaxed);
        if label != Label::OTHER && self.home() == Label::OTHER {
            self.home.store(label.to_u8(), Relaxed);
            self.meter.take_back(Label::OTHER, Count::ConnectionsOpened);
            self.meter.add(label, Count::ConnectionsOpened, 1);
        }
        self.claim();
    }

    /// The client owes us more before it is served (a join behind the connect).
    pub(crate) fn expect_more(&self) {
        self.phase.store(Phase::Head as u8, Relaxed);
    }

    /// The connection is ours to keep until it ends.
    pub(crate) fn keep(&self) {
        self.phase.store(Phase::Held as u8, Relaxed);
    }

    /// The connection is ours to keep until the guard is dropped.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        self.keep();
        Hold(Arc::clone(self))
    }

    /// A handler wants the socket: whoever drives the connection gives it up, with the request unanswered.
    pub(crate) fn take_over(&self, handover: Handover) {
        *self.handover.lock().unwrap_or_else(PoisonError::into_inner) = Some(handover);
    }

    /// Tells a flow what leaves through this connection, from now on; the first one to ask stays.
    pub(crate) fn drain_into(&self, flow: &Arc<Flow>) {
        self.flow.get_or_init(|| Arc::clone(flow));
    }

    /// What the socket is wanted for, if it is.
    pub(crate) fn taken_over(&self) -> Option<Handover> {
        self.handover.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn label(&self) -> Label {
        Label::from_u8(self.label.load(Relaxed))
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(crate) fn count(&self, count: Count) {
        self.meter.add(self.label(), count, 1);
    }

    /// Counts a batch that is about to be written, with what stands around its items.
    pub(crate) fn deliver(&self, label: Label, batch: &Batch, more_frames: u64) {
        if batch.gap {
            self.meter.add(label, Count::Gaps, 1);
        }
        self.meter.add_batch(label, batch.messages, batch.frames() + more_frames, batch.split);
        if let Some(handicap) = &self.meter.handicap {
            handicap.spend(batch.messages);
            let pause = handicap.delay.as_micros() * u128::from(batch.messages);
            self.pause_us.store(u32::try_from(pause).unwrap_or(u32::MAX), Relaxed);
        }
    }

    fn home(&self) -> Label {
        Label::from_u8(self.home.load(Relaxed))
    }

    /// Whether the connection is ours to keep just now.
    pub(crate) fn is_held(&self) -> bool {
        self.is(Phase::Held)
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) == phase as u8
    }

    fn on_read(&self, bytes: usize) {
        if bytes > 0 && self.is(Phase::Idle) {
            self.phase.store(Phase::Head as u8, Relaxed);
        }
        if self.is(Phase::Held) {
            self.meter.add_all(self.label(), [(Count::SocketReads, 1), (Count::UpTotal, bytes as u64)]);
        } else {
            self.up_unclaimed.store(self.up_unclaimed.load(Relaxed) + bytes as u64, Relaxed);
            self.reads_unclaimed.store(self.reads_unclaimed.load(Relaxed) + 1, Relaxed);
        }
    }

    fn on_write(&self, bytes: usize) {
        self.meter.add_all(self.label(), [(Count::SocketWrites, 1), (Count::DownTotal, bytes as u64)]);
        if let Some(flow) = self.flow.get() {
            flow.drain(bytes);
        }
    }

    /// The kernel, too, gives up on a client that leaves what it was sent unread, and may be the first to do so.
    fn on_error(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            self.on_stall();
        }
    }

    /// Counted once, whether it is met in reading, in writing or in both.
    fn on_stall(&self) {
        if !self.has_stalled.swap(true, Relaxed) {
            self.count(Count::Stalled);
        }
    }

    fn claim(&self) {
        let (bytes, reads) = (self.up_unclaimed.load(Relaxed), self.reads_unclaimed.load(Relaxed));
        self.meter.add_all(self.label(), [(Count::SocketReads, reads), (Count::UpTotal, bytes)]);
        self.up_unclaimed.store(0, Relaxed);
        self.reads_unclaimed.store(0, Relaxed);
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.claim();
        self.meter.add(self.home(), Count::ConnectionsClosed, 1);
        self.open.fetch_sub(1, Relaxed);
    }
}

/// Keeps a connection from being taken for an idle one.
pub(crate) struct Hold(Arc<Gauge>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.phase.store(Phase::Idle as u8, Relaxed);
    }
}

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

/// Most that is read from a client after the last word to it.
const LINGER_BYTES_MAX: usize = 8 << 20;
const LINGER_BUFFER_BYTES: usize = 4 << 10;

pub(crate) struct Socket {
    tcp: TcpStream,
    gauge: Arc<Gauge>,
    patience: Arc<Patience>,
    watch: Option<Watch>,
    stall: Option<Pin<Box<Sleep>>>,
}

/// The reading side's timer, and what was true when it was set.
struct Watch {
    tick: Pin<Box<Sleep>>,
    /// Requests so far, and whether another had begun.
    seen: (u32, bool),
    waited: Duration,
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

    /// Ends our half, and reads what is still on its way: closing with unread bytes would take our last words away from the client.
    pub(crate) async fn linger(&mut self) -> io::Result<()> {
        self.shutdown().await?;
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
        if gauge.is(Phase::Held) {
            self.watch = None;
            return Poll::Pending;
        }
        let header = self.patience.header;
        let now = (gauge.requests.load(Relaxed), gauge.is(Phase::Head));
        let watch = self.watch.get_or_insert_with(|| Watch {
            tick: Box::pin(sleep(header)),
            seen: now,
            waited: Duration::ZERO,
        });
        while watch.tick.as_mut().poll(cx).is_ready() {
            watch.waited = if watch.seen == now { watch.waited + header } else { Duration::ZERO };
            watch.seen = now;
            let (_, in_head) = now;
            if watch.waited >= if in_head { header } else { self.patience.idle } {
                gauge.count(Count::TimedOut);
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            watch.tick.as_mut().reset(Instant::now() + header);
        }
        Poll::Pending
    }

    /// Keeps a write back for as long as the handicap wants.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.gauge.pause_us.load(Relaxed) == 0 {
            return Poll::Ready(());
        }
        let pause = Duration::from_micros(self.gauge.pause_us.load(Relaxed).into());
        ready!(self.stall.get_or_insert_with(|| Box::pin(sleep(pause))).as_mut().poll(cx));
        self.stall = None;
        self.gauge.pause_us.store(0, Relaxed);
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
