//! How far a session's upgrade has come, and the poll that it has to end.

use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::time::Duration;

use socketioxide::socket::Sid;
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;
use wire::ErrorBody;

use crate::refusal::Refusal;

/// How long a poll is held after the probe. A client whose upgrade waits for this poll loses that
/// time; a client that goes on with polling gets 50 answers per second at most.
const POLL_HOLD: Duration = Duration::from_millis(20);
/// Stages of an upgrade: no WebSocket names the session.
const POLLING: u8 = 0;
/// A WebSocket is open.
const OPENED: u8 = 1;
/// The server has answered the probe.
const PROBED: u8 = 2;
/// The client has sent `5`: the session is on the WebSocket.
const UPGRADED: u8 = 3;

/// The stage of a session's upgrade, and the poll it has to end.
#[derive(Default)]
pub(super) struct UpgradeState {
    stage: AtomicU8,
    /// Locked while a poll is in progress.
    poll: Mutex<()>,
    /// Notified when the poll in progress has to end, or else the next one.
    poll_ends: Notify,
}

impl UpgradeState {
    /// Runs a poll. Returns `None` when the poll has to end without packets.
    pub(super) async fn poll<T>(&self, sid: Sid, poll: impl Future<Output = T>) -> Result<Option<T>, Refusal> {
        // Of two polls at the same time, the library refuses the second.
        let _in_progress = self.poll.try_lock();
        if self.stage.load(SeqCst) == UPGRADED {
            return Err(websocket_exists(sid));
        }
        tokio::select! {
            biased;
            answer = poll => Ok(Some(answer)),
            () = self.poll_has_to_end() => Ok(None),
        }
    }

    async fn poll_has_to_end(&self) {
        let notified = self.poll_ends.notified();
        match self.stage.load(SeqCst) {
            POLLING | OPENED => notified.await,
            _ => timeout(POLL_HOLD, notified).await.unwrap_or_default(),
        }
    }

    /// A WebSocket names the session. Another one is refused.
    pub(super) fn open(&self, sid: Sid) -> Result<(), Refusal> {
        self.stage.compare_exchange(POLLING, OPENED, SeqCst, SeqCst).map_err(|_| websocket_exists(sid))?;
        Ok(())
    }

    /// The server has answered the probe.
    pub(super) fn probed(&self) {
        self.enter(PROBED);
    }

    /// The client has completed the upgrade. Returns when no poll is in progress.
    pub(super) async fn upgraded(&self) {
        self.enter(UPGRADED);
        drop(self.poll.lock().await);
    }

    /// The WebSocket has closed. A session that was not upgraded stays on polling.
    pub(super) fn abandon(&self) {
        if self.stage.load(SeqCst) != UPGRADED {
            self.stage.store(POLLING, SeqCst);
        }
    }

    fn enter(&self, stage: u8) {
        self.stage.store(stage, SeqCst);
        self.end_poll();
    }

    /// Ends the poll in progress, or else the next one.
    pub(super) fn end_poll(&self) {
        self.poll_ends.notify_one();
    }
}

fn websocket_exists(sid: Sid) -> Refusal {
    let error = "this session has a WebSocket already";
    Refusal::bad_request(ErrorBody::new(
        "sid",
        sid.as_str(),
        error,
        "use that WebSocket, or close it before its upgrade",
    ))
}
