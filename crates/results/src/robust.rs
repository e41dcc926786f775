//! Median and Theil–Sen line: statistics that a few outliers do not move.

/// The middle value, or the mean of the two middle values; `None` without values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { (sorted[middle - 1] + upper) / 2.0 })
}

/// A line through points, from medians.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TheilSenLine {
    /// Median of the slopes between any two points with different x.
    pub slope: f64,
    /// Median of y minus slope times x: the line at x = 0.
    pub level: f64,
    /// Median distance of the points from the line.
    pub scatter: f64,
}

impl TheilSenLine {
    /// The line through these points; `None` if all have the same x.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let pairs = points.iter().enumerate().flat_map(|(at, a)| points[at + 1..].iter().map(move |b| (a, b)));
        let slopes = pairs.filter(|(a, b)| a.0 != b.0).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0));
        let slope = median(&slopes.collect::<Vec<_>>())?;
        let rests: Vec<_> = points.iter().map(|(x, y)| y - slope * x).collect();
        let level = median(&rests)?;
        let scatter = median(&rests.iter().map(|rest| (rest - level).abs()).collect::<Vec<_>>())?;
        Some(Self { slope, level, scatter })
    }

    /// The line through values at x = 0, 1, 2 and so on.
    pub fn over(values: &[f64]) -> Option<Self> {
        Self::through(&values.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sen, P. K. (1968), "Estimates of the regression coefficient based on Kendall's tau", the
    /// example of section 6: 7 points with 21 slopes, of which the median is 4.
    #[test]
    fn the_example_sen_published() {
        let points = [(1.0, 9.0), (2.0, 15.0), (3.0, 19.0), (4.0, 20.0), (10.0, 45.0), (12.0, 55.0), (18.0, 78.0)];
        let line = TheilSenLine::through(&points).unwrap();
        assert_eq!((line.slope, line.level), (4.0, 6.0));
    }

    #[test]
    fn one_outlier_changes_no_slope() {
        let mut values: Vec<f64> = (0..11).map(|x| 3.0 + 2.0 * f64::from(x)).collect();
        assert_eq!(TheilSenLine::over(&values), Some(TheilSenLine { slope: 2.0, level: 3.0, scatter: 0.0 }));
        values[4] = 1e9;
        assert_eq!(TheilSenLine::over(&values).map(|line| line.slope), Some(2.0));
        assert_eq!(
            (TheilSenLine::over(&[1.0]), TheilSenLine::through(&[(1.0, 2.0), (1.0, 3.0)]), median(&[])),
            (None, None, None)
        );
    }

    proptest! {
        /// Definition of the median: at least half of the values are not above it, and half not below.
        #[test]
        fn at_most_half_of_the_values_are_on_one_side_of_the_median(values in proptest::collection::vec(-1e6_f64..1e6, 1..30)) {
            let middle = median(&values).unwrap();
            let (below, above) = (values.iter().filter(|v| **v < middle).count(), values.iter().filter(|v| **v > middle).count());
            prop_assert!(2 * below <= values.len() && 2 * above <= values.len());
        }

        /// Definition of the slope: without it, at most half of the pairs rise, and at most half fall.
        #[test]
        fn without_the_slope_there_is_no_trend(values in proptest::collection::vec(-1e3_f64..1e3, 2..20)) {
            let slope = TheilSenLine::over(&values).unwrap().slope;
            let (mut rising, mut falling, mut pairs) = (0, 0, 0);
            for i in 0..values.len() {
                for j in i + 1..values.len() {
                    let rise = values[j] - values[i] - slope * (j - i) as f64;
                    pairs += 1;
                    rising += usize::from(rise > 1e-9);
                    falling += usize::from(rise < -1e-9);
                }
            }
            prop_assert!(2 * rising <= pairs && 2 * falling <= pairs, "{rising} {falling} of {pairs}");
        }
    }
}
