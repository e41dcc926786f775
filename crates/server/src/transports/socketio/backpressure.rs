//! Backpressure for socketioxide, which has a queue per session but does not report when it drains.
//!
//! The queue accepts packets until it is full and refuses the rest. Its packets leave through the
//! socket of the WebSocket or through the response to a poll, where the server counts the bytes.
//! The difference between queued and written bytes is what the session has in flight.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Packets in flight at which the forwarder waits.
const PACKETS_MAX: u32 = 256;
/// Bytes in flight at which the forwarder waits. The last packet may exceed them.
const BYTES_MAX: u64 = 64 << 10;
/// Capacity of the queue: the packets of the forwarder, and a reserve for packets that do not wait
/// (pings and acknowledgements) and for those that count as written too early because of frame
/// headers.
pub(super) const QUEUE_PACKETS_MAX: usize = 4 * PACKETS_MAX as usize;

/// The packets of one session that are in flight.
#[derive(Default)]
pub(super) struct Backpressure {
    queued: Mutex<Queued>,
    written: AtomicU64,
    written_more: Notify,
}

#[derive(Default)]
struct Queued {
    bytes: u64,
    packets: u32,
}

impl Backpressure {
    /// A packet of at least `bytes` bytes was queued.
    pub(super) fn queued(&self, bytes: usize) {
        let mut queued = self.lock();
        queued.bytes += bytes as u64;
        queued.packets += 1;
    }

    /// `bytes` bytes were written to the client.
    pub(super) fn written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, SeqCst);
        self.written_more.notify_waiters();
    }

    /// Waits until a packet may be queued.
    pub(super) async fn has_room(&self) {
        self.wait_until(|queued, written| queued.packets < PACKETS_MAX && queued.bytes < written + BYTES_MAX).await;
    }

    /// Waits until everything queued is written.
    pub(super) async fn is_empty(&self) {
        self.wait_until(|queued, _| queued.packets == 0).await;
    }

    async fn wait_until(&self, holds: impl Fn(&Queued, u64) -> bool) {
        loop {
            // Created before the check, so that a write in between is not missed.
            let notified = self.written_more.notified();
            if holds(&self.lock(), self.written.load(SeqCst)) {
                return;
            }
            notified.await;
        }
    }

    /// The queued packets. The count starts again when all are written, because heartbeats are
    /// written without being queued.
    fn lock(&self) -> MutexGuard<'_, Queued> {
        let mut queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        let written = self.written.load(SeqCst);
        if written >= queued.bytes {
            *queued = Queued { bytes: written, packets: 0 };
        }
        queued
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_forwarder_waits_at_either_limit_and_continues_after_the_writes() {
        let backpressure = Backpressure::default();
        for _ in 0..PACKETS_MAX {
            assert!(backpressure.has_room().now_or_never().is_some());
            backpressure.queued(10);
        }
        assert!(backpressure.has_room().now_or_never().is_none());
        backpressure.written(10 * PACKETS_MAX as usize - 1);
        assert!(backpressure.has_room().now_or_never().is_none() && backpressure.is_empty().now_or_never().is_none());
        backpressure.written(1);
        assert!(backpressure.has_room().now_or_never().is_some() && backpressure.is_empty().now_or_never().is_some());
        backpressure.queued(BYTES_MAX as usize);
        assert!(backpressure.has_room().now_or_never().is_none());
        backpressure.written(1);
        assert!(backpressure.has_room().now_or_never().is_some(), "fewer bytes than the limit are in flight");
    }

    #[test]
    fn bytes_written_without_being_queued_make_no_room() {
        let backpressure = Backpressure::default();
        backpressure.written(1 << 20);
        backpressure.queued(BYTES_MAX as usize);
        assert!(backpressure.has_room().now_or_never().is_none());
    }

    #[tokio::test]
    async fn all_waiting_tasks_are_woken() {
        let backpressure = Arc::new(Backpressure::default());
        backpressure.queued(BYTES_MAX as usize);
        let (one, other) = (Arc::clone(&backpressure), Arc::clone(&backpressure));
        let waiting =
            [tokio::spawn(async move { one.is_empty().await }), tokio::spawn(async move { other.has_room().await })];
        tokio::task::yield_now().await;
        backpressure.written(BYTES_MAX as usize);
        for waiting in waiting {
            waiting.await.unwrap();
        }
    }
}
