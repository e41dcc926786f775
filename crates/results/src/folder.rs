//! A results folder in memory. Reports are made from it alone.

use std::collections::BTreeMap;

use crate::{Distribution, Manifest, RunRecord, Series};

/// One results folder.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultsFolder {
    /// Name of the folder.
    pub name: String,
    /// The manifest.
    pub manifest: Manifest,
    /// The runs, in the order they were made.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its record.
    pub record: RunRecord,
    /// Its interval log: the seconds of every series that has values.
    pub intervals: BTreeMap<Series, Vec<Interval>>,
}

/// The values of a series in one second.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Number of the second, counted as in [`crate::Second`]; -1 is everything before second 0.
    pub second: i64,
    /// The values.
    pub distribution: Distribution,
}

impl Interval {
    /// Adds up several intervals.
    pub(crate) fn whole(intervals: &[Self]) -> Distribution {
        let all = intervals.iter().flat_map(|interval| interval.distribution.counts());
        Distribution::new(all.copied().collect())
    }
}

impl Run {
    /// All values of a series.
    pub fn whole(&self, series: Series) -> Distribution {
        self.intervals.get(&series).map(|intervals| Interval::whole(intervals)).unwrap_or_default()
    }
}
