//! `pushbench run`: every transport of a scenario, in interleaved rounds, against a server of its own.

mod args;
mod control;
mod foreign;
mod job;
mod listening;
mod manifest;
mod meter;
mod one;
mod outcome;
mod output;
mod peer;
mod preflight;
mod progress;
mod readings;
mod server_process;

pub(crate) use args::{LoadArgs, RunArgs};
pub(crate) use control::Control;
pub(crate) use foreign::{Foreign, room_prefix};
pub(crate) use job::{load, run};
pub(crate) use manifest::command_line;
pub(crate) use one::{Bench, Patient, Place, measure};
pub(crate) use peer::start_in;
pub(crate) use preflight::{Finding, Level, findings};
pub(crate) use progress::Shown;
pub(crate) use server_process::{Launch, ServerProcess};
