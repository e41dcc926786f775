//! `pushbench run`: every transport of a scenario, in interleaved rounds, against a server of its own.

mod args;
mod control;
mod job;
mod manifest;
mod meter;
mod one;
mod preflight;
mod progress;
mod readings;
mod server_process;

pub(crate) use args::{LoadArgs, RunArgs};
pub(crate) use job::{load, run};
pub(crate) use preflight::{Finding, Level, findings};
