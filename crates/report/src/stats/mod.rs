//! Statistics, each with its uncertainty. Pure functions.

mod over_runs;
mod quantile;

pub use over_runs::{Estimate, median, over_runs};
pub use quantile::{QUANTILES, latency, order_interval};
