//! `pushbench run`: every transport of a scenario, in interleaved rounds, against a server of its own.

mod args;
mod control;
mod job;
mod manifest;
mod meter;
mod one;
mod peer;
mod preflight;
mod progress;
mod readings;
mod server_process;

pub(crate) use args::{LoadArgs, RunArgs};
pub(crate) use control::Control;
pub(crate) use job::{listen_for_ctrl_c, load, run};
pub(crate) use one::{Bench, Foreign, Patient, Place, measure};
pub(crate) use peer::start_in;
pub(crate) use preflight::{Finding, Level, findings};
pub(crate) use progress::Shown;
pub(crate) use server_process::{Launch, ServerProcess};
