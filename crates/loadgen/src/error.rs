//! Errors between a client and a server, each with its kind, and why a session ended.

use std::io;
use std::time::Duration;

use results::FaultKind;
use wire::WireError;

/// One error, with its kind and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) detail: String,
    /// The server's `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
}

/// Longest `Retry-After` that a client follows, because a run ends.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

impl Fault {
    pub(crate) fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None }
    }

    /// Least time before the next attempt.
    pub(crate) fn pause(&self) -> Duration {
        self.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)
    }

    /// The connection ended where more bytes were expected.
    pub(crate) fn cut_short(during: &str) -> Self {
        Self::new(FaultKind::CutShort, format!("the connection ended during {during}"))
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        use nix::errno::Errno;
        let kind = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ECONNREFUSED) => FaultKind::Refused,
            Some(Errno::ECONNRESET | Errno::EPIPE | Errno::ECONNABORTED) => FaultKind::Reset,
            Some(Errno::ETIMEDOUT) => FaultKind::TimedOut,
            Some(Errno::EMFILE | Errno::ENFILE) => FaultKind::OutOfFiles,
            Some(Errno::EADDRNOTAVAIL | Errno::EADDRINUSE) => FaultKind::OutOfPorts,
            _ if error.kind() == io::ErrorKind::TimedOut => FaultKind::TimedOut,
            _ => FaultKind::System,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        Self::new(FaultKind::BadBytes, error.to_string())
    }
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// The server ended it as its protocol says; the client reconnects with its cursor.
    Closed,
    /// An error ended it.
    Failed(Fault),
}

impl<E: Into<Fault>> From<E> for SessionEnd {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errno_gives_the_kind() {
        for (errno, kind) in [
            (nix::errno::Errno::EMFILE, FaultKind::OutOfFiles),
            (nix::errno::Errno::EADDRNOTAVAIL, FaultKind::OutOfPorts),
            (nix::errno::Errno::ECONNREFUSED, FaultKind::Refused),
            (nix::errno::Errno::EPIPE, FaultKind::Reset),
            (nix::errno::Errno::EIO, FaultKind::System),
        ] {
            assert_eq!(Fault::from(io::Error::from_raw_os_error(errno as i32)).kind, kind);
        }
    }
}
