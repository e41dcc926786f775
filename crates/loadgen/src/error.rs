//! What goes wrong between a client and a server: told apart, counted, never lumped.

use std::io;
use std::time::Duration;

use results::FaultKind;
use wire::WireError;

/// One fault, with what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) detail: String,
    /// How long the server asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

/// Longer than this no client stays away, whatever it is told: a run has an end.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

impl Fault {
    pub(crate) fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None }
    }

    /// How long to stay away at least.
    pub(crate) fn pause(&self) -> Duration {
        self.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)
    }

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

/// Why a client's connection is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// The server ended it properly; the client comes back with its cursor.
    Closed,
    /// Something broke.
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
    fn the_errno_decides() {
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
