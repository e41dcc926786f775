//! What was asked, and what will therefore happen.
//!
//! A scenario file is read against one list of fields ([`fields`]), which also makes the checks, the defaults, the JSON Schema and the
//! table in `scenarios/README.md`. [`decide`] turns it into a [`Job`]: pure and seeded, the same file and seed give the same job to
//! the last post. A [`Plan`] has nothing left to decide.
//!
//! This crate reads the scenario's file and nothing else; it has no clock, and knows neither the server nor the load generator.

mod claims;
mod decide;
mod error;
mod fields;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod job;
mod keys;
mod kind;
mod overrides;
mod plan;
mod schedule;
mod schema;
mod seeded;
mod settings;
mod source;
mod tables;
mod targets;
mod texts;
mod words;

pub use claims::{Bound, Claim, Condition, Figure, Published, Term};
pub use decide::decide;
pub use error::{Place, ScenarioError};
pub use job::Job;
pub use overrides::Override;
pub use plan::Plan;
pub use schema::{fields_table, figures_table, schema};
pub use settings::{Arrivals, Beat, Cores, Limits, LongPolling, Phases, Polling, Prices, Streaming, Tuning, Websocket};
pub use source::{Source, load, parse};
pub use targets::{CommandWords, Dialect, DialectWord, Lane, Peer, TargetWords};
pub use words::{
    ArrivalsWord, Authors, BeatWords, Client, CoresWords, LimitsWords, LongPollingWords, PhasesWords, PollingWords,
    PostsWords, PricesWords, Scenario, StreamingWords, TuningWords, WebsocketWords,
};

/// Most bytes a scenario file may have.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most seats one plan may have.
pub const SEATS_MAX: u32 = 1_000_000;
/// Most points a sweep may have.
pub const POINTS_MAX: usize = 100;
/// Longest run, from the start of its ramp-up to the end of its drain.
pub const RUN_MAX: std::time::Duration = std::time::Duration::from_secs(3600);
