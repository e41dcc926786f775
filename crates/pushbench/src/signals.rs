//! Requests to stop: SIGTERM, SIGHUP (the terminal was closed), Ctrl-C, and a standard input that
//! closes.

use std::io::Read;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::exit::{self, INTERRUPTED};
use crate::print;

/// The signals that stop the program in an orderly way.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` under `nohup`, where SIGHUP is ignored.
    hang_up: Option<Signal>,
}

impl Signals {
    /// Starts listening; must be called within a runtime. From now on the signals no longer end the
    /// program by themselves.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: if hang_up_is_ignored() { None } else { Some(listen(SignalKind::hangup())?) },
        })
    }

    /// Waits for the next signal; returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = hang_up => "SIGHUP",
        }
    }
}

/// A runtime with one thread. Until something on it listens for signals, they end the program at
/// once.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start a runtime")
}

/// Runs a job on a runtime of its own. The first signal cancels the token, so that results are
/// kept; the second ends the program.
pub(crate) fn stoppable<T>(job: impl AsyncFnOnce(CancellationToken) -> anyhow::Result<T>) -> anyhow::Result<T> {
    runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            signals.next().await;
            print::warn("stopping; what was measured is kept (press Ctrl-C again to stop at once)");
            stopped.cancel();
            signals.next().await;
            print::warn("stopped at once; the run in progress is lost");
            exit::now(INTERRUPTED);
        });
        job(stop).await
    })
}

/// Returns when standard input is closed.
pub(crate) async fn stdin_closed() {
    let (gone, wait) = oneshot::channel();
    // On its own thread: a blocking read would keep the runtime from shutting down.
    std::thread::spawn(move || {
        let mut sink = [0; 256];
        while matches!(std::io::stdin().read(&mut sink), Ok(n) if n > 0) {}
        gone.send(()).ok();
    });
    wait.await.ok();
}

/// Whether the program was started with SIGHUP ignored.
fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    // Bit 0 is signal 1, SIGHUP.
    mask.is_some_and(|mask| mask & 1 == 1)
}
