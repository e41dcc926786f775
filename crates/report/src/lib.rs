//! The conclusion: records in, text and pictures out. Pure; reads no file and prints nothing.

pub mod exhibits;
pub mod stats;

pub use exhibits::summary;
