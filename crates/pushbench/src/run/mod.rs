//! `pushbench run` and `pushbench load`: every transport of a scenario, in interleaved rounds.

mod args;
mod attached_server;
mod control;
mod external_server;
mod job;
mod listening;
mod manifest;
mod measure;
mod outcome;
mod output;
mod preflight;
mod process_usage;
mod progress;
mod readings;
mod server_process;

pub(crate) use args::{LoadArgs, OutputArgs, RunArgs};
pub(crate) use attached_server::{AttachedServer, random_room_prefix};
pub(crate) use control::Control;
pub(crate) use external_server::start_in;
pub(crate) use job::{load, run};
pub(crate) use manifest::{STAMP, command_line};
pub(crate) use measure::{RunEnvironment, RunId, TargetServer, measure};
pub(crate) use preflight::{Finding, Level, findings};
pub(crate) use progress::ProgressLine;
pub(crate) use server_process::{ServerCommand, ServerProcess};
