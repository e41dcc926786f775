//! A run over time: how it ended, and its seconds.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how", content = "why")]
pub enum RunEnd {
    /// All phases were completed.
    Complete,
    /// It was interrupted; what was measured until then is kept.
    Interrupted,
    /// It could not go on.
    Failed(String),
    /// The server ended during the run.
    Crashed(Crash),
}

/// A server that ended during a run, or that could not be started.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Crash {
    /// What happened, and when: `the server exited with status 1 during the run`.
    pub how: String,
    /// The last lines of its output, oldest first; empty where it wrote nothing or its output is
    /// not ours to read.
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

/// One second of a run, counted from the start of the warm-up.
#[derive(Debug, Clone, PartialEq, Default, JsonSchema, Serialize, Deserialize)]
pub struct Second {
    /// Number of the second, from 0.
    pub second: u32,
    /// Messages received in the second.
    pub delivered: u64,
    /// Posts sent in the second.
    pub posted: u64,
    /// HTTP requests sent in the second.
    pub requests: u64,
    /// Clients connected at the end of the second.
    pub connected: u32,
    /// Errors in the second.
    pub faults: u64,
    /// Median delivery latency of the messages received in the second and scheduled in the window.
    pub delivery_p50_us: Option<u64>,
    /// 99th percentile of the same latencies.
    pub delivery_p99_us: Option<u64>,
    /// Largest of the same latencies.
    pub delivery_max_us: Option<u64>,
    /// The server's process at the end of the second; empty where its process is not known.
    pub server: Option<ServerSecond>,
}

/// The server's process, sampled once a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ServerSecond {
    /// CPU time since its start.
    pub cpu: Cpu,
    /// Resident memory without the pages of files.
    pub resident_bytes: u64,
}

impl ServerSecond {
    /// Two processes together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu.plus(other.cpu), resident_bytes: self.resident_bytes + other.resident_bytes }
    }
}

/// CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
pub struct Cpu {
    /// In user mode.
    pub user_us: u64,
    /// In kernel mode.
    pub system_us: u64,
}

impl Cpu {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { user_us: self.user_us + other.user_us, system_us: self.system_us + other.system_us }
    }

    /// User and kernel mode together.
    pub const fn total_us(self) -> u64 {
        self.user_us + self.system_us
    }
}
