//! Sockets without a library: counted bytes, hand-written HTTP, WebSocket frames bit by bit.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::test_server::within;

/// The sample handshake key of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) struct Raw {
    socket: TcpStream,
    unread: Vec<u8>,
    /// Bytes sent and received so far.
    pub(crate) up: u64,
    pub(crate) down: u64,
}

/// An HTTP response, or the head of a streamed one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A WebSocket frame as sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WsFrame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl WsFrame {
    pub(crate) const CLOSE: u8 = 8;
    pub(crate) const PING: u8 = 9;
    pub(crate) const PONG: u8 = 10;

    /// The code of a close frame.
    pub(crate) fn code(&self) -> Option<u16> {
        let code = self.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        code.filter(|_| self.opcode == Self::CLOSE)
    }
}

/// A client's frame: `first` is the byte with FIN and opcode.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        long => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = within("a connection", TcpStream::connect(address)).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, unread: Vec::new(), up: 0, down: 0 }
    }

    /// A client with the smallest receive buffer that the kernel allows.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let socket = within("a connection", socket.connect(address)).await.unwrap();
        Self { socket, unread: Vec::new(), up: 0, down: 0 }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        within("a write to go through", self.socket.write_all(bytes)).await?;
        self.up += bytes.len() as u64;
        Ok(())
    }

    /// Shuts down the write side. The read side stays open.
    pub(crate) async fn finish(&mut self) {
        // The peer may have closed the connection already.
        self.socket.shutdown().await.ok();
    }

    /// Reads more bytes. Returns false at the end of the connection, with or without an error.
    async fn more(&mut self) -> bool {
        let n = within("bytes or the end of the connection", self.socket.read_buf(&mut self.unread)).await.unwrap_or(0);
        self.down += n as u64;
        n > 0
    }

    /// Reads everything until the server closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.unread)
    }

    /// Whether the server sends nothing more and closes the connection without a reset.
    pub(crate) async fn ends(&mut self) -> bool {
        let reading = self.socket.read_buf(&mut self.unread);
        matches!(within("the end of the connection", reading).await, Ok(0)) && self.unread.is_empty()
    }

    pub(crate) async fn take(&mut self, n: usize) -> Vec<u8> {
        while self.unread.len() < n {
            assert!(self.more().await, "closed after {} of {n} expected bytes", self.unread.len());
        }
        self.unread.drain(..n).collect()
    }

    pub(crate) async fn take_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                return self.unread.drain(..at + end.len()).collect();
            }
            let so_far = String::from_utf8_lossy(&self.unread).into_owned();
            assert!(self.more().await, "closed before {:?}, after {so_far:?}", String::from_utf8_lossy(end));
        }
    }

    /// Sends a request with these header lines and reads the head of its response.
    pub(crate) async fn begin(&mut self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        self.send(format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n{body}")).await;
        self.head().await
    }

    pub(crate) async fn head(&mut self) -> Answer {
        let head = String::from_utf8(self.take_until(b"\r\n\r\n").await).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: Vec::new() }
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn ask(&mut self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let answer = self.begin(method, target, headers, body).await;
        self.whole(answer).await
    }

    /// The body after a head with a content-length.
    pub(crate) async fn whole(&mut self, mut answer: Answer) -> Answer {
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body = self.take(length).await;
        answer
    }

    /// One chunk of a chunked body. It is empty at the end.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let size = self.take_until(b"\r\n").await;
        let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim(), 16).unwrap();
        let mut chunk = self.take(size + 2).await;
        chunk.truncate(size);
        chunk
    }

    /// Opens a WebSocket and reads the joined item, in any encoding.
    pub(crate) async fn upgrade(&mut self, target: &str) -> Answer {
        self.upgrade_to(target, "").await
    }

    /// Opens a WebSocket with more header lines.
    pub(crate) async fn upgrade_to(&mut self, target: &str, more: &str) -> Answer {
        let headers = format!(
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n{more}"
        );
        let answer = self.begin("GET", target, &headers, "").await;
        if answer.status != 101 {
            return self.whole(answer).await;
        }
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
        answer
    }

    /// The next frame from the server, or `None` when it has closed the connection.
    pub(crate) async fn frame(&mut self) -> Option<WsFrame> {
        while self.unread.len() < 2 {
            if !self.more().await {
                return None;
            }
        }
        let head = self.take(2).await;
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        assert_eq!(head[0] & 0xf0, 0x80, "the server does not fragment and has no extensions");
        let len = match head[1] {
            126 => usize::from(u16::from_be_bytes(self.take(2).await.try_into().unwrap())),
            127 => usize::try_from(u64::from_be_bytes(self.take(8).await.try_into().unwrap())).unwrap(),
            short => usize::from(short),
        };
        Some(WsFrame { opcode: head[0] & 0x0f, payload: self.take(len).await })
    }

    /// Reads frames until the server closes. Returns the code of its close frame.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        while let Some(frame) = self.frame().await {
            if frame.opcode == WsFrame::CLOSE {
                return frame.code();
            }
        }
        None
    }
}
