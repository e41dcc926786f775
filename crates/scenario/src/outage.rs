//! Outages: servers and logs that are killed or stopped in the window.

use std::time::Duration;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::seconds;

/// `[[outage]]`: a process that the job started is killed or stopped in the window, for `slices = 1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Outage {
    /// What happens. `kill-node`: a server is killed and stays away; `stop-node`: a server is stopped and goes on later; `kill-log`: the shared log is killed and started again later, with the messages that are on disk; `forget-log`: the same without them, so that every run is wrong; `stop-log`: the shared log is stopped and goes on later
    pub what: OutageKind,
    /// Time from the start of the window
    #[garde(range(min = 0.0, max = 3600.0))]
    pub at_s: f64,
    /// Which server, from 1
    #[serde(default = "first")]
    #[garde(range(min = 1, max = 64))]
    pub node: u32,
    /// Time until it goes on, or is started again
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 0.0, max = 3600.0))]
    pub for_s: Option<f64>,
}

const fn first() -> u32 {
    1
}

/// What happens in an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum OutageKind {
    /// A server is killed and stays away.
    KillNode,
    /// A server is stopped and goes on later.
    StopNode,
    /// The shared log is killed and started again later.
    KillLog,
    /// The shared log is killed and started again later without its messages.
    ForgetLog,
    /// The shared log is stopped and goes on later.
    StopLog,
}

impl OutageKind {
    /// The name used in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KillNode => "kill-node",
            Self::StopNode => "stop-node",
            Self::KillLog => "kill-log",
            Self::ForgetLog => "forget-log",
            Self::StopLog => "stop-log",
        }
    }

    /// Whether it is the log that fails, and not a server.
    pub const fn is_of_log(self) -> bool {
        matches!(self, Self::KillLog | Self::ForgetLog | Self::StopLog)
    }
}

impl Outage {
    /// Time from the start of the window.
    pub fn at(&self) -> Duration {
        seconds(self.at_s)
    }

    /// Time from its begin to its end, if it ends.
    pub fn lasts(&self) -> Option<Duration> {
        self.for_s.map(seconds)
    }
}
