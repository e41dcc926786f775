//! What broke between clients and server, by kind.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fault texts kept for each kind.
const TEXTS_KEPT_MAX: usize = 3;

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Nobody listens there.
    Refused,
    /// The other end broke the connection.
    Reset,
    /// No answer in time.
    TimedOut,
    /// The connection ended in the middle of something.
    CutShort,
    /// An HTTP status that is no answer to the request, and none of the next two.
    BadStatus,
    /// An HTTP status of a server that failed: 500 to 599.
    ServerError,
    /// The server had no place or time, and said so: 429, or 503 with `Retry-After`.
    RetryLater,
    /// Bytes that are not what the transport says.
    BadBytes,
    /// The server said what was wrong.
    Problem,
    /// The process has no open files left.
    OutOfFiles,
    /// The source address has no ports left.
    OutOfPorts,
    /// Any other error of the system.
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

/// Faults by kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct Faults {
    /// How many of each.
    pub counts: BTreeMap<FaultKind, u64>,
    /// The first few of each in words.
    pub texts: BTreeMap<FaultKind, Vec<String>>,
}

impl Faults {
    /// Counts a fault and keeps its words while they are new.
    pub fn note(&mut self, kind: FaultKind, detail: String) {
        *self.counts.entry(kind).or_default() += 1;
        let texts = self.texts.entry(kind).or_default();
        if texts.len() < TEXTS_KEPT_MAX && !texts.contains(&detail) {
            texts.push(detail);
        }
    }

    /// Adds another worker's.
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

    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
