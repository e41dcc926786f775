//! `pushbench run`: every transport of a scenario, in interleaved rounds, against a server of its own.

mod args;
mod control;
mod foreign;
mod job;
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
pub(crate) use job::{listen_for_ctrl_c, load, run};
pub(crate) use one::{Bench, Patient, Place, measure};
pub(crate) use peer::start_in;
pub(crate) use preflight::{Finding, Level, findings};
pub(crate) use progress::Shown;
pub(crate) use server_process::{Launch, ServerProcess};
