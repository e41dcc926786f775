//! A timer with the kernel's own resolution.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

/// A `timerfd`. The runtime's own timer has a resolution of 1 ms, which is longer than a delivery
/// takes.
pub(crate) struct PreciseTimer {
    timer: TimerFd,
    /// A duplicate of its descriptor, registered with the runtime.
    ready: AsyncFd<OwnedFd>,
}

impl PreciseTimer {
    pub(crate) fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // SAFETY: an `OwnedFd` keeps its descriptor open and unchanged until it is dropped.
        #[expect(unsafe_code, reason = "tokio has no safe way to wait on a descriptor that is not a socket")]
        let ready = unsafe { AsyncFd::register(timer.as_fd().try_clone_to_owned()?) }?;
        Ok(Self { timer, ready })
    }

    /// Sleeps for a duration; for zero it only yields.
    pub(crate) async fn sleep(&self, duration: Duration) -> io::Result<()> {
        if duration.is_zero() {
            tokio::task::yield_now().await;
            return Ok(());
        }
        self.timer.set(Expiration::OneShot(TimeSpec::from_duration(duration)), TimerSetTimeFlags::empty())?;
        loop {
            let mut ready = self.ready.readable().await?;
            let mut expirations = [0; 8];
            match nix::unistd::read(&self.timer, &mut expirations) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EAGAIN) => ready.clear_ready(),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
