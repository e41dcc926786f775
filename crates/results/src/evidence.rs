//! A job read back: what reports are made from, and all they may look at.

use std::collections::BTreeMap;

use crate::{Distribution, Manifest, RunRecord, Series};

/// One folder.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultsFolder {
    /// Name of the folder.
    pub name: String,
    /// What the job was.
    pub manifest: Manifest,
    /// Its runs, in the order they were made.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its figures.
    pub record: RunRecord,
    /// Its interval log: the seconds of every series that recorded anything.
    pub intervals: BTreeMap<Series, Vec<Interval>>,
}

/// What a series recorded in one second.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Which second, counted from T0 as in [`crate::Second`]; -1 is everything before it.
    pub second: i64,
    /// What was recorded.
    pub distribution: Distribution,
}

impl Interval {
    /// Several together.
    pub(crate) fn whole(intervals: &[Self]) -> Distribution {
        let all = intervals.iter().flat_map(|interval| interval.distribution.counts());
        Distribution::new(all.copied().collect())
    }
}

impl Run {
    /// The whole of a series: its seconds together.
    pub fn whole(&self, series: Series) -> Distribution {
        self.intervals.get(&series).map(|intervals| Interval::whole(intervals)).unwrap_or_default()
    }
}
