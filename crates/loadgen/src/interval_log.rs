//! Interval logs: the histograms of every second of a run. Those of several load generators are
//! added up, never their percentiles.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriter, IntervalLogWriterBuilder, Tag};
use results::{Distribution, Second, Series};

use crate::measure::histograms::Histograms;

/// Percentile of a second that is kept besides its median.
const PERCENTILE: f64 = 0.99;

/// Writes the log of a run.
pub(crate) struct IntervalLog<'a, W: Write> {
    writer: IntervalLogWriter<'a, 'a, W, V2DeflateSerializer>,
    broken: Option<String>,
}

impl<'a, W: Write> IntervalLog<'a, W> {
    pub(crate) fn new(to: &'a mut W, serializer: &'a mut V2DeflateSerializer) -> std::io::Result<Self> {
        let writer = IntervalLogWriterBuilder::new()
            .with_start_time(SystemTime::now())
            .with_max_value_divisor(1000.0)
            .begin_log_with(to, serializer)?;
        Ok(Self { writer, broken: None })
    }

    /// Writes the values of a series in a second; -1 is the time before second 0. An error does not
    /// end the run; it is reported at its end.
    pub(crate) fn write(&mut self, second: i64, series: Series, histogram: &Histogram<u64>) {
        if histogram.is_empty() {
            return;
        }
        let start = Duration::from_secs(u64::try_from(second + 1).unwrap_or(0));
        let written = self.writer.write_histogram(histogram, start, Duration::from_secs(1), Tag::new(series.name()));
        if let Err(error) = written {
            self.broken.get_or_insert_with(|| format!("{error:?}"));
        }
    }

    pub(crate) fn finish(self) {
        if let Some(error) = self.broken {
            tracing::warn!(error, "the interval log is incomplete");
        }
    }
}

/// Sets the quantiles of a second from its delivery latencies.
pub(crate) fn set_quantiles(row: &mut Second, delivery: &Histogram<u64>) {
    let of = |value: fn(&Histogram<u64>) -> u64| (!delivery.is_empty()).then(|| value(delivery));
    row.delivery_p50_us = of(|all| all.value_at_quantile(0.5));
    row.delivery_p99_us = of(|all| all.value_at_quantile(PERCENTILE));
    row.delivery_max_us = of(Histogram::max);
}

/// Adds up the logs of load generators that shared the clients of a run: writes their sum, sets the
/// quantiles of `seconds`, and returns one histogram per [`Series`] over the whole run.
pub fn add_logs(logs: &[&str], seconds: &mut [Second], to: &mut impl Write) -> std::io::Result<Vec<Histogram<u64>>> {
    let mut sums: BTreeMap<i64, BTreeMap<Series, Distribution>> = BTreeMap::new();
    for log in logs {
        let found = results::read_interval_log(log);
        let found = found.map_err(|(line, why)| std::io::Error::other(format!("interval log, line {line}: {why}")))?;
        for (series, intervals) in found {
            for interval in intervals {
                let sum = sums.entry(interval.second).or_default().entry(series).or_default();
                sum.merge(&interval.distribution);
            }
        }
    }
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLog::new(to, &mut serializer)?;
    let mut whole = Histograms::new().into_histograms();
    for (second, by_series) in sums {
        for (series, distribution) in by_series {
            let histogram = histogram(&distribution);
            log.write(second, series, &histogram);
            whole[series as usize].add(&histogram).expect("all histograms have the same bounds");
            let mut rows = seconds.iter_mut().filter(|row| i64::from(row.second) == second);
            if let Some(row) = rows.next().filter(|_| series == Series::DeliveryLatency) {
                set_quantiles(row, &histogram);
            }
        }
    }
    log.finish();
    Ok(whole)
}

/// A bucket's upper end is in this bucket.
fn histogram(of: &Distribution) -> Histogram<u64> {
    let mut histogram = Histograms::empty();
    of.counts().iter().for_each(|(value, count)| histogram.saturating_record_n(*value, *count));
    histogram
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Values = Vec<(i64, u64)>;

    /// The log of these values with their seconds.
    fn log(values: &[(i64, u64)]) -> String {
        let (mut text, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
        let mut log = IntervalLog::new(&mut text, &mut serializer).unwrap();
        for second in -1..4 {
            let mut histogram = Histograms::empty();
            values.iter().filter(|(at, _)| *at == second).for_each(|(_, value)| histogram.saturating_record(*value));
            log.write(second, Series::DeliveryLatency, &histogram);
        }
        log.finish();
        String::from_utf8(text).unwrap()
    }

    /// A log without the line that says when it was written.
    fn without_date(log: &str) -> Vec<&str> {
        log.lines().filter(|line| !line.starts_with("#[StartTime")).collect()
    }

    fn rows() -> Vec<Second> {
        (0..4).map(|second| Second { second, ..Second::default() }).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn several_logs_add_up_to_the_log_of_one(parts in proptest::collection::vec(proptest::collection::vec((-1_i64..4, 0_u64..70_000_000), 0..30), 1..5)) {
            let logs: Vec<_> = parts.iter().map(|values| log(values)).collect();
            let all: Values = parts.concat();
            let (mut one, mut several, mut rows_of_one, mut rows_of_several) = (Vec::new(), Vec::new(), rows(), rows());
            let of_one = add_logs(&[&log(&all)], &mut rows_of_one, &mut one).unwrap();
            let logs: Vec<_> = logs.iter().map(String::as_str).collect();
            let of_several = add_logs(&logs, &mut rows_of_several, &mut several).unwrap();
            prop_assert_eq!(&of_one, &of_several);
            prop_assert_eq!(&rows_of_one, &rows_of_several);
            let (one, several) = (String::from_utf8(one).unwrap(), String::from_utf8(several).unwrap());
            prop_assert_eq!(without_date(&one), without_date(&several));
            let written = log(&all);
            prop_assert_eq!(without_date(&one), without_date(&written));
            let mut expected = Histograms::empty();
            all.iter().for_each(|(_, value)| expected.saturating_record(*value));
            prop_assert_eq!(&of_one[Series::DeliveryLatency as usize], &expected);
        }
    }

    #[test]
    fn a_log_that_is_none_is_an_error_with_its_line() {
        let error = add_logs(&[&log(&[]), "hello"], &mut [], &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "interval log, line 1: 1 fields instead of 5");
    }
}
