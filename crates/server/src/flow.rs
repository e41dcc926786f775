//! How much of what a session was given is still on its way: back-pressure for a library that has a queue and none of its own.
//!
//! Such a queue takes packets until it is full and refuses the rest, and nobody is told when it has drained. The ways out of it are
//! ours, though: the socket below a WebSocket, and the answer to a poll. Bytes that left there are held against bytes that were given in.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Packets a session may have on their way before its reader waits.
const PACKETS_MAX: u32 = 256;
/// Bytes of them. One packet more than this always goes.
const BYTES_MAX: u64 = 64 << 10;
/// What the queue must hold: what a reader sends, and some for what does not wait (pings, acknowledgements, and packets whose
/// headers make them seem gone a little early).
pub(crate) const QUEUE_PACKETS_MAX: usize = 4 * PACKETS_MAX as usize;

/// What one session has on its way.
#[derive(Default)]
pub(crate) struct Backpressure {
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
    /// A packet of at least so many bytes was given to the session.
    pub(crate) fn queued(&self, bytes: usize) {
        let mut given = self.lock();
        given.bytes += bytes as u64;
        given.packets += 1;
    }

    /// Bytes left, towards the client.
    pub(crate) fn written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, SeqCst);
        self.written_more.notify_waiters();
    }

    /// Waits until the session may be given more.
    pub(crate) async fn has_room(&self) {
        self.wait_until(|given, drained| given.packets < PACKETS_MAX && given.bytes < drained + BYTES_MAX).await;
    }

    /// Waits until all that was given has left.
    pub(crate) async fn is_empty(&self) {
        self.wait_until(|given, _| given.packets == 0).await;
    }

    async fn wait_until(&self, holds: impl Fn(&Queued, u64) -> bool) {
        loop {
            // Made before the look: what drains after that rings it.
            let rung = self.written_more.notified();
            if holds(&self.lock(), self.written.load(SeqCst)) {
                return;
            }
            rung.await;
        }
    }

    /// What was given, begun anew when all of it has left: heart-beats are drained and never given.
    fn lock(&self) -> MutexGuard<'_, Queued> {
        let mut given = self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        let drained = self.written.load(SeqCst);
        if drained >= given.bytes {
            *given = Queued { bytes: drained, packets: 0 };
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_reader_waits_at_either_limit_and_goes_on_when_all_has_left() {
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
        assert!(backpressure.has_room().now_or_never().is_some(), "half-way there is room by bytes");
    }

    #[test]
    fn what_was_drained_and_never_given_opens_no_door() {
        let backpressure = Backpressure::default();
        backpressure.written(1 << 20);
        backpressure.queued(BYTES_MAX as usize);
        assert!(backpressure.has_room().now_or_never().is_none());
    }

    #[tokio::test]
    async fn all_who_wait_are_woken() {
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
