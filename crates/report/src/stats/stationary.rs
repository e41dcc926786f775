//! Trend of a window: medians of its parts, and the line through them.

use results::{TheilSenLine, median};

/// Number of parts of a window.
const PARTS: usize = 5;

/// The parts of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// Medians of the parts, in order.
    pub medians: Vec<f64>,
    /// Growth of the line from the first to the last part, as a share of the median.
    pub growth_share: f64,
}

/// Splits a series into parts of equal length; the last ones may have one value more.
pub fn parts(values: &[f64]) -> Option<Parts> {
    let count = PARTS.min(values.len());
    let part = |at: usize| &values[at * values.len() / count..(at + 1) * values.len() / count];
    let medians: Vec<_> = (0..count).filter_map(|at| median(part(at))).collect();
    let (line, middle) = (TheilSenLine::over(&medians)?, median(&medians)?);
    let growth_share = if middle == 0.0 { 0.0 } else { line.slope * (medians.len() - 1) as f64 / middle };
    Some(Parts { medians, growth_share })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_steady_window_and_one_that_grows() {
        assert_eq!(parts(&[2.0; 10]), Some(Parts { medians: vec![2.0; 5], growth_share: 0.0 }));
        let growing: Vec<f64> = (0..10).map(f64::from).collect();
        assert_eq!(parts(&growing), Some(Parts { medians: vec![0.5, 2.5, 4.5, 6.5, 8.5], growth_share: 8.0 / 4.5 }));
        assert_eq!(parts(&[1.0]), None);
    }

    proptest! {
        #[test]
        fn every_value_is_in_one_part(count in 2_usize..60) {
            let lengths: Vec<_> = (0..PARTS.min(count)).map(|at| (at + 1) * count / PARTS.min(count) - at * count / PARTS.min(count)).collect();
            prop_assert_eq!(lengths.iter().sum::<usize>(), count);
            prop_assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1);
        }
    }
}
