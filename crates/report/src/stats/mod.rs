//! Statistics, each with its uncertainty. Pure functions.

mod chance;
mod change_points;
mod clopper_pearson;
mod hodges_lehmann;
mod holm;
mod over_runs;
mod quantile;
mod randomisation;
mod rank_sum;

pub use chance::Chance;
pub use change_points::change_points;
pub use clopper_pearson::clopper_pearson;
pub use hodges_lehmann::PairwiseMeans;
pub use holm::holm;
pub use over_runs::{Estimate, median, over_runs};
pub use quantile::{QUANTILES, latency, order_interval};
pub use randomisation::{Tails, within_blocks};
pub use rank_sum::Shift;
