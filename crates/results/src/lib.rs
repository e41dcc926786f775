//! The evidence: what a run leaves, and the only code that reads or writes result folders.

mod faults;
mod ledger;
mod record;
mod series;
mod store;
mod tally;
mod timeline;
mod verdict;

pub use faults::{FaultKind, Faults};
pub use ledger::{INCIDENTS_KEPT_MAX, Incident, IncidentKind, LedgerSummary};
pub use record::{Generator, Latency, Machine, Planned, Quantile, RunRecord, SCHEMA, ServerReadings};
pub use series::Series;
pub use store::{Folder, StoreError};
pub use tally::{Class, Direction, Purpose, Tally};
pub use timeline::{Cpu, Ended, Second};
pub use verdict::{SPIN_LOSS_MAX, Verdict, VerdictKind, judge};
