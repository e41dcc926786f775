//! Texts of posts: each is a slice of one random buffer, so that creating and checking a text needs
//! no allocation.

use std::fmt;

use super::rng::{Rng, RngStream, hash, scale};

/// Number of offsets at which a text may begin.
const OFFSETS: usize = 1 << 16;
/// 64 characters that need no escape in JSON, a URL or a form.
const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

/// The buffer.
#[derive(PartialEq, Eq)]
pub(crate) struct Texts {
    buffer: String,
    bytes: usize,
    seed: u64,
}

impl Texts {
    /// Texts of this many bytes. With the same seed, a longer text begins with the shorter one.
    pub(crate) fn new(seed: u64, bytes: usize) -> Self {
        let mut chance = Rng::new(seed, RngStream::Texts, 0);
        let buffer = (0..OFFSETS + bytes).map(|_| char::from(ALPHABET[(chance.next() >> 58) as usize])).collect();
        Self { buffer, bytes, seed }
    }

    /// Offset of the text of an author's post in the buffer.
    pub(crate) fn place(&self, author: u32, ordinal: u64) -> usize {
        scale(hash(self.seed, RngStream::TextOffset, author.into(), ordinal), OFFSETS as u64) as usize
    }

    /// The text at an offset.
    pub(crate) fn at(&self, place: usize) -> &str {
        &self.buffer[place..place + self.bytes]
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").field("bytes", &self.bytes).field("seed", &self.seed).finish()
    }
}
