//! How the batches of a log are written for a client.

use std::io::Write;

use crate::Framing;

/// What HTTP needs around a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// Nothing.
    None,
    /// The batch is a chunk of a response (RFC 9112 §7.1).
    Chunk,
    /// The batch is the body of a response. The last header, its length, and the empty line come
    /// before it.
    Body,
}

/// The framing of a batch's items, and what is around the batch as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFormat {
    /// How each item is framed.
    pub framing: Framing,
    /// How each batch is wrapped.
    pub wrapping: Wrapping,
}

impl From<Framing> for BatchFormat {
    fn from(framing: Framing) -> Self {
        Self { framing, wrapping: Wrapping::None }
    }
}

impl BatchFormat {
    /// Number of formats.
    pub const COUNT: usize = Framing::COUNT * 3;

    /// Position of this format among all formats, less than [`Self::COUNT`].
    pub const fn index(self) -> usize {
        self.framing as usize * 3 + self.wrapping as usize
    }

    /// Appends a batch of framed items with its wrapping. Returns the bytes of framing that were
    /// added.
    pub fn wrap(self, items: &[u8], out: &mut Vec<u8>) -> usize {
        let (start, len) = (out.len(), items.len());
        let begun = match self.wrapping {
            Wrapping::None => Ok(()),
            Wrapping::Chunk => write!(out, "{len:x}\r\n"),
            Wrapping::Body => write!(out, "content-length: {len}\r\n\r\n"),
        };
        begun.expect("a Vec accepts every write");
        out.extend_from_slice(items);
        match self.wrapping {
            Wrapping::None | Wrapping::Body => 0,
            Wrapping::Chunk => {
                out.extend_from_slice(b"\r\n");
                out.len() - start - len
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(wrapping: Wrapping) -> (usize, String) {
        let mut out = b"x".to_vec();
        let framing = BatchFormat { framing: Framing::JsonLines, wrapping }.wrap(b"0123456789\n", &mut out);
        (framing, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_chunk_begins_with_its_size_and_ends_with_a_line_end() {
        assert_eq!(wrapped(Wrapping::Chunk), (5, "xb\r\n0123456789\n\r\n".into()));
    }

    #[test]
    fn a_body_has_its_length_before_it_which_is_a_header() {
        assert_eq!(wrapped(Wrapping::Body), (0, "xcontent-length: 11\r\n\r\n0123456789\n".into()));
    }

    #[test]
    fn batches_without_wrapping_are_unchanged() {
        assert_eq!(wrapped(Wrapping::None), (0, "x0123456789\n".into()));
    }
}
