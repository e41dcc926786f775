//! A distribution as the text that HdrHistogram's own tools print and plot. Values in milliseconds.

use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::Distribution;

/// Lines for every halving of what is left to 100 %, as the tools have it.
const TICKS: u32 = 5;
const US_PER_MS: f64 = 1000.0;
const DIGITS: u8 = 3;

/// `Value Percentile TotalCount 1/(1-Percentile)`
pub(crate) fn text(distribution: &Distribution) -> String {
    let max = distribution.max().unwrap_or(0).max(2);
    let mut histogram =
        Histogram::<u64>::new_with_max(max, DIGITS).expect("the bounds and digits are within what it takes");
    distribution.counts().iter().for_each(|(value, count)| histogram.saturating_record_n(*value, *count));
    let mut out = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS) {
        count += step.count_since_last_iteration();
        let (value, share) = (step.value_iterated_to() as f64 / US_PER_MS, step.quantile_iterated_to());
        write!(out, "{value:12.3} {share:2.12} {count:10}").expect("writing to a string cannot fail");
        let rest = if share < 1.0 { format!(" {:14.2}\n", 1.0 / (1.0 - share)) } else { "\n".to_owned() };
        out.push_str(&rest);
    }
    let (mean, deviation) = (histogram.mean() / US_PER_MS, histogram.stdev() / US_PER_MS);
    let max = histogram.max() as f64 / US_PER_MS;
    write!(
        out,
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n#[Max     = {max:12.3}, Total count    = {count:12}]\n"
    )
    .expect("writing to a string cannot fail");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = r"       Value     Percentile TotalCount 1/(1-Percentile)

       1.000 0.000000000000          8           1.00
       1.000 0.100000000000          8           1.11
       1.000 0.200000000000          8           1.25
       1.000 0.300000000000          8           1.43
       1.000 0.400000000000          8           1.67
       1.000 0.500000000000          8           2.00
       1.000 0.550000000000          8           2.22
       1.000 0.600000000000          8           2.50
       1.000 0.650000000000          8           2.86
       1.000 0.700000000000          8           3.33
       1.000 0.750000000000          8           4.00
       1.000 0.775000000000          8           4.44
       2.501 0.800000000000          9           5.00
       2.501 0.825000000000          9           5.71
       2.501 0.850000000000          9           6.67
       2.501 0.875000000000          9           8.00
       2.501 0.887500000000          9           8.89
   60030.975 0.900000000000         10          10.00
   60030.975 1.000000000000         10
#[Mean    =     6002.509, StdDeviation   =    18004.028]
#[Max     =    60030.975, Total count    =           10]
";

    #[test]
    fn the_text_is_what_the_public_tools_print() {
        let distribution = Distribution::new(vec![(1_000, 8), (2_500, 1), (60_030_975, 1)]);
        assert_eq!(text(&distribution), GOLDEN);
        assert!(text(&Distribution::default()).ends_with("Total count    =            0]\n"));
    }
}
