//! The text of every reason against a run, and the order of verdicts if there are several.

mod machine;

use wire::{Encoding, Transport};

use super::*;
use crate::{
    Cpu, Crash, Faults, GeneratorUsage, Incident, IncidentKind, LatencySummary, LedgerSummary, MachineState,
    PlannedLoad, Quantile, SCHEMA, Second, Slice, TrafficCounts,
};

/// A valid run: ten seconds, 1,000 posts to 10 receivers each.
pub(super) fn valid_run() -> RunRecord {
    let latency = [(Series::DeliveryLatency, latency(400, 900)), (Series::SendDelay, latency(40, 120))];
    RunRecord {
        schema: SCHEMA,
        run: 1,
        round: 1,
        mode: crate::Mode::Load,
        point: String::new(),
        transport: Transport::Sse,
        target: wire::BUILTIN_SERVER.to_owned(),
        http_client: "built-in".to_owned(),
        encoding: Encoding::Json,
        verdict: RunVerdict { kind: VerdictKind::Invalid, reasons: Vec::new() },
        ended: RunEnd::Complete,
        planned: PlannedLoad {
            clients: 100,
            rooms: 10,
            payload_bytes: 120,
            slices: 1,
            window_us: 10_000_000,
            posts_in_window: 1_000,
            posts_sent_in_window: 1_000,
            deliveries_in_window: 10_000,
            outages: 0,
        },
        latency: latency.into(),
        saturated: 0,
        negative: 0,
        seconds: medians(&[400; 12]),
        set_up: TrafficCounts::default(),
        slices: vec![Slice {
            block: 1,
            position: 1,
            window_us: 10_000_000,
            traffic: traffic(10_000),
            generator_cpu: Cpu { user_us: 1_000_000, system_us: 1_000_000 },
            dropped: None,
            server_cpu_ns: None,
            delivery_p50_us: Some(400),
            drain_us: 1_000,
            drained: true,
        }],
        total: traffic(12_000),
        ledger: LedgerSummary { scheduled: 12_000, received: 12_000, ..LedgerSummary::default() },
        faults: Faults::default(),
        generator: GeneratorUsage { core_usage_max: 0.2, resident_bytes_clients: 0 },
        server: None,
        tcp: None,
        log: None,
        machine: MachineState {
            cpu_probe_before: 50.0,
            cpu_probe_after: 50.0,
            cpu_probe_best: 50.0,
            stolen_share: 0.0,
            throttled_us: 0,
        },
    }
}

fn traffic(delivered: u64) -> TrafficCounts {
    let mut counts = TrafficCounts::default();
    counts.delivered = delivered;
    counts
}

fn latency(p50_us: u64, p99_us: u64) -> LatencySummary {
    let quantile = |us| Quantile { us, low_us: us, high_us: us };
    let quantiles = [("p50".to_owned(), quantile(p50_us)), ("p99".to_owned(), quantile(p99_us))];
    LatencySummary {
        samples: 1_000,
        independent: 1_000,
        quantiles: quantiles.into(),
        max_us: p99_us,
        mean_us: p50_us as f64,
    }
}

fn medians(p50_us: &[u64]) -> Vec<Second> {
    let row = |(second, p50_us): (u32, &u64)| Second {
        second,
        delivered: 1_000,
        posted: 100,
        requests: 0,
        connected: 100,
        faults: 0,
        delivery_p50_us: Some(*p50_us),
        delivery_p99_us: None,
        delivery_max_us: None,
        server: None,
    };
    (0..).zip(p50_us).map(row).collect()
}

/// The verdict on a valid run with this change.
fn judged(change: impl FnOnce(&mut RunRecord)) -> (VerdictKind, Vec<String>) {
    let mut record = valid_run();
    change(&mut record);
    let verdict = judge(&record);
    (verdict.kind, verdict.reasons)
}

pub(super) fn expect(kind: VerdictKind, reasons: &[&str], change: impl FnOnce(&mut RunRecord)) {
    assert_eq!(judged(change), (kind, reasons.iter().map(|reason| (*reason).to_owned()).collect()));
}

#[test]
fn a_run_without_faults_is_valid() {
    expect(VerdictKind::Valid, &[], |_| {});
}

#[test]
fn wrong_messages_are_counted_and_the_first_is_named() {
    let cases = [
        (IncidentKind::Lost, "lost", "lost"),
        (IncidentKind::Duplicated, "duplicated", "duplicated"),
        (IncidentKind::Reordered, "out of order", "reordered"),
        (IncidentKind::Corrupted, "corrupted", "corrupted"),
        (IncidentKind::Unexpected, "not in the plan", "unexpected"),
    ];
    for (kind, in_reason, name) in cases {
        let reasons = [&*format!("3 of 12000 deliveries {in_reason}"), &*format!("first: {name} at client 17, seq 4")];
        expect(VerdictKind::Wrong, &reasons, |record| {
            let ledger = &mut record.ledger;
            let count = match kind {
                IncidentKind::Lost => &mut ledger.lost,
                IncidentKind::Duplicated => &mut ledger.duplicated,
                IncidentKind::Reordered => &mut ledger.reordered,
                IncidentKind::Corrupted => &mut ledger.corrupted,
                IncidentKind::Unexpected => &mut ledger.unexpected,
            };
            *count = 3;
            ledger.incidents = vec![Incident { kind, client: 17, seq: 4 }];
        });
    }
}

#[test]
fn all_kinds_of_wrong_messages_are_listed() {
    let reasons = ["1 of 12000 deliveries lost", "2 of 12000 deliveries duplicated"];
    expect(VerdictKind::Wrong, &reasons, |record| (record.ledger.lost, record.ledger.duplicated) = (1, 2));
}

#[test]
fn messages_that_the_server_reports_as_gone_are_wrong() {
    let reasons = ["the server reported that 12 messages were no longer available", "first: lost at client 17, seq 4"];
    expect(VerdictKind::Wrong, &reasons, |record| {
        record.ledger.gap_messages = 12;
        record.ledger.incidents = vec![Incident { kind: IncidentKind::Lost, client: 17, seq: 4 }];
    });
}

#[test]
fn missing_deliveries_of_an_interrupted_run_are_not_lost() {
    expect(VerdictKind::Invalid, &["interrupted"], |record| {
        record.ended = RunEnd::Interrupted;
        record.ledger.lost = 100;
        record.planned.posts_sent_in_window = 10;
    });
    let reasons = ["1 of 12000 deliveries duplicated"];
    expect(VerdictKind::Wrong, &reasons, |record| {
        record.ended = RunEnd::Interrupted;
        record.ledger.duplicated = 1;
    });
}

#[test]
fn a_failed_run_has_its_reason_and_its_faults() {
    let reasons = ["only 7 of 20 clients joined", "refused 2 times (connection refused)", "reset 1 times (gone)"];
    expect(VerdictKind::Invalid, &reasons, |record| {
        record.ended = RunEnd::Failed("only 7 of 20 clients joined".to_owned());
        record.faults.note(FaultKind::Refused, "connection refused".to_owned());
        record.faults.note(FaultKind::Reset, "gone".to_owned());
        record.faults.note(FaultKind::Refused, "connection refused again".to_owned());
    });
}

#[test]
fn a_server_that_ends_is_a_crash_whatever_the_faults() {
    let how = "the server exited with status 1 during the run";
    let crash = |record: &mut RunRecord| {
        record.ended = RunEnd::Crashed(Crash { how: how.to_owned(), last_output: vec!["boom".to_owned()] });
        record.ledger.lost = 100;
        record.planned.posts_sent_in_window = 10;
        record.machine.cpu_probe_after = 10.0;
        (0..40).for_each(|_| record.faults.note(FaultKind::Reset, "gone".to_owned()));
    };
    expect(VerdictKind::Crashed, &[how], crash);
    expect(VerdictKind::Wrong, &["1 of 12000 deliveries corrupted", how], |record| {
        crash(record);
        record.ledger.corrupted = 1;
    });
}

#[test]
fn a_run_whose_posts_did_not_reach_the_server_is_invalid() {
    let reasons = [
        "121 of 12000 deliveries are missing because their posts never reached the server",
        "asked to come later 40 times (status 503)",
    ];
    let refused = |undelivered| {
        move |record: &mut RunRecord| {
            (record.ledger.received, record.ledger.undelivered_posts) = (12_000 - undelivered, undelivered);
            (0..40).for_each(|_| record.faults.note(FaultKind::RetryLater, "status 503".to_owned()));
        }
    };
    expect(VerdictKind::Invalid, &reasons, refused(121));
    expect(VerdictKind::Valid, &[], refused(120));
    // In an outage posts are refused.
    expect(VerdictKind::Valid, &[], |record| {
        refused(6_000)(record);
        record.planned.outages = 1;
    });
}

#[test]
fn a_run_without_deliveries_is_invalid() {
    let (kind, reasons) = judged(|record| {
        (record.ledger.received, record.ledger.undelivered_posts) = (0, 12_000);
        record.latency.clear();
        record.seconds.clear();
        (record.slices[0].traffic, record.total) = (TrafficCounts::default(), TrafficCounts::default());
    });
    assert_eq!((kind, reasons.len()), (VerdictKind::Invalid, 1), "{reasons:?}");
}

#[test]
fn a_run_without_planned_posts_is_valid() {
    expect(VerdictKind::Valid, &[], |record| {
        record.latency.clear();
        record.seconds.clear();
        record.ledger = LedgerSummary::default();
        (record.slices[0].traffic, record.total) = (TrafficCounts::default(), TrafficCounts::default());
        let planned = &mut record.planned;
        (planned.posts_in_window, planned.posts_sent_in_window, planned.deliveries_in_window) = (0, 0, 0);
    });
}

#[test]
fn limits_of_the_machine_make_a_run_invalid_even_once() {
    for (kind, reason) in [
        (FaultKind::OutOfFiles, "out of open files 1 times (EMFILE)"),
        (FaultKind::OutOfPorts, "out of ports 1 times (EMFILE)"),
    ] {
        expect(VerdictKind::Invalid, &[reason], |record| record.faults.note(kind, "EMFILE".to_owned()));
    }
    expect(VerdictKind::Valid, &[], |record| record.faults.note(FaultKind::Reset, "gone".to_owned()));
}

#[test]
fn a_run_with_a_busy_generator_is_invalid() {
    let reason = "the load generator used 86 % of a core (limit 85 %), it may be the bottleneck: give it more cores or reduce the load";
    expect(VerdictKind::Invalid, &[reason], |record| record.generator.core_usage_max = 0.86);
    expect(VerdictKind::Valid, &[], |record| record.generator.core_usage_max = 0.85);
}

#[test]
fn posts_may_be_a_millisecond_late_or_a_twentieth_of_the_median() {
    let late = |late_us, median_us| {
        move |record: &mut RunRecord| {
            record.latency.insert(Series::SendDelay, latency(10, late_us));
            record.latency.insert(Series::DeliveryLatency, latency(median_us, 2 * median_us));
        }
    };
    expect(VerdictKind::Valid, &[], late(1_000, 400));
    expect(VerdictKind::Invalid, &["posts were sent up to 2000 µs late (p90, limit 1000 µs)"], |record| {
        late(2_000, 400)(record);
        let few = &mut record.latency.get_mut(&Series::SendDelay).unwrap().quantiles;
        let p99 = few.remove("p99").unwrap();
        few.insert("p90".to_owned(), p99);
    });
    expect(VerdictKind::Invalid, &["posts were sent up to 1001 µs late (p99, limit 1000 µs)"], late(1_001, 400));
    expect(VerdictKind::Valid, &[], late(25_000, 500_000));
    expect(VerdictKind::Invalid, &["posts were sent up to 25001 µs late (p99, limit 25000 µs)"], late(25_001, 500_000));
}

#[test]
fn the_offered_rate_may_be_one_percent_off() {
    expect(VerdictKind::Valid, &[], |record| record.planned.posts_sent_in_window = 990);
    let reason = "only 989 of 1000 posts scheduled in the window were sent";
    expect(VerdictKind::Invalid, &[reason], |record| record.planned.posts_sent_in_window = 989);
}

#[test]
fn a_growing_median_is_a_backlog() {
    let growing = [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 9_000, 10_000];
    let reason = "the median latency grew by 9000 µs during the window, from about 5500 µs";
    expect(VerdictKind::Overloaded, &[reason], |record| record.seconds = medians(&growing));
    // Latencies of polling follow its schedule, and four seconds are too few.
    expect(VerdictKind::Valid, &[], |record| {
        (record.seconds, record.transport) = (medians(&growing), Transport::Polling);
    });
    expect(VerdictKind::Valid, &[], |record| record.seconds = medians(&growing[..4]));
    // Less than a millisecond, or less than the scatter of the seconds, is not growth.
    expect(VerdictKind::Valid, &[], |record| record.seconds = medians(&[400, 500, 600, 700, 800, 900]));
    let scattered = [9_000, 1_000, 8_000, 2_000, 7_000, 3_000, 9_500, 1_500, 8_500, 4_000];
    expect(VerdictKind::Valid, &[], |record| record.seconds = medians(&scattered));
}

#[test]
fn late_deliveries_in_the_drain_are_no_backlog() {
    let mut with_drain = vec![400; 10];
    with_drain.extend([300_000, 600_000, 900_000]);
    expect(VerdictKind::Valid, &[], |record| record.seconds = medians(&with_drain));
}

#[test]
fn deliveries_that_are_far_behind_at_the_end_are_a_backlog() {
    let reason = "1001 deliveries were still missing when the window ended";
    expect(VerdictKind::Overloaded, &[reason], |record| record.slices[0].traffic.delivered = 8_999);
    expect(VerdictKind::Valid, &[], |record| record.slices[0].traffic.delivered = 9_000);
    // With a latency of two seconds, the deliveries of two seconds are always missing.
    expect(VerdictKind::Valid, &[], |record| {
        record.slices[0].traffic.delivered = 8_000;
        record.latency.insert(Series::DeliveryLatency, latency(2_000_000, 4_000_000));
    });
}

#[test]
fn long_and_unfinished_drains_of_slices_are_a_backlog() {
    let slices = |long: usize, unfinished: usize| {
        move |record: &mut RunRecord| {
            let slice = Slice { window_us: 100_000, traffic: traffic(1_000), ..record.slices[0].clone() };
            record.slices = vec![slice; 10];
            record.planned.slices = 12;
            record.slices.iter_mut().take(long).for_each(|slice| slice.drain_us = 100_001);
            record.slices.iter_mut().take(unfinished).for_each(|slice| slice.drained = false);
        }
    };
    expect(VerdictKind::Valid, &[], slices(5, 2));
    expect(VerdictKind::Overloaded, &["in 6 of 10 slices the drain took longer than the window"], slices(6, 0));
    let reason = "after 3 of 10 slices, deliveries were still missing when the drain ended";
    expect(VerdictKind::Overloaded, &[reason], slices(0, 3));
    expect(VerdictKind::Valid, &[], |record| {
        slices(10, 0)(record);
        record.transport = Transport::Polling;
    });
}

#[test]
fn wrong_comes_before_invalid_and_invalid_before_overloaded() {
    let overloaded = |record: &mut RunRecord| record.slices[0].traffic.delivered = 5_000;
    let invalid = |record: &mut RunRecord| {
        overloaded(record);
        record.machine.cpu_probe_after = 10.0;
    };
    assert_eq!(judged(overloaded).0, VerdictKind::Overloaded);
    expect(
        VerdictKind::Invalid,
        &[
            "the CPU probe reached 20 % of its best rate in this job (limit 75 %): another process or the host used the CPU",
        ],
        invalid,
    );
    expect(VerdictKind::Wrong, &["1 of 12000 deliveries corrupted"], |record| {
        invalid(record);
        record.ledger.corrupted = 1;
    });
}
