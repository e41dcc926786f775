//! Three servers that share a log in Redis, and outages of their parts: what a server has accepted is
//! delivered once and in order. These tests run only where `redis-server` is installed.

use results::{RunRecord, Series, VerdictKind};
use wire::{Delivery, Transport};

use crate::bench::Bench;

/// Clients 4 to 7 and 16 to 19 of the scenario, which has four rooms, begin on the second server.
const CLIENTS_OF_A_NODE: u64 = 8;

/// One run of every transport with an outage.
async fn records_with(outage: &str) -> Vec<RunRecord> {
    let set = ["nodes=3", "log=redis", "phases.drain_idle_s=2"];
    let bench = Bench::with_lines(&set, &format!("[[outage]]\n{outage}")).await;
    bench.start("run", &[]).end().await;
    let records = bench.records();
    assert_eq!(records.len(), Transport::ALL.len());
    records
}

/// The same with an outage in which nothing is lost.
async fn with_outage(outage: &str) -> Vec<RunRecord> {
    let records = records_with(outage).await;
    for record in &records {
        assert!(record.ledger.is_clean(), "{} {:?}", record.transport, record.ledger);
        let log = record.log;
        let posts = record.slices[0].traffic.accepted;
        let is_restarted = outage.contains("kill-log");
        assert!(posts > 0 && (is_restarted || log.unwrap().commands > 3 * posts), "{} {log:?}", record.transport);
    }
    records
}

fn reconnects(record: &RunRecord) -> u64 {
    record.latency.get(&Series::ReconnectTime).map_or(0, |times| times.samples)
}

#[tokio::test]
async fn clients_of_a_killed_server_go_on_at_the_next() {
    for record in with_outage("what = 'kill-node'\nnode = 2\nat_s = 0.8").await {
        // A poll that fails may be answered before the next one is due.
        let is_polled = record.transport.info().delivery == Delivery::Polled;
        assert!(is_polled || reconnects(&record) == CLIENTS_OF_A_NODE, "{} {:?}", record.transport, record.faults);
        assert!(record.faults.total() >= CLIENTS_OF_A_NODE, "{} {:?}", record.transport, record.faults);
    }
}

#[tokio::test]
async fn a_server_that_is_stopped_for_a_moment_delivers_late() {
    for record in with_outage("what = 'stop-node'\nnode = 2\nat_s = 0.5\nfor_s = 0.6").await {
        assert_eq!((reconnects(&record), record.faults.total()), (0, 0), "{} {:?}", record.transport, record.faults);
        let longest = record.latency[&Series::DeliveryLatency].max_us;
        assert!(longest > 300_000, "{} {longest}", record.transport);
    }
}

#[tokio::test]
async fn readers_stay_while_the_log_is_killed_and_started_again() {
    for record in with_outage("what = 'kill-log'\nat_s = 0.5\nfor_s = 0.5").await {
        assert_eq!((reconnects(&record), record.faults.total()), (0, 0), "{} {:?}", record.transport, record.faults);
        let longest = record.latency[&Series::DeliveryLatency].max_us;
        assert!(longest > 300_000, "{} {longest}", record.transport);
    }
}

#[tokio::test]
async fn a_log_that_forgets_makes_a_run_wrong_by_what_was_accepted_before() {
    // At the end of the window: few posts follow, and most of them are refused.
    for record in records_with("what = 'forget-log'\nat_s = 1.9\nfor_s = 0.1").await {
        let ledger = &record.ledger;
        let accepted = record.total.accepted + u64::from(record.planned.rooms);
        let is_expected = (accepted * 4 / 5..=accepted).contains(&ledger.forgotten);
        assert!(is_expected, "{} {accepted}: {ledger:?}", record.transport);
        assert_eq!(record.verdict.kind, VerdictKind::Wrong, "{} {:?}", record.transport, record.verdict);
        let reason = format!("the shared log has forgotten {} messages that servers had accepted", ledger.forgotten);
        assert!(record.verdict.reasons.contains(&reason), "{} {:?}", record.transport, record.verdict);
    }
}
