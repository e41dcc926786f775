//! Table of the simulated error rates, and the check against the stated ones.

use super::{Counts, EFFECT, Noise, SIGMA};
use crate::stats::clopper_pearson;

/// Stated false-alarm rate of a job.
const ALARMS_MAX: f64 = 0.01;
/// Number of blocks for which detection rates are stated.
const BLOCKS_PROMISED: usize = 16;

/// Whether this number of false alarms contradicts the stated rate.
pub fn too_many(alarms: u64, jobs: u64) -> bool {
    clopper_pearson(alarms, jobs).0 > ALARMS_MAX
}

/// Whether trials contradict the stated rates: false alarms beyond the error of the trials,
/// detections at all.
pub fn broken(noise: Noise, blocks: usize, counts: Counts) -> bool {
    let promised = noise.detection_min().filter(|_| blocks >= BLOCKS_PROMISED);
    let (_, found_at_most) = clopper_pearson(counts.found, counts.trials);
    too_many(counts.alarms, counts.trials) || promised.is_some_and(|least| found_at_most < least)
}

/// One row per kind of noise, with 95 % intervals (Clopper and Pearson).
pub fn table(blocks: usize, rows: &[(Noise, Counts)]) -> String {
    let trials = rows.first().map_or(0, |(_, counts)| counts.trials);
    let mut out = format!(
        "{trials} simulated jobs per row, {blocks} blocks, 4 gated metrics, {:.0} % noise, threshold 5 %\n\n{:<21} {:>23} {:>24} {:>9} {:>7}\n",
        SIGMA * 100.0,
        "noise",
        "jobs with false alarm",
        format!("+{:.0} % found", EFFECT * 100.0),
        "all same",
        "blocks"
    );
    for (noise, counts) in rows {
        let percent = |n: u64| 100.0 * n as f64 / counts.trials.max(1) as f64;
        let share = |n: u64| {
            let (low, high) = clopper_pearson(n, counts.trials);
            format!("{:.2} % [{:.2}–{:.2}]", percent(n), low * 100.0, high * 100.0)
        };
        let mark = if broken(*noise, blocks, *counts) { "  outside the stated error rate" } else { "" };
        out += &format!(
            "{:<21} {:>23} {:>24} {:>7.1} % {:>7.1}{mark}\n",
            noise.name(),
            share(counts.alarms),
            share(counts.found),
            percent(counts.all_same),
            counts.blocks as f64 / counts.trials.max(1) as f64
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_broken_beyond_the_error_of_the_trials() {
        let of = |alarms, found| Counts { trials: 2_000, alarms, found, ..Counts::default() };
        for (alarms, found, wrong) in [(20, 1_900, false), (27, 1_900, false), (33, 1_900, true), (0, 1_700, true)] {
            assert_eq!(broken(Noise::Drift, 16, of(alarms, found)), wrong, "{alarms} {found}");
        }
        assert!(!broken(Noise::Spikes, 16, of(0, 100)) && !broken(Noise::Drift, 8, of(0, 100)));
        let table = table(16, &[(Noise::Drift, of(33, 1_900))]);
        assert!(table.contains("1.65 %") && table.contains("outside the stated error rate"), "{table}");
    }
}
