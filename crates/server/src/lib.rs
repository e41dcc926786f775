//! The patient: one chat server that exposes the same rooms over every transport, and counts what that costs.
//!
//! `hub` is the chat and knows no transport; `transports` carry it; `http` and `net` are what they stand on; `router` is above them all;
//! `meter` counts.
//! The crate prints nothing and does not know the load generator.

mod access;
#[cfg(feature = "count-allocations")]
mod allocations;
mod app;
mod config;
mod flow;
mod handicap;
mod http;
mod hub;
mod meter;
mod net;
mod process;
mod router;
mod running;
mod transports;

pub use config::{Access, Config, Limits};
pub use handicap::Handicap;
pub use process::process_usage;
pub use running::{Running, StartError, start};
