//! A run in time: how it ended, and what each of its seconds showed.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how", content = "why")]
pub enum RunEnd {
    /// All phases went through.
    Complete,
    /// It was stopped; what there is was measured.
    Interrupted,
    /// It could not go on.
    Failed(String),
    /// The server ended by itself.
    Crashed(Crash),
}

/// A server that ended by itself, or that could not be started.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Crash {
    /// What happened, and when: `the server exited with status 1 during the run`.
    pub how: String,
    /// The last lines of its output, oldest first; empty where it said nothing, or where somebody else reads its output.
    pub last_output: Vec<String>,
}

impl std::error::Error for Crash {}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.how)?;
        if !self.last_output.is_empty() {
            f.write_str("; its output ended with:")?;
        }
        self.last_output.iter().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}

/// One second of a run, from T0.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Second {
    /// Which one, from 0.
    pub second: u32,
    /// Messages that arrived in it.
    pub delivered: u64,
    /// Posts that left in it.
    pub posted: u64,
    /// HTTP requests sent in it.
    pub requests: u64,
    /// Seats connected at its end.
    pub joined: u32,
    /// Faults in it.
    pub faults: u64,
    /// Of the deliveries seen in it whose post was due in the window, the median.
    pub delivery_us_p50: Option<u64>,
    /// The same, 99 %.
    pub delivery_us_p99: Option<u64>,
    /// The same, the largest.
    pub delivery_us_max: Option<u64>,
    /// What the kernel said of the server's process at its end; empty where its process is not known.
    pub server: Option<ServerSecond>,
}

/// The server's process, read from outside about once a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ServerSecond {
    /// CPU since it started.
    pub cpu: Cpu,
    /// Resident memory.
    pub resident_bytes: u64,
}

/// CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct Cpu {
    /// In user mode.
    pub user_us: u64,
    /// In the kernel.
    pub system_us: u64,
}

impl Cpu {
    /// Both.
    pub const fn total_us(self) -> u64 {
        self.user_us + self.system_us
    }
}
