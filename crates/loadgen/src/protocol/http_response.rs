//! A reader of HTTP/1.0 and HTTP/1.1 responses, whose bodies have a length, are chunked or end with
//! the connection.

use super::http_head::{LENGTH_MAX, Length, parse_head};
use crate::error::Fault;
use results::FaultKind;

pub(crate) use super::http_head::{Head, headers_of, retry_after};

const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most interim responses (1xx) before the final one.
const INTERIM_MAX: u32 = 100;
/// Longest line of a chunk's size and extensions.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Most bytes of trailers.
const TRAILER_BYTES_MAX: usize = 16 << 10;
/// The connection continues in another protocol.
const SWITCHING_PROTOCOLS: u16 = 101;

/// A part of a response, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// The head, parsed and as bytes.
    Head(Head, &'a [u8]),
    Body(&'a [u8]),
    /// Bytes of chunk sizes, trailers and their line ends.
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
    /// With the bytes of the trailers so far.
    Trailer(usize),
}

/// Reads consecutive responses of a connection.
#[derive(Debug)]
pub(crate) struct ResponseReader {
    state: State,
    kept: Vec<u8>,
    /// Number of interim responses so far, and their bytes.
    interim: (u32, usize),
}

impl ResponseReader {
    pub(crate) const fn new() -> Self {
        Self { state: State::Head, kept: Vec::new(), interim: (0, 0) }
    }

    /// Whether the end of the connection would complete the response.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Reads to the end of the response and returns how many bytes were read; all of them if it
    /// goes on.
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
                State::ChunkSize | State::ChunkEnd | State::Trailer(_) => self.read_line(&mut rest, &mut on_part)?,
            };
            if ended {
                on_part(Part::End)?;
                return Ok(bytes.len() - rest.len());
            }
            debug_assert!(rest.len() < before, "every step reads something");
        }
        Ok(bytes.len())
    }

    fn read_head<E: From<Fault>>(
        &mut self,
        rest: &mut &[u8],
        on_part: &mut impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut kept = std::mem::take(&mut self.kept);
        let kept_before = kept.len();
        let bytes = if kept_before == 0 {
            *rest
        } else {
            kept.extend_from_slice(rest);
            &kept
        };
        let parsed = parse_head(bytes)?;
        if parsed.as_ref().map_or(bytes.len(), |(head, _)| head.bytes) > HEAD_BYTES_MAX {
            return Err(bad(format!("a response head of more than {HEAD_BYTES_MAX} bytes")).into());
        }
        let Some((mut head, length)) = parsed else {
            self.kept = if kept_before == 0 { rest.to_vec() } else { kept };
            *rest = &[];
            return Ok(false);
        };
        let written = &bytes[..head.bytes];
        *rest = &rest[head.bytes - kept_before..];
        if matches!(head.status, 100..=199) && head.status != SWITCHING_PROTOCOLS {
            self.interim = (self.interim.0 + 1, self.interim.1 + head.bytes);
            if self.interim.0 > INTERIM_MAX {
                return Err(bad(format!("more than {INTERIM_MAX} interim responses")).into());
            }
            return Ok(false);
        }
        head.bytes += std::mem::take(&mut self.interim).1;
        on_part(Part::Head(head, written))?;
        self.state = match length {
            Length::Bytes(0) => State::Head,
            Length::Bytes(bytes) => State::Sized(bytes),
            Length::Chunked => State::ChunkSize,
            Length::UntilClose => State::UntilClose,
        };
        Ok(self.state == State::Head)
    }

    fn read_line<E: From<Fault>>(
        &mut self,
        rest: &mut &[u8],
        on_part: &mut impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let end = memchr::memchr(b'\n', rest);
        let (head, tail) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        *rest = tail;
        let (max, what) = match self.state {
            State::Trailer(before) => {
                (TRAILER_BYTES_MAX - before, format!("trailers of more than {TRAILER_BYTES_MAX} bytes"))
            }
            _ => (CHUNK_LINE_BYTES_MAX, format!("a chunk size of more than {CHUNK_LINE_BYTES_MAX} bytes")),
        };
        if self.kept.len() + head.len() > max {
            return Err(bad(what).into());
        }
        if end.is_none() {
            self.kept.extend_from_slice(head);
            return Ok(false);
        }
        let mut kept = std::mem::take(&mut self.kept);
        let line = if kept.is_empty() {
            head
        } else {
            kept.extend_from_slice(head);
            &kept
        };
        self.state = self.after_line(line)?;
        on_part(Part::Framing(line.len()))?;
        Ok(self.state == State::Head)
    }

    /// The state after a line of chunked framing.
    fn after_line(&self, line: &[u8]) -> Result<State, Fault> {
        let text = line.strip_suffix(b"\r\n").ok_or_else(|| bad("a chunk line that ends without CR LF"))?;
        match self.state {
            State::ChunkEnd if text.is_empty() => Ok(State::ChunkSize),
            State::ChunkEnd => Err(bad("a chunk that is longer than its size")),
            State::Trailer(_) if text.is_empty() => Ok(State::Head),
            State::Trailer(before) => Ok(State::Trailer(before + line.len())),
            State::ChunkSize | State::Head | State::Sized(_) | State::UntilClose | State::Chunk(_) => {
                // The parser accepts an empty line as a size.
                let sized = text.first().is_some_and(u8::is_ascii_hexdigit);
                match httparse::parse_chunk_size(line) {
                    Ok(httparse::Status::Complete((_, 0))) if sized => Ok(State::Trailer(0)),
                    Ok(httparse::Status::Complete((_, size))) if sized && size <= LENGTH_MAX => Ok(State::Chunk(size)),
                    _ => Err(bad("a chunk without a size")),
                }
            }
        }
    }
}

fn split(bytes: &[u8], at: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len()))
}

fn bad(what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::BadBytes, what)
}

#[cfg(test)]
mod tests;
