//! Several load generators that share the clients of a run.

use nix::sys::signal::Signal;
use results::{RunRecord, Series, TrafficCounts};
use wire::Transport;

use crate::bench::{Bench, Job, assert_valid};
use crate::processes::{JobServer, children, signal, until_gone};

/// They do not divide the four rooms, so that one of them has two rooms.
const AGENTS: [&str; 2] = ["--agents", "local:3"];
/// A window that is longer than the timeout of a job: such a run must end early.
const LONG: [&str; 3] = ["transports=tcp", "posts.per_client_per_s=10", "phases.window_s=600"];

/// A job of every transport; checks that each record agrees with itself.
async fn records(more: &[&str]) -> Vec<RunRecord> {
    let bench = Bench::new(&[]).await;
    bench.start("run", more).end().await.assert_completed();
    let mut records = bench.records();
    for record in &records {
        assert_valid(record);
        let (ledger, slice) = (&record.ledger, &record.slices[0]);
        assert_eq!(record.total.delivered, ledger.received, "{}", record.transport);
        let by_second = record.seconds.iter().map(|second| second.delivered).sum::<u64>();
        assert_eq!(by_second, record.total.delivered, "{} {:?}", record.transport, record.seconds);
        // The last second may contain some of the load generators only.
        assert_eq!(record.seconds[0].connected, record.planned.clients, "{} {:?}", record.transport, record.seconds);
        let delivery = &bench.histograms(record.run)["delivery_latency"];
        assert_eq!(delivery.len(), record.planned.deliveries_in_window, "{}", record.transport);
        if slice.drained {
            assert_eq!(slice.delivery_p50_us, Some(delivery.value_at_quantile(0.5)), "{}", record.transport);
        }
        assert_eq!(record.latency[&Series::DeliveryLatency].max_us, delivery.max(), "{}", record.transport);
        assert!(slice.server_cpu_ns > Some(0) && record.generator.resident_bytes_clients > 0, "{slice:?}");
    }
    records.sort_by_key(|record| record.transport);
    records
}

/// The counts that do not depend on which messages share a read.
fn counts(traffic: &TrafficCounts) -> TrafficCounts {
    let mut counts = *traffic;
    (counts.socket_reads, counts.socket_writes, counts.batches, counts.posts_delayed) = (0, 0, 0, 0);
    counts
}

#[tokio::test]
async fn several_load_generators_measure_what_one_does() {
    let (one, several) = (records(&[]).await, records(&AGENTS).await);
    assert_eq!(one.len(), several.len());
    for (one, several) in one.iter().zip(&several) {
        assert_eq!((one.transport, &one.ledger), (several.transport, &several.ledger));
        assert_eq!(one.planned, several.planned, "{}", one.transport);
        let posts = |record: &RunRecord| (record.total.posted, record.total.accepted, record.total.connections);
        assert_eq!(posts(one), posts(several), "{}", one.transport);
        // The framing of the others depends on it too.
        if matches!(one.transport, Transport::Tcp | Transport::Websocket) {
            assert_eq!(counts(&one.total), counts(&several.total), "{}", one.transport);
        }
    }
}

/// The load generators of a job in its window.
async fn in_the_window(bench: &Bench) -> (Job, Vec<u32>) {
    let job = bench.start("run", &AGENTS);
    JobServer::of(job.pid()).await.until_posts(Transport::Tcp, 100).await;
    let is_generator = |pid: &u32| {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split('\0').nth(1) == Some("generate")
    };
    let generators: Vec<_> = children(job.pid()).into_iter().filter(is_generator).collect();
    assert_eq!(generators.len(), 3);
    (job, generators)
}

#[tokio::test]
async fn a_run_whose_load_generator_is_killed_is_invalid_and_keeps_the_rest() {
    let bench = Bench::new(&LONG).await;
    let (job, generators) = in_the_window(&bench).await;
    signal(generators[1], Signal::SIGKILL);
    let ended = job.end().await;
    assert_eq!(ended.code, Some(6), "{ended:#?}");
    let record = bench.record();
    let reasons = record.verdict.reasons.join("; ");
    assert!(reasons.contains(" of 3 has ended, signal: 9 (SIGKILL)"), "{reasons}");
    assert!(record.total.delivered > 0 && record.seconds.iter().any(|second| second.delivered > 0), "{record:?}");
    for pid in generators {
        until_gone(pid).await;
    }
}

#[tokio::test]
async fn load_generators_end_with_a_job_that_is_killed() {
    let bench = Bench::new(&LONG).await;
    let (job, generators) = in_the_window(&bench).await;
    signal(job.pid(), Signal::SIGKILL);
    for pid in generators {
        until_gone(pid).await;
    }
    assert_eq!(job.end().await.code, None);
}
