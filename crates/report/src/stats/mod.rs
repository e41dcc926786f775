//! Statistics with intervals. Pure functions.

mod blocks;
mod chance;
mod change_points;
mod clopper_pearson;
mod compare;
mod distributions;
mod hodges_lehmann;
mod holm;
mod over_runs;
mod quantile;
mod randomisation;
mod rank_sum;
mod stationary;
mod trimmed_mean;

pub use blocks::{InBlock, LogRatio, Ratio, block_ratio, lock_step_ratio};
pub use chance::Chance;
pub use change_points::change_points;
pub use clopper_pearson::clopper_pearson;
pub use compare::{InRound, excess};
pub use distributions::{normal_quantile, normal_tail, t_quantile, t_tail};
pub use hodges_lehmann::PairwiseMeans;
pub use holm::holm;
pub use over_runs::{Estimate, over_runs};
pub use quantile::{QUANTILES, latency, order_interval};
pub use randomisation::{Tails, within_blocks};
pub use rank_sum::Shift;
pub use results::median;
pub use stationary::{Parts, parts};
pub use trimmed_mean::TrimmedMean;
