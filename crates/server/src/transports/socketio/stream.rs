//! The byte stream that socketioxide reads and writes as a WebSocket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::{Connection, CountedStream};

/// Maximum number of bytes that are read at once while a WebSocket is probed.
const READ_AHEAD_BYTES: usize = 256;
/// `2probe` and `5` as frames of a client, with a mask of zeros.
const PROBE_FRAMES: &[u8] = b"\x81\x86\0\0\0\x002probe\x81\x81\0\0\0\x005";
/// Size of `3probe` as a frame of the server.
const PROBE_ANSWER_BYTES: usize = 8;

/// A socket with bytes to read before its own.
pub(super) struct Stream {
    socket: CountedStream,
    /// Bytes that are returned before the socket is read.
    unread: Bytes,
    /// Whether a read returns one byte at most. A reader of frames then takes no byte behind a
    /// frame.
    reads_bytes: bool,
    /// Number of written bytes still to be discarded.
    discard_bytes: usize,
}

impl Stream {
    pub(super) fn new(socket: CountedStream) -> Self {
        Self { socket, unread: Bytes::new(), reads_bytes: false, discard_bytes: 0 }
    }

    /// A stream for the probe, which another reader continues after it.
    pub(super) fn to_probe(socket: CountedStream) -> Self {
        Self { reads_bytes: true, ..Self::new(socket) }
    }

    /// The stream for a reader that does the probe again: it reads the probe's frames, and its
    /// answer is discarded.
    pub(super) fn after_probe(self) -> Self {
        let unread = [PROBE_FRAMES, &self.unread].concat().into();
        Self { socket: self.socket, unread, reads_bytes: false, discard_bytes: PROBE_ANSWER_BYTES }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.socket.connection()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.unread.is_empty() {
            if !stream.reads_bytes {
                return Pin::new(&mut stream.socket).poll_read(cx, buffer);
            }
            let mut ahead = [0; READ_AHEAD_BYTES];
            let mut ahead = ReadBuf::new(&mut ahead);
            ready!(Pin::new(&mut stream.socket).poll_read(cx, &mut ahead))?;
            stream.unread = Bytes::copy_from_slice(ahead.filled());
        }
        let bytes_max = if stream.reads_bytes { 1 } else { buffer.remaining() };
        buffer.put_slice(&stream.unread.split_to(bytes_max.min(stream.unread.len())));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        if stream.discard_bytes > 0 {
            let discarded = stream.discard_bytes.min(bytes.len());
            stream.discard_bytes -= discarded;
            return Poll::Ready(Ok(discarded));
        }
        Pin::new(&mut stream.socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
