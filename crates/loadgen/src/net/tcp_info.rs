//! The kernel's counts of one socket (`TCP_INFO`): segments and bytes in both directions.

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use nix::{getsockopt_impl, libc};

const IPV4_HEADER_BYTES: u64 = 20;
const IPV6_HEADER_BYTES: u64 = 40;
const TCP_HEADER_BYTES: u64 = 20;
const TIMESTAMP_BYTES: u64 = 12;
const HAS_TIMESTAMPS: u8 = 1;
/// State after the server's FIN, which the kernel counts as a received byte.
const CLOSE_WAIT: u8 = 8;

/// The first fields of the kernel's `struct tcp_info`. The kernel fills as many as fit.
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

/// The socket option `TCP_INFO`.
#[derive(Clone, Copy)]
struct Tcp;

getsockopt_impl!(Tcp, libc::IPPROTO_TCP, libc::TCP_INFO, TcpInfo, GetStruct<TcpInfo>);

/// Counts of one socket, or the sum of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct SocketCounts {
    /// TCP segments sent, acknowledgements without data included.
    pub segments_up: u64,
    /// TCP segments received, acknowledgements without data included.
    pub segments_down: u64,
    /// Bytes of data sent, without retransmissions.
    pub bytes_up: u64,
    /// Bytes of data received, without retransmissions.
    pub bytes_down: u64,
    /// Bytes of TCP and IP headers in a segment with data.
    pub header_bytes_per_segment: u64,
}

impl SocketCounts {
    /// The sum of two counts.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    /// The difference to an earlier count.
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

/// The counts of a socket; zero if the kernel does not report them.
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
    fn the_fields_are_at_the_kernel_s_offsets() {
        assert_eq!(offset_of!(TcpInfo, options), offset_of!(tcp_info, tcpi_options));
        assert_eq!(offset_of!(TcpInfo, bytes_received), offset_of!(tcp_info, tcpi_bytes_received));
        assert_eq!(offset_of!(TcpInfo, segments_out), offset_of!(tcp_info, tcpi_segs_out));
        assert_eq!(offset_of!(TcpInfo, bytes_sent), offset_of!(tcp_info, tcpi_bytes_sent));
        assert_eq!(offset_of!(TcpInfo, bytes_sent_again), offset_of!(tcp_info, tcpi_bytes_retrans));
        assert_eq!(size_of::<TcpInfo>(), offset_of!(tcp_info, tcpi_dsack_dups));
    }
}
