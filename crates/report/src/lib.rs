//! The conclusion: records in, text and pictures out. Pure; reads no file and prints nothing.

mod answer;
mod build;
mod claims;
pub mod exhibits;
mod facts;
mod grids;
mod markdown;
mod measure;
mod numbers;
mod page;
mod shown;
pub mod stats;
mod theory;

pub use build::{Report, build};
pub use claims::{ClaimFacts, ConditionFacts, Finding, PublishedFacts};
pub use exhibits::summary;
pub use facts::{Facts, JobFacts, PointFacts, RowFacts, RunFacts, SUMMARY_SCHEMA, Value};
pub use measure::measure;
pub use theory::{Agreement, Cell};
