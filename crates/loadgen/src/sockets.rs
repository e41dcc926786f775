//! The crowd's sockets as the kernel counts them. A worker's total at an instant is what its closed sockets came to and what its
//! open ones say; a window is the difference of two totals. What a socket says of its own goodbye after it is closed is not in it.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use nix::{getsockopt_impl, libc};
use slab::Slab;

use crate::link::Link;

const IPV4_HEADER_BYTES: u64 = 20;
const IPV6_HEADER_BYTES: u64 = 40;
const TCP_HEADER_BYTES: u64 = 20;
const TIMESTAMP_BYTES: u64 = 12;
const HAS_TIMESTAMPS: u8 = 1;
/// The server has ended its half; its end takes a number among the bytes received.
const CLOSE_WAIT: u8 = 8;

/// The head of the kernel's `struct tcp_info`, as far as it is looked at. The kernel fills what it is given room for.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct TcpInfo {
    state: u8,
    _to_options: [u8; 4],
    options: u8,
    _scales: [u8; 2],
    _to_pacing: [u32; 24],
    _to_bytes: [u64; 3],
    bytes_received: u64,
    segments_out: u32,
    segments_in: u32,
    _to_bytes_sent: [u32; 4],
    _rates: [u64; 4],
    _delivered: [u32; 2],
    bytes_sent: u64,
    bytes_sent_again: u64,
}

/// The socket option that gives it.
#[derive(Clone, Copy)]
struct Tcp;

getsockopt_impl!(Tcp, libc::IPPROTO_TCP, libc::TCP_INFO, TcpInfo, GetStruct<TcpInfo>);

/// Counts of one socket, or of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SocketCounts {
    /// TCP segments sent, acknowledgements without data included.
    pub segments_up: u64,
    /// TCP segments received, acknowledgements without data included.
    pub segments_down: u64,
    /// Bytes of data in those sent, each once.
    pub bytes_up: u64,
    /// Bytes of data in those received, each once.
    pub bytes_down: u64,
    /// Bytes of TCP and IP headers of a segment with data.
    pub header_bytes_per_segment: u64,
}

impl SocketCounts {
    /// Both together.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    /// What came since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        self.zip(earlier, u64::saturating_sub)
    }

    fn zip(&self, other: &Self, op: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            segments_up: op(self.segments_up, other.segments_up),
            segments_down: op(self.segments_down, other.segments_down),
            bytes_up: op(self.bytes_up, other.bytes_up),
            bytes_down: op(self.bytes_down, other.bytes_down),
            header_bytes_per_segment: self.header_bytes_per_segment.max(other.header_bytes_per_segment),
        }
    }
}

impl From<TcpInfo> for SocketCounts {
    fn from(info: TcpInfo) -> Self {
        let timestamps = if info.options & HAS_TIMESTAMPS != 0 { TIMESTAMP_BYTES } else { 0 };
        Self {
            segments_up: info.segments_out.into(),
            segments_down: info.segments_in.into(),
            bytes_up: info.bytes_sent.saturating_sub(info.bytes_sent_again),
            bytes_down: info.bytes_received.saturating_sub(u64::from(info.state == CLOSE_WAIT)),
            header_bytes_per_segment: TCP_HEADER_BYTES + timestamps,
        }
    }
}

/// A worker's sockets.
#[derive(Default)]
pub(crate) struct Sockets {
    open: RefCell<Slab<Weak<Link>>>,
    closed: Cell<SocketCounts>,
}

/// A socket's place among those that are open.
pub(crate) struct Entry {
    sockets: Rc<Sockets>,
    key: usize,
}

impl Sockets {
    pub(crate) fn enter(self: &Rc<Self>, link: &Weak<Link>) -> Entry {
        Entry { sockets: Rc::clone(self), key: self.open.borrow_mut().insert(Weak::clone(link)) }
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
            total = open.by_ref().take(SLICE).fold(total, |total, link| total.plus(&link.counts()));
            between().await;
        }
        total
    }
}

/// Sockets read in one go: together they take about as long as a handful of messages.
const SLICE: usize = 32;

impl Entry {
    /// The socket is about to be closed.
    pub(crate) fn leave(&self, last: &SocketCounts) {
        self.sockets.open.borrow_mut().remove(self.key);
        self.sockets.closed.set(self.sockets.closed.get().plus(last));
    }
}

/// What the kernel says of a socket; nothing where it cannot be asked.
pub(crate) fn counts(stream: &tokio::net::TcpStream) -> SocketCounts {
    let Ok(info) = getsockopt(stream, Tcp) else { return SocketCounts::default() };
    let mut counts = SocketCounts::from(info);
    let is_ipv4 = stream.local_addr().is_ok_and(|address| address.is_ipv4());
    counts.header_bytes_per_segment += if is_ipv4 { IPV4_HEADER_BYTES } else { IPV6_HEADER_BYTES };
    counts
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use nix::libc::tcp_info;

    use super::*;

    #[test]
    fn our_head_of_the_kernel_s_struct_is_its_head() {
        assert_eq!(offset_of!(TcpInfo, options), offset_of!(tcp_info, tcpi_options));
        assert_eq!(offset_of!(TcpInfo, bytes_received), offset_of!(tcp_info, tcpi_bytes_received));
        assert_eq!(offset_of!(TcpInfo, segments_out), offset_of!(tcp_info, tcpi_segs_out));
        assert_eq!(offset_of!(TcpInfo, bytes_sent), offset_of!(tcp_info, tcpi_bytes_sent));
        assert_eq!(offset_of!(TcpInfo, bytes_sent_again), offset_of!(tcp_info, tcpi_bytes_retrans));
        assert_eq!(size_of::<TcpInfo>(), offset_of!(tcp_info, tcpi_dsack_dups));
    }

    #[tokio::test]
    async fn sockets_count_while_they_are_open_and_after_they_are_closed() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (sockets, scratch) = (Rc::new(Sockets::default()), RefCell::new(vec![0; 64]));
        let mut links = Vec::new();
        // More than are read in one go.
        for _ in 0..SLICE + 3 {
            let opened = crate::link::open(listener.local_addr().unwrap(), None, &sockets);
            let (reading, accepted) = tokio::join!(opened, listener.accept());
            let (mut reading, (mut server, _)) = (reading.unwrap(), accepted.unwrap());
            reading.link().send(b"hello").unwrap();
            server.write_all(b"hey").await.unwrap();
            server.read_exact(&mut [0; 5]).await.unwrap();
            assert_eq!(reading.fill(&scratch).await.unwrap(), 3);
            // The end of the server's half is no byte of data.
            server.shutdown().await.unwrap();
            assert_eq!(reading.fill(&scratch).await.unwrap(), 0);
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
