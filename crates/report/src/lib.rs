//! The conclusion: records in, text and pictures out. Pure; reads no file and prints nothing.

pub mod counters;
pub mod exhibits;
pub mod gate;
pub mod history;
pub mod stats;

pub use exhibits::summary;
