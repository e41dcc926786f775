//! The evidence: what a run leaves, and the only code that reads or writes result folders.

mod distribution;
mod evidence;
mod faults;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod interval_log;
#[doc(hidden)]
pub mod invented;
mod ledger;
mod load;
mod manifest;
mod metrics;
mod record;
mod robust;
mod schema;
mod series;
mod store;
mod subject;
mod tables;
mod tally;
mod timeline;
mod verdict;

pub use distribution::Distribution;
pub use evidence::{Evidence, Interval, Run};
pub use faults::{FaultKind, Faults};
pub use ledger::{INCIDENTS_KEPT_MAX, Incident, IncidentKind, LedgerSummary};
pub use load::{LoadError, load};
pub use manifest::{Asked, Host, Manifest, Place, Point, Program, State};
pub use metrics::{Better, MetricId, MetricInfo, Source, Unit, metrics_markdown, server_cpu_us};
pub use record::{
    Generator, Kernel, KernelTotal, Latency, Machine, Planned, Quantile, RunRecord, SCHEMA, ServerReadings,
};
pub use robust::{Line, median};
pub use schema::schema;
pub use series::Series;
pub use store::{Folder, StoreError};
pub use subject::Subject;
pub use tables::tables_markdown;
pub use tally::{Class, Direction, Purpose, Tally};
pub use timeline::{Cpu, Crash, Ended, Second, ServerSecond};
pub use verdict::{
    BYTES_APART_SHARE_MAX, LATENESS_MAX_US, OFFERED_SHARE_OFF_MAX, SPIN_LOSS_MAX, USELESS_SHARE_MAX, Verdict,
    VerdictKind, WORKER_BUSY_MAX, judge,
};
