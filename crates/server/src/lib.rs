//! The reference chat server: the same rooms over every transport, with counters of what each
//! transport costs.
//!
//! - `hub`: rooms, logs and readers. Knows no transport, no HTTP and no slowdown.
//! - `shared`: the log that several servers share, in Redis. Nothing else knows Redis.
//! - `presence`: the people in a room, as pages report them.
//! - `connection`: one accepted connection, its counters, its state and its socket. Knows no
//!   protocol.
//! - `http`: what the transports on the HTTP port share.
//! - `transports`: one module each. No transport knows another.
//! - `router`: routes of the HTTP port and the life of an HTTP connection. Nothing below imports
//!   it.
//! - `server`: listeners, accepting and shutdown.
//!
//! The crate prints nothing and does not know the load generator.

mod access;
#[cfg(feature = "count-allocations")]
mod allocations;
mod config;
mod connection;
mod counters;
mod http;
mod hub;
mod presence;
mod process;
mod refusal;
mod router;
mod server;
mod shared;
mod slowdown;
mod state;
mod transports;

pub use config::{Access, Config, Log, ServerLimits};
pub use server::{RunningServer, StartError, start};
pub use shared::{CHAT, LogError, feed_key};
pub use slowdown::Slowdown;
