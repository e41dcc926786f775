//! The load generator: simulated clients that follow a plan, and the measurements they make.
//!
//! Each worker thread has its own runtime, clients and histograms. Threads share nothing per
//! message but a few relaxed atomic stores. The crate does not import the server: it connects to
//! whatever listens at the target.
//!
//! Modules import downwards in this order: `error`, `clock`, `cpu_clock`, `timer`, `progress`,
//! `config`, `interval_log`; `protocol`; `net`;
//! `measure`; `run_context`, `tasks`, `client`, `delivery`, `scheduler`, `session`; `transports`;
//! `worker`; `collector`; `generator`, `lockstep`, `joining`.

#[doc(hidden)]
pub mod bench;
mod client;
mod clock;
mod collector;
mod config;
mod cpu_clock;
mod delivery;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod generator;
mod interval_log;
mod joining;
mod learned;
mod lockstep;
mod measure;
mod measurements;
mod net;
mod progress;
mod protocol;
mod run_context;
mod schedule_cursor;
mod scheduler;
mod session;
mod tasks;
#[cfg(test)]
mod testing;
mod timer;
mod trace;
mod transports;
mod trying;
mod worker;

pub use config::{Node, RunConfig, Target};
pub use cpu_clock::ServerClocks;
pub use generator::{Generator, execute, generate};
pub use interval_log::add_logs;
pub use joining::{JoinError, try_join};
pub use lockstep::{Checkpoint, LockStep, LockStepError, StepCounts, Until, lock_step, lock_step_slices};
pub use measurements::RunMeasurements;
pub use net::tcp_info::SocketCounts;
pub use progress::Progress;
pub use trace::Traced;
pub use trying::{Attempt, TryError, try_messages};
