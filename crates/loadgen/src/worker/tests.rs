//! Connecting, reconnecting and the samples at the edges, in paused time.

use results::{Cpu, FaultKind};
use tokio::time::timeout;

use super::*;
use crate::testing::{listener, worker};

#[test]
fn clients_reconnect_at_different_instants() {
    assert_eq!(backoff(1, 0, 0), Duration::ZERO);
    let waits: std::collections::HashSet<_> = (0..100).map(|client| backoff(client, 3, 4)).collect();
    assert!(waits.len() > 90);
    assert!(waits.iter().all(|wait| (Duration::from_millis(400)..=Duration::from_millis(800)).contains(wait)));
    assert!(backoff(7, 50, 50) <= BACKOFF_MAX);
}

/// Nothing listens at the target of these workers: every attempt is refused at once.
#[tokio::test(start_paused = true)]
async fn a_client_uses_its_reconnects_and_waits_longer_each_time() {
    let worker = worker(4, 2, "[limits]\nreconnects_max = 3\n");
    let begun = Instant::now();
    run_client(worker.session(0)).await;
    let faults = worker.run.faults.borrow();
    assert_eq!(faults.counts[&FaultKind::Refused], 4, "{faults:?}");
    assert_eq!(faults.texts[&FaultKind::System], ["client 0 used all 3 reconnects"]);
    let waited: Duration = (1..=4).map(|attempt| backoff(0, attempt, attempt)).sum();
    // The runtime's timer has a resolution of 1 ms.
    let over = begun.elapsed().checked_sub(waited).expect("the client waits at least that long");
    assert!(over <= Duration::from_millis(4), "{:?} instead of {waited:?}", begun.elapsed());
    let progress = ProgressCounters::default();
    publish_progress(&worker.run, &progress);
    assert_eq!(progress.stopped.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn clients_connect_evenly_over_the_ramp() {
    let worker = worker(5, 1, "[limits]\nreconnects_max = 0\n[phases]\nramp_up_s = 10.0\n");
    LocalSet::new()
        .run_until(async {
            let begun = Instant::now();
            worker.tasks.spawn(connect_clients(worker.clone(), Rc::default()));
            for (at_s, attempts) in [(1, 1), (3, 2), (5, 3), (7, 4), (9, 5), (20, 5)] {
                sleep_until(begun + Duration::from_secs(at_s)).await;
                let found = worker.run.faults.borrow().counts.get(&FaultKind::Refused).copied().unwrap_or(0);
                assert_eq!(found, attempts, "after {at_s} s");
            }
        })
        .await;
}

/// A CPU clock that advances by 1 µs per reading. Reading the socket counts takes one reading per
/// edge.
#[tokio::test(start_paused = true)]
async fn reading_the_socket_counts_is_in_no_window() {
    let listener = listener();
    let run = worker(1, 1, "").run;
    let _open = crate::net::connection::open(listener.local_addr().unwrap(), None, &run.connections).await.unwrap();
    run.clock.set_t0(Instant::now());
    let readings = std::cell::Cell::new(0);
    let (events, mut received) = mpsc::channel(2);
    let sampling = checkpoints::sample_edges(run, events, || {
        readings.set(readings.get() + 1);
        Cpu { user_us: readings.get(), system_us: 2 * readings.get() }
    });
    timeout(Duration::from_secs(3600), sampling).await.expect("both edges are within an hour");
    let mut edge = async || match received.recv().await {
        Some(WorkerEvent::Edge(sample)) => sample.cpu,
        _ => panic!("there are two edges"),
    };
    let (start, end) = (edge().await, edge().await);
    // First edge, reading the counts, the clients, second edge: two of three steps are the
    // clients'.
    assert_eq!((end.user_us - start.user_us, end.system_us - start.system_us), (2, 4));
}
