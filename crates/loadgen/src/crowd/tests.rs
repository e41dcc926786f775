//! Connecting, coming back and giving up, with time standing still between the events; what a panic ends, and what the edges cost.

use tokio::time::Instant;

use super::*;
use crate::worker::tests::worker;

#[test]
fn the_crowd_does_not_come_back_as_one() {
    assert_eq!(backoff(1, 0, 0), Duration::ZERO);
    let waits: std::collections::HashSet<_> = (0..100).map(|client| backoff(client, 3, 4)).collect();
    assert!(waits.len() > 90);
    assert!(waits.iter().all(|wait| (Duration::from_millis(400)..=Duration::from_millis(800)).contains(wait)));
    assert!(backoff(7, 50, 50) <= BACKOFF_MAX);
}

/// Nobody listens at the target of these workers: every try is refused at once.
#[tokio::test(start_paused = true)]
async fn a_seat_tries_as_often_as_it_may_and_waits_longer_each_time() {
    let worker = worker(4, 2, "[limits]\nreconnects_max = 3\n");
    let begun = Instant::now();
    run_client(Rc::clone(&worker), Rc::clone(&worker.clients[0])).await;
    let faults = worker.faults.borrow();
    assert_eq!(faults.counts[&FaultKind::Refused], 4, "{faults:?}");
    assert_eq!(faults.texts[&FaultKind::System], ["client 0 came back too often and gave up"]);
    let waited: Duration = (1..=4).map(|tries| backoff(0, tries, tries)).sum();
    // The runtime's timer has a millisecond.
    let over = begun.elapsed().checked_sub(waited).expect("it waits at least that long");
    assert!(over <= Duration::from_millis(4), "{:?} instead of {waited:?}", begun.elapsed());
    worker.publish_progress();
    assert_eq!(worker.live.stopped.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn seats_connect_evenly_over_the_ramp() {
    let worker = worker(5, 1, "[limits]\nreconnects_max = 0\n[phases]\nramp_up_s = 10.0\n");
    LocalSet::new()
        .run_until(async {
            let begun = Instant::now();
            spawn(&worker, connect_clients(Rc::clone(&worker)));
            for (at_s, tries) in [(1, 1), (3, 2), (5, 3), (7, 4), (9, 5), (20, 5)] {
                sleep_until(begun + Duration::from_secs(at_s)).await;
                let found = worker.faults.borrow().counts.get(&FaultKind::Refused).copied().unwrap_or(0);
                assert_eq!(found, tries, "after {at_s} s");
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_client_ends_its_worker() {
    let worker = worker(1, 1, "");
    LocalSet::new()
        .run_until(async {
            spawn(&worker, async {});
            let quiet = tokio::time::timeout(Duration::from_secs(1), worker.task_panicked.notified()).await;
            assert!(quiet.is_err(), "a task that ends is no alarm");
            spawn(&worker, async { panic!("this panic belongs to the test") });
            worker.task_panicked.notified().await;
        })
        .await;
}

/// A clock that goes on by a microsecond whenever it is read: the one reading of sockets at each edge takes one.
#[tokio::test(start_paused = true)]
async fn asking_the_kernel_of_the_sockets_is_in_no_window() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let worker = worker(1, 1, "");
    let _open = crate::link::open(listener.local_addr().unwrap(), None, &worker.connections).await.unwrap();
    worker.clock.set_t0(Instant::now());
    let readings = std::cell::Cell::new(0);
    let (reports, mut read) = mpsc::channel(2);
    read_edges(worker, reports, || {
        readings.set(readings.get() + 1);
        Cpu { user_us: readings.get(), system_us: 2 * readings.get() }
    })
    .await;
    let mut edge = async || match read.recv().await {
        Some(WorkerEvent::Edge(reading)) => reading.cpu,
        _ => panic!("there are two edges"),
    };
    let (start, end) = (edge().await, edge().await);
    // First edge, asking (1), clients, second edge: two of three steps are the clients'.
    assert_eq!((end.user_us - start.user_us, end.system_us - start.system_us), (2, 4));
}
