//! Statistics, each with its uncertainty. Pure functions.

mod compare;
mod over_runs;
mod quantile;
mod stationary;

pub use compare::{InRound, excess, ratio};
pub use results::median;

pub use over_runs::{Estimate, over_runs};
pub use quantile::{QUANTILES, latency, order_interval};
pub use stationary::{Slices, slices};
