//! `pushbench run` and `pushbench load`: every transport of a scenario, in rounds whose slices take
//! turns.

mod args;
mod attached_server;
mod control;
mod conversation;
mod external_server;
mod generator_process;
mod job;
mod listening;
mod live_subject;
mod log_server;
mod manifest;
mod outages;
mod outcome;
mod output;
mod planned_job;
mod preflight;
mod process_usage;
mod progress;
mod readings;
mod record;
mod round;
mod round_progress;
mod server_process;
mod server_source;
mod target_server;
mod timetable;
mod trial;

pub(crate) use args::{LoadArgs, OutputArgs, RunArgs};
pub(crate) use attached_server::{AttachedServer, random_room_prefix};
pub(crate) use control::Control;
pub(crate) use conversation::{Command, Order, Reply, RunTotals, Schedule};
pub(crate) use external_server::{folder as target_folder, missing};
pub(crate) use job::{load, run};
pub(crate) use live_subject::RoundSubject;
pub(crate) use manifest::{STAMP, command_line};
pub(crate) use preflight::{Finding, Level, findings};
pub(crate) use progress::ProgressLine;
pub(crate) use round::{BlockSlice, RoundObserver, RoundPlan, RunEnvironment, round_of_slices};
pub(crate) use server_process::{ServerCommand, ServerProcess};
pub(crate) use server_source::ServerSource;
pub(crate) use timetable::Timetable;
pub(crate) use trial::try_target;
