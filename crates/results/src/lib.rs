//! Run records, metrics and the results folder. No other crate reads or writes results folders.

mod distribution;
mod faults;
mod folder;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod interval_log;
#[cfg(any(test, feature = "invented"))]
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
mod timeline;
mod traffic;
mod verdict;

pub use distribution::Distribution;
pub use faults::{FaultKind, Faults};
pub use folder::{Interval, ResultsFolder, Run};
pub use interval_log::read as read_interval_log;
pub use ledger::{INCIDENTS_KEPT_MAX, Incident, IncidentKind, LedgerSummary};
pub use load::{LoadError, load};
pub use manifest::{Host, Manifest, PlannedSubject, Point, Program, Rounds, ScenarioSource, State};
pub use metrics::{Better, MetricId, MetricInfo, Source, Unit, metrics_markdown, server_cpu_us};
pub use record::{
    GeneratorUsage, LatencySummary, LogUsage, MachineState, Mode, PlannedLoad, Quantile, RunRecord, SCHEMA,
    ServerSamples, Slice, TcpUsage,
};
pub use robust::{TheilSenLine, median};
pub use schema::schema;
pub use series::Series;
pub use store::{Folder, StoreError};
pub use subject::Subject;
pub use tables::tables_markdown;
pub use timeline::{Cpu, Crash, RunEnd, Second, ServerSecond};
pub use traffic::{ByteClass, Direction, TrafficCounts, TrafficKind};
pub use verdict::{
    BYTES_APART_SHARE_MAX, CORE_USAGE_MAX, CPU_PROBE_LOSS_MAX, OFFERED_SHARE_OFF_MAX, RunVerdict, SEND_DELAY_MAX_US,
    UNDRAINED_MAX, USELESS_SHARE_MAX, VerdictKind, judge,
};
