//! How the batches of a log are written for a client.

use std::io::Write;

use crate::Framing;

/// The framing of a batch's items, and whether the batch as a whole is a chunk of an HTTP response
/// (RFC 9112 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFormat {
    /// How each item is framed.
    pub framing: Framing,
    /// Whether each batch is wrapped into an HTTP chunk.
    pub chunked: bool,
}

impl From<Framing> for BatchFormat {
    fn from(framing: Framing) -> Self {
        Self { framing, chunked: false }
    }
}

impl BatchFormat {
    /// Number of formats.
    pub const COUNT: usize = Framing::COUNT * 2;

    /// Position of this format among all formats, less than [`Self::COUNT`].
    pub const fn index(self) -> usize {
        self.framing as usize * 2 + self.chunked as usize
    }

    /// Appends a batch of framed items, as a chunk if the format is chunked. Returns the bytes that
    /// were added around the items.
    pub fn wrap(self, items: &[u8], out: &mut Vec<u8>) -> usize {
        let start = out.len();
        if self.chunked {
            write!(out, "{:x}\r\n", items.len()).expect("a Vec accepts every write");
        }
        out.extend_from_slice(items);
        if self.chunked {
            out.extend_from_slice(b"\r\n");
        }
        out.len() - start - items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_begins_with_its_size_and_ends_with_a_line_end() {
        let mut out = b"x".to_vec();
        let format = BatchFormat { framing: Framing::JsonLines, chunked: true };
        assert_eq!(format.wrap(b"0123456789\n", &mut out), 5);
        assert_eq!(out, b"xb\r\n0123456789\n\r\n");
    }

    #[test]
    fn batches_that_are_not_chunked_are_unchanged() {
        let mut out = Vec::new();
        assert_eq!(BatchFormat::from(Framing::JsonLines).wrap(b"{}\n", &mut out), 0);
        assert_eq!(out, b"{}\n");
    }
}
