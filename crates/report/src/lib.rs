//! The conclusion: records in, text out. Pure; reads no file and prints nothing.

pub mod counters;
mod exhibits;
mod figures;
pub mod gate;
pub mod history;
pub mod stats;

pub use exhibits::summary;
pub use figures::Figures;
