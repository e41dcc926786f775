//! Texts that carry their own address, for servers that do not number messages: a text begins with
//! `pb.<run>.<author>.<ordinal>.`, which no encoder of JSON, HTML, URLs or forms changes.

use super::Plan;
use super::rng::{RngStream, hash};

/// A payload of this size holds every marker and some text.
pub(super) const MARKED_BYTES_MIN: usize = 32;
const RUN_LETTERS: usize = 6;
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

impl Plan {
    /// The beginning of all markers of a run: `pb.<run>.`. It differs from that of earlier runs.
    pub fn marker(&self) -> String {
        let prefix = self.room_prefix.as_str().bytes().fold(0, |sum: u64, byte| sum << 8 | u64::from(byte));
        let mut bits = hash(self.draw.seed, RngStream::Marker, prefix, 0);
        let mut letters = String::with_capacity(RUN_LETTERS);
        for _ in 0..RUN_LETTERS {
            letters.push(char::from(LETTERS[(bits % LETTERS.len() as u64) as usize]));
            bits /= LETTERS.len() as u64;
        }
        format!("pb.{letters}.")
    }

    /// What follows the marker of a post, so that both together have the size of a payload.
    pub fn text_after_marker(&self, author: u32, ordinal: u64, marker_bytes: usize) -> &str {
        &self.text(author, ordinal)[..self.payload_bytes.saturating_sub(marker_bytes)]
    }
}
