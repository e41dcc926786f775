//! The conclusion: records in, text out. Pure; reads no file and prints nothing.

mod exhibits;
pub mod stats;

pub use exhibits::summary;
