//! The patient: one chat server that exposes the same rooms over every transport, and counts what that costs.
//!
//! `hub` is the chat and knows no transport; `transports` carry it; `http` and `net` are what they stand on; `router` is above them all;
//! `counters` counts.
//! The crate prints nothing and does not know the load generator.

mod access;
#[cfg(feature = "count-allocations")]
mod allocations;
mod config;
mod connection;
mod counters;
mod flow;
mod http;
mod hub;
mod process;
mod router;
mod server;
mod slowdown;
mod state;
mod transports;

pub use config::{Access, Config, ServerLimits};
pub use process::process_usage;
pub use server::{RunningServer, StartError, start};
pub use slowdown::Slowdown;
