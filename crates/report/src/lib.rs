//! The conclusion: records in, text and pictures out. Pure; reads no file and prints nothing.

mod answer;
mod build;
mod claims;
pub mod counters;
pub mod exhibits;
mod facts;
pub mod gate;
mod grids;
pub mod history;
mod markdown;
mod numbers;
mod page;
mod shown;
pub mod stats;
mod terminal;
mod theory;

pub use build::{Report, build};
pub use claims::{ClaimFacts, ConditionFacts, Finding, PublishedFacts};
pub use facts::{Facts, JobFacts, PointFacts, RowFacts, RunFacts, SUMMARY_SCHEMA};
pub use terminal::tables;
pub use theory::{Agreement, Cell};
