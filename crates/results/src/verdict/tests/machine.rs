//! Runs that the machine made invalid.

use wire::Transport;

use super::super::{Mode, VerdictKind};
use super::expect;
use crate::RunRecord;

#[test]
fn a_slow_cpu_probe_before_or_after_a_run_makes_it_invalid() {
    let reason = "the CPU probe reached 74 % of its best rate in this job (limit 75 %): another process or the host used the CPU";
    expect(VerdictKind::Invalid, &[reason], |record| record.machine.cpu_probe_before = 37.0);
    expect(VerdictKind::Invalid, &[reason], |record| record.machine.cpu_probe_after = 37.0);
    expect(VerdictKind::Valid, &[], |record| record.machine.cpu_probe_after = 38.0);
}

#[test]
fn a_run_that_did_not_reach_its_window_is_invalid() {
    expect(
        VerdictKind::Invalid,
        &["no window fitted into its round: give a longer --budget, or fewer transports"],
        |record| record.slices[0].window_us = 0,
    );
    expect(VerdictKind::Invalid, &["all its slices were dropped: the host took CPU time"], |record| {
        record.slices.iter_mut().for_each(|slice| slice.dropped = Some("the host took CPU time".to_owned()));
    });
}

#[test]
fn a_round_in_lock_step_needs_four_slices() {
    let in_lock_step = |kept: usize| {
        move |record: &mut RunRecord| {
            record.mode = Mode::LockStep;
            record.slices = vec![record.slices[0].clone(); kept];
        }
    };
    let reason =
        "only 3 of its slices in lock-step count, 4 are needed: end other programs, or measure fewer transports";
    expect(VerdictKind::Invalid, &[reason], in_lock_step(3));
    expect(VerdictKind::Valid, &[], in_lock_step(4));
    // Polling takes part in few blocks.
    expect(VerdictKind::Valid, &[], |record| {
        in_lock_step(1)(record);
        record.transport = Transport::Polling;
    });
}

#[test]
fn stolen_and_throttled_cpu_make_a_run_invalid() {
    expect(VerdictKind::Invalid, &["the host took 2.0 % of the CPU time"], |record| record.machine.stolen_share = 0.02);
    expect(VerdictKind::Invalid, &["a CPU quota stopped the processes for 30 ms"], |record| {
        record.machine.throttled_us = 30_000
    });
}
