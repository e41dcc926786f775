//! Reading HTTP/1.1 responses: heads by `httparse`, bodies sized, chunked or until the end of the connection.

use std::mem::MaybeUninit;

use wire::CURSOR_HEADER;

use crate::fault::Fault;
use results::FaultKind;

const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// What of a head matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes of status line and headers, the empty line included.
    pub(crate) bytes: usize,
    /// The cursor a polling client is told when it asked without one.
    pub(crate) cursor: Option<u64>,
    /// The server will close the connection.
    pub(crate) closes: bool,
}

/// A piece of a response, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Head(Head),
    Body(&'a [u8]),
    /// Bytes of chunk sizes and their line ends.
    Framing(usize),
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Sized(u64),
    UntilClose,
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
}

/// Reads one response after the other from a connection.
#[derive(Debug)]
pub(crate) struct ResponseReader {
    state: State,
    kept: Vec<u8>,
}

impl ResponseReader {
    pub(crate) const fn new() -> Self {
        Self { state: State::Head, kept: Vec::new() }
    }

    /// Whether the end of the connection is now the end of the response.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Takes bytes up to the end of the response and returns how many that were; all of them when it goes on.
    pub(crate) fn feed<E: From<Fault>>(
        &mut self,
        bytes: &[u8],
        mut on_part: impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let before = rest.len();
            let ended = match self.state {
                State::Head => self.read_head(&mut rest, &mut on_part)?,
                State::Sized(left) => {
                    let (part, more) = split(rest, left);
                    rest = more;
                    on_part(Part::Body(part))?;
                    let left = left - part.len() as u64;
                    self.state = if left == 0 { State::Head } else { State::Sized(left) };
                    left == 0
                }
                State::UntilClose => {
                    on_part(Part::Body(std::mem::take(&mut rest)))?;
                    false
                }
                State::Chunk(left) => {
                    let (part, more) = split(rest, left);
                    rest = more;
                    on_part(Part::Body(part))?;
                    let left = left - part.len() as u64;
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    false
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.read_line(&mut rest, &mut on_part)?,
            };
            if ended {
                on_part(Part::End)?;
                return Ok(bytes.len() - rest.len());
            }
            debug_assert!(rest.len() < before, "every step takes something");
        }
        Ok(bytes.len())
    }

    fn read_head<E: From<Fault>>(
        &mut self,
        rest: &mut &[u8],
        on_part: &mut impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let kept_before = self.kept.len();
        let parsed = if kept_before == 0 {
            parse_head(rest)?
        } else {
            self.kept.extend_from_slice(rest);
            parse_head(&self.kept)?
        };
        let Some((head, body)) = parsed else {
            if kept_before == 0 {
                self.kept.extend_from_slice(rest);
            }
            *rest = &[];
            if self.kept.len() > HEAD_BYTES_MAX {
                return Err(bad("a response head without end").into());
            }
            return Ok(false);
        };
        *rest = &rest[head.bytes - kept_before..];
        self.kept = Vec::new();
        if head.status == 100 {
            return Ok(false);
        }
        on_part(Part::Head(head))?;
        self.state = body;
        if matches!(body, State::Sized(0)) {
            self.state = State::Head;
            return Ok(true);
        }
        Ok(false)
    }

    fn read_line<E: From<Fault>>(
        &mut self,
        rest: &mut &[u8],
        on_part: &mut impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            self.kept.extend_from_slice(rest);
            *rest = &[];
            if self.kept.len() > CHUNK_LINE_BYTES_MAX {
                return Err(bad("a chunk size without end").into());
            }
            return Ok(false);
        };
        let (head, tail) = rest.split_at(end + 1);
        *rest = tail;
        let (size, bytes) = if self.kept.is_empty() {
            (self.line(head)?, head.len())
        } else {
            let mut kept = std::mem::take(&mut self.kept);
            kept.extend_from_slice(head);
            (self.line(&kept)?, kept.len())
        };
        on_part(Part::Framing(bytes))?;
        self.state = size;
        Ok(size == State::Head)
    }

    /// The state behind a line of chunked framing.
    fn line(&self, line: &[u8]) -> Result<State, Fault> {
        let text = line.strip_suffix(b"\r\n").ok_or_else(|| bad("a chunk line that ends without CR LF"))?;
        match self.state {
            State::ChunkEnd if text.is_empty() => Ok(State::ChunkSize),
            State::ChunkEnd => Err(bad("a chunk that is longer than it said")),
            State::Trailer if text.is_empty() => Ok(State::Head),
            State::Trailer => Ok(State::Trailer),
            State::ChunkSize | State::Head | State::Sized(_) | State::UntilClose | State::Chunk(_) => {
                match httparse::parse_chunk_size(line) {
                    Ok(httparse::Status::Complete((_, 0))) => Ok(State::Trailer),
                    Ok(httparse::Status::Complete((_, size))) => Ok(State::Chunk(size)),
                    _ => Err(bad("a chunk without a size")),
                }
            }
        }
    }
}

fn split(bytes: &[u8], at: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len()))
}

fn bad(what: &str) -> Fault {
    Fault::new(FaultKind::BadBytes, what)
}

fn parse_head(bytes: &[u8]) -> Result<Option<(Head, State)>, Fault> {
    // Not cleared first: that would take as long as the parsing.
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, bytes, &mut headers)
        .map_err(|error| bad(&format!("not a response head: {error}")))?;
    let httparse::Status::Complete(bytes) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or(0);
    let mut head = Head { status, bytes, cursor: None, closes: false };
    let mut body = State::UntilClose;
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or("");
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = value.trim().parse().map_err(|_| bad("a content length that is no number"))?;
            body = if body == State::ChunkSize { body } else { State::Sized(length) };
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            body = State::ChunkSize;
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.closes = value.eq_ignore_ascii_case("close");
        } else if header.name.eq_ignore_ascii_case(CURSOR_HEADER) {
            head.cursor = Some(wire::parse_after(CURSOR_HEADER, value).map_err(|problem| bad(&problem.to_string()))?);
        }
    }
    if matches!(status, 100..=199 | 204 | 304) {
        body = State::Sized(0);
    }
    head.closes |= body == State::UntilClose;
    Ok(Some((head, body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Default, PartialEq, Eq, Clone)]
    struct Seen {
        heads: Vec<(u16, Option<u64>, bool)>,
        bodies: Vec<Vec<u8>>,
        ends: usize,
        head_bytes: usize,
        framing: usize,
    }

    fn read(chunks: &[&[u8]]) -> Result<Seen, Fault> {
        let mut reader = ResponseReader::new();
        let mut seen = Seen::default();
        for chunk in chunks {
            let mut rest = *chunk;
            while !rest.is_empty() {
                let taken = reader.feed(rest, |part| {
                    match part {
                        Part::Head(head) => {
                            seen.heads.push((head.status, head.cursor, head.closes));
                            seen.head_bytes += head.bytes;
                            seen.bodies.push(Vec::new());
                        }
                        Part::Body(bytes) => seen.bodies.last_mut().unwrap().extend_from_slice(bytes),
                        Part::Framing(bytes) => seen.framing += bytes,
                        Part::End => seen.ends += 1,
                    }
                    Ok::<_, Fault>(())
                })?;
                rest = &rest[taken..];
            }
        }
        Ok(seen)
    }

    const THREE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\npushbench-cursor: 42\r\n\r\nabc\
        HTTP/1.1 204 No Content\r\n\r\n\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";

    #[test]
    fn sized_empty_and_chunked() {
        let seen = read(&[THREE]).unwrap();
        assert_eq!(seen.heads, [(200, Some(42), false), (204, None, false), (200, None, true)]);
        assert_eq!(seen.bodies, [b"abc".to_vec(), vec![], b"hello0123456789".to_vec()]);
        assert_eq!((seen.ends, seen.framing), (3, 3 + 2 + 7 + 2 + 3 + 2));
        assert_eq!(seen.head_bytes + seen.framing + 3 + 15, THREE.len());
    }

    #[test]
    fn split_at_every_byte() {
        let whole = read(&[THREE]).unwrap();
        for cut in 0..THREE.len() {
            assert_eq!(read(&[&THREE[..cut], &THREE[cut..]]).unwrap(), whole, "cut at {cut}");
        }
        assert_eq!(read(&THREE.chunks(1).collect::<Vec<_>>()).unwrap(), whole);
    }

    #[test]
    fn bad_bytes_are_named() {
        for (bytes, error) in [
            (&b"SSH-2.0-OpenSSH\r\n"[..], "not a response head"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "a content length that is no number"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "a chunk without a size"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", "longer than it said"),
        ] {
            let fault = read(&[bytes]).unwrap_err();
            assert!(fault.detail.contains(error) && fault.kind == FaultKind::BadBytes, "{fault}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            crate::fuzz::response(&bytes);
            crate::fuzz::response(&[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &bytes[..]].concat());
        }
    }
}
