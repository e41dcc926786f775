//! Errors between clients and server, by kind.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Error texts kept for each kind.
const TEXTS_KEPT_MAX: usize = 3;

/// Kinds of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The connection was refused.
    Refused,
    /// The other side reset the connection.
    Reset,
    /// No response in time.
    TimedOut,
    /// The connection ended in the middle of a message.
    CutShort,
    /// An HTTP status that does not answer the request, other than those of the next two kinds.
    BadStatus,
    /// An HTTP status of a failed server: 500 to 599.
    ServerError,
    /// The server asked the client to try again later: 429, or 503 with `Retry-After`.
    RetryLater,
    /// Bytes that break the protocol of the transport.
    BadBytes,
    /// The server sent an error.
    Problem,
    /// The process has no open files left.
    OutOfFiles,
    /// The source address has no ports left.
    OutOfPorts,
    /// Any other error of the operating system.
    System,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::TimedOut => "timed out",
            Self::CutShort => "cut short",
            Self::BadStatus => "bad status",
            Self::ServerError => "server error",
            Self::RetryLater => "asked to come later",
            Self::BadBytes => "bad bytes",
            Self::Problem => "told of a problem",
            Self::OutOfFiles => "out of open files",
            Self::OutOfPorts => "out of ports",
            Self::System => "system error",
        })
    }
}

/// Errors by kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct Faults {
    /// Number of errors of each kind.
    pub counts: BTreeMap<FaultKind, u64>,
    /// The first few different texts of each kind.
    pub texts: BTreeMap<FaultKind, Vec<String>>,
}

impl Faults {
    /// Counts an error, and keeps its text if it is new and there is room.
    pub fn note(&mut self, kind: FaultKind, detail: String) {
        *self.counts.entry(kind).or_default() += 1;
        let texts = self.texts.entry(kind).or_default();
        if texts.len() < TEXTS_KEPT_MAX && !texts.contains(&detail) {
            texts.push(detail);
        }
    }

    /// Adds the errors of another worker.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.counts {
            *self.counts.entry(*kind).or_default() += count;
        }
        for (kind, texts) in &other.texts {
            let mine = self.texts.entry(*kind).or_default();
            for text in texts {
                if mine.len() < TEXTS_KEPT_MAX && !mine.contains(text) {
                    mine.push(text.clone());
                }
            }
        }
    }

    /// Number of errors of all kinds.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
