//! Verdicts on invented noise.

use results::MetricId;

use super::*;
use crate::gate::{Block, Rule};
use crate::stats::Chance;

const COST: MetricId = MetricId::ServerCpuPerMessage;
const LOCK_STEP: MetricId = MetricId::BackToBackCpuPerMessage;
const RATE: MetricId = MetricId::DeliveredPerS;

/// Twelve rounds of `blocks`, in which head and base again are this many times base.
fn metric_blocks(metric: MetricId, blocks: usize, sigma: f64, head: f64, again: f64) -> MetricBlocks {
    let mut chance = Chance::new(11, 0);
    let mut value = |factor: f64| 100.0 * factor * (sigma * chance.normal()).exp();
    let rounds = (1..=12).flat_map(|round| std::iter::repeat_n(round, blocks));
    let blocks = rounds.map(|round| Block { round, base: value(1.0), head: value(head), again: value(again) });
    let threshold = metric.info().gate;
    MetricBlocks { transport: "tcp".to_owned(), metric, threshold, blocks: blocks.collect() }
}

fn judged(blocks: MetricBlocks) -> ComparisonRow {
    judge(&[blocks], Rule::of(12, results::Mode::Load).looks().last().unwrap()).remove(0)
}

#[test]
fn a_higher_cost_and_a_lower_rate_are_regressions() {
    for blocks in [1, 10] {
        let verdict = |metric, head| judged(metric_blocks(metric, blocks, 0.01, head, 1.0)).verdict;
        for cost in [COST, LOCK_STEP] {
            assert_eq!(verdict(cost, 1.2), Some(GateVerdict::Regression), "{cost:?} {blocks}");
            assert_eq!(verdict(cost, 0.8), Some(GateVerdict::Improved), "{cost:?} {blocks}");
            assert_eq!(verdict(cost, 1.0), Some(GateVerdict::Same), "{cost:?} {blocks}");
        }
        assert_eq!(verdict(RATE, 1.2), Some(GateVerdict::Improved));
        assert_eq!(verdict(RATE, 0.8), Some(GateVerdict::Regression));
        assert_eq!(verdict(COST, 1.01), Some(GateVerdict::Same));
        assert_eq!(verdict(MetricId::DeliveryMax, 1.2), None, "the metric is not judged");
    }
}

#[test]
fn the_threshold_of_the_caller_counts() {
    let verdict =
        |threshold| judged(MetricBlocks { threshold, ..metric_blocks(LOCK_STEP, 20, 0.01, 1.015, 1.0) }).verdict;
    assert_eq!(verdict(Some(0.01)), Some(GateVerdict::Regression));
    assert_eq!(verdict(Some(0.02)), Some(GateVerdict::Same));
    assert_eq!(verdict(None), None);
}

#[test]
fn ratios_are_head_divided_by_base() {
    for metric in [COST, RATE, LOCK_STEP] {
        let row = judged(metric_blocks(metric, 10, 0.02, 1.2, 1.0));
        let (low, high) = row.interval.unwrap();
        assert!(low < row.ratio && row.ratio < high && (row.ratio - 1.2).abs() < 0.02, "{row:?}");
        assert!((row.head / row.base - row.ratio).abs() < 0.02, "{row:?}");
        assert_eq!((row.rounds, row.blocks, row.again.len()), (12, 120, 12));
        let worse = row.smallest_effect.unwrap();
        assert_eq!(worse > 1.0, metric != RATE, "{row:?}");
    }
}

#[test]
fn a_base_that_differs_from_itself_by_what_matters_is_inconclusive() {
    for metric in [COST, LOCK_STEP] {
        let row = judged(metric_blocks(metric, 10, 0.02, 1.3, 1.2));
        assert_eq!(row.verdict, Some(GateVerdict::Inconclusive(InconclusiveReason::Machine)));
        assert!(row.p_again < 0.01 && row.again.iter().all(|again| (again - 1.2).abs() < 0.1), "{row:?}");
        let row = judged(metric_blocks(metric, 10, 0.002, 1.3, 1.01));
        assert!(row.p_again < 0.01 && row.verdict == Some(GateVerdict::Regression), "{row:?}");
    }
}

#[test]
fn a_change_that_base_against_base_again_shows_too_is_none() {
    let mut chance = Chance::new(5, 0);
    let mut round = |round| {
        let shift = [1.3_f64, 1.0 / 1.3][chance.below(2)];
        (0..20).map(move |_| Block { round, base: 1.0, head: 1.08 * shift.sqrt(), again: shift })
    };
    let blocks = (1..=12).flat_map(&mut round).collect();
    let threshold = Some(0.05);
    let row = judged(MetricBlocks { transport: "tcp".to_owned(), metric: COST, threshold, blocks });
    assert_eq!(row.verdict, Some(GateVerdict::Inconclusive(InconclusiveReason::Noise)), "{row:?}");
}

#[test]
fn noisy_values_are_inconclusive_with_the_smallest_effect_and_the_needed_rounds() {
    let row = judged(metric_blocks(COST, 1, 0.2, 1.0, 1.0));
    assert_eq!(row.verdict, Some(GateVerdict::Inconclusive(InconclusiveReason::Noise)));
    assert!(row.smallest_effect.unwrap() > 1.2, "{row:?}");
    assert!(row.rounds_to_decide.is_none_or(|rounds| rounds > 50), "{row:?}");
}

#[test]
fn too_few_rounds_have_no_verdict() {
    for (metric, least) in [(COST, 6), (LOCK_STEP, 10)] {
        let verdict = |rounds| {
            let mut blocks = metric_blocks(metric, 10, 0.005, 1.0, 1.0);
            blocks.blocks.retain(|block| block.round <= rounds);
            judged(blocks).verdict
        };
        assert_eq!(verdict(least - 1), Some(GateVerdict::Inconclusive(InconclusiveReason::Missing)));
        assert_eq!(verdict(least), Some(GateVerdict::Same));
    }
    let none = judged(MetricBlocks { blocks: Vec::new(), ..metric_blocks(COST, 1, 0.0, 1.0, 1.0) });
    assert_eq!((none.ratio, none.p, none.rounds), (1.0, 1.0, 0));
}

#[test]
fn constant_values_are_the_same_and_exact_changes_are_found() {
    for metric in [COST, LOCK_STEP] {
        let of = |head| judged(metric_blocks(metric, 4, 0.0, head, 1.0));
        assert_eq!((of(1.0).verdict, of(1.0).ratio, of(1.0).p), (Some(GateVerdict::Same), 1.0, 1.0));
        assert_eq!(of(1.25).verdict, Some(GateVerdict::Regression));
    }
}

/// Processes of one program that differ, with their labels drawn anew in every round.
#[test]
fn processes_that_differ_are_no_change() {
    let (mut alarms, jobs) = (0, 400);
    for job in 0..jobs {
        let mut chance = Chance::new(3, job);
        let round = |round| {
            let processes = [0, 1, 2].map(|_| (0.03 * chance.normal()).exp());
            (0..8).map(move |_| Block { round, base: processes[0], head: processes[1], again: processes[2] })
        };
        let blocks = (1..=12).flat_map(round).collect();
        let cell = MetricBlocks { transport: String::new(), metric: LOCK_STEP, threshold: Some(0.0), blocks };
        alarms += u32::from(judged(cell).p <= 0.01);
    }
    assert!(alarms <= 10, "{alarms} of {jobs}");
}

#[test]
fn a_count_is_compared_without_a_test() {
    let count = MetricId::BackToBackBytesPerMessage;
    let of = |head, again| {
        let mut blocks = metric_blocks(count, 2, 0.0, head, again);
        // Two blocks in which a number has one digit more, and one in which a heartbeat was sent.
        blocks.blocks.truncate(5);
        for block in &mut blocks.blocks[3..] {
            *block = Block { base: block.base + 1.0, head: block.head + 1.0, again: block.again + 1.0, ..*block };
        }
        blocks.blocks[0].head += 5.0;
        judged(blocks).verdict
    };
    assert_eq!(of(1.0, 1.0), Some(GateVerdict::Same));
    assert_eq!(of(1.01, 1.0), Some(GateVerdict::Regression));
    assert_eq!(of(0.99, 1.0), Some(GateVerdict::Improved));
    assert_eq!(of(1.01, 1.01), Some(GateVerdict::Inconclusive(InconclusiveReason::Machine)));
    // It does not make the others less certain.
    let cost = metric_blocks(COST, 10, 0.02, 1.2, 1.0);
    let look = Rule::of(12, results::Mode::Load);
    let look = look.looks().last().unwrap();
    let with_count = judge(&[cost.clone(), metric_blocks(count, 2, 0.0, 1.0, 1.0)], look);
    assert_eq!(with_count[0], judge(&[cost], look)[0]);
}
