//! What was sent and received, for a client that tries a server out.

use std::cell::RefCell;

/// Most bytes that are kept of one write or read.
const KEPT_BYTES_MAX: usize = 2000;

/// One write or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// The client.
    pub client: u32,
    /// Whether it was sent; otherwise received.
    pub sent: bool,
    /// Its first bytes.
    pub bytes: Vec<u8>,
    /// How many there were.
    pub total: usize,
}

/// Writes and reads in their order.
#[derive(Debug, Default)]
pub(crate) struct Trace(RefCell<Vec<Traced>>);

impl Trace {
    pub(crate) fn note(&self, client: u32, sent: bool, bytes: &[u8]) {
        let kept = bytes[..bytes.len().min(KEPT_BYTES_MAX)].to_vec();
        self.0.borrow_mut().push(Traced { client, sent, bytes: kept, total: bytes.len() });
    }

    pub(crate) fn take(&self) -> Vec<Traced> {
        self.0.take()
    }
}
