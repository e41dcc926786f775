//! The scenario file, and the plan that follows from it.
//!
//! text → [`ScenarioFile`] (one per point of the sweep) → [`Plan`]. A file is parsed once and
//! decided once. A [`Job`] is pure and seeded: the same file and seed give the same schedule on
//! every machine. A [`Plan`] contains every decision.
//!
//! This crate reads the scenario's file and nothing else; it has no clock, and knows neither the
//! server nor the load generator.

mod check;
mod claim;
mod error;
mod file;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod job;
mod load;
mod outage;
mod overrides;
mod plan;
mod protocol;
mod reference;
mod schema;
mod table;
mod target;
mod template;
mod time;
mod tuning;
mod unknown;

pub use claim::{Claim, Condition, Operand, Operator, Published};
pub use error::{Place, ScenarioError};
pub use file::{Arrivals, Authors, CLIENTS_MAX, Cores, HttpClient, Limits, Log, Phases, Posts, Prices, ScenarioFile};
pub use job::{Job, PlannedSubject};
pub use load::{LoadedScenario, load, parse};
pub use outage::{Outage, OutageKind};
pub use overrides::Override;
pub use plan::{Plan, Share, SliceLoad, Slicing};
pub use protocol::{Login, Request, Step, TargetProtocol, ValueSource};
pub use reference::{fields_table, schema};
pub use target::{ExternalServer, ServerCommand};
pub use template::Template;
pub use tuning::{TransportTuning, Tuning};

/// Maximum size of a scenario file, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Maximum number of points of a sweep.
pub const POINTS_MAX: usize = 100;
/// Maximum length of a run, from the start of the ramp-up to the end of the drain.
pub const RUN_MAX: std::time::Duration = std::time::Duration::from_secs(3600);
