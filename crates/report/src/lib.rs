//! Reports: tables, plots, claims, predictions and comparisons from run records. Pure: reads no
//! file and prints nothing.

mod build;
mod claims;
mod columns;
mod conclusions;
pub mod counters;
mod format;
pub mod gate;
pub mod history;
mod markdown;
mod money;
mod notes;
mod orders;
mod page;
pub mod plots;
mod ratios;
mod run_summary;
mod selection;
pub mod stats;
mod summary;
mod tables;
mod terminal;
mod theory;

pub use build::{Report, build, summary, summary_json};
pub use claims::{ClaimResult, ConditionResult, Finding, PublishedResult};
pub use columns::{COLUMNS, wrapped};
pub use money::{MonthlyCost, PRICES_ASSUMED, Prices};
pub use orders::Pair;
pub use ratios::{COMPARED, RoundRatio, widest_ratio};
pub use run_summary::{BlockCounts, RunSummary};
pub use summary::{JobSummary, PointSummary, SUMMARY_SCHEMA, SubjectSummary, Summary};
pub use terminal::{summary_tables, tables};
pub use theory::{Prediction, PredictionCheck};
