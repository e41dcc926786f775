//! One file per table or chart.

pub mod summary;
