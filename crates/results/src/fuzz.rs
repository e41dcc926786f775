//! What holds of any bytes, a file of a results folder each: the bodies of property tests and of
//! the targets in `crates/fuzz`.

use crate::{MetricId, interval_log, judge, load};

/// A record that was read has a verdict and metrics, and is the same when it is written and read
/// again.
pub fn record(bytes: &[u8]) {
    let Ok(record) = load::record(bytes) else { return };
    let written = serde_json::to_vec(&record).expect("a record can be written");
    assert_eq!(load::record(&written).expect("what we write can be read"), record);
    let _ = judge(&record);
    MetricId::ALL.iter().for_each(|metric| _ = metric.value(&record));
}

/// A manifest that was read is the same when it is written and read again.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = load::manifest(bytes) else { return };
    let written = serde_json::to_vec(&manifest).expect("a manifest can be written");
    assert_eq!(load::manifest(&written).expect("what we write can be read"), manifest);
}

/// The distributions of an interval log that was read can be merged and asked for quantiles.
pub fn interval_log(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(intervals) = interval_log::read(text) else { return };
    for distribution in intervals.into_values().flatten().map(|interval| interval.distribution) {
        assert_ne!(distribution.quantile(1.0).is_some(), distribution.is_empty());
    }
}
