//! Connecting, reconnecting and drains, in paused time.

use results::FaultKind;
use tokio::time::advance;
use wire::Transport;

use super::events::SliceSample;
use super::*;
use crate::config::RunConfig;
use crate::cpu_clock::ServerClocks;
use crate::run_context::WorkerIndex;
use crate::testing::{plan, target, worker};

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

/// Runs the only slice of a plan in paused time while `deliver` sets what has been delivered.
async fn slice(more: &str, deliver: impl AsyncFnOnce(Worker)) -> (SliceSample, Duration) {
    let worker = worker(2, 1, more);
    let (events, mut received) = mpsc::channel(100);
    let progress = Arc::new(ProgressCounters::default());
    let timer = PreciseTimer::new().unwrap();
    let start = Instant::now();
    LocalSet::new()
        .run_until(async {
            let mut slices = Slices::new(&worker, timer, &events, &progress);
            let no_server = ServerClocks::default();
            tokio::join!(slices.run(0, start, &no_server), deliver(worker.clone()));
        })
        .await;
    let took = start.elapsed();
    drop(events);
    while let Some(event) = received.recv().await {
        if let WorkerEvent::Slice(sample) = event {
            return (*sample, took);
        }
    }
    panic!("the slice was reported");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_the_last_delivery_when_idle_or_at_its_longest() {
    const PHASES: &str = "[phases]\nwarm_up_s = 3.0\nwindow_s = 5.0\ndrain_idle_s = 2.0\ndrain_max_s = 30.0\n";
    let set = |worker: &Worker, delivered| worker.run.counters.borrow_mut().traffic.delivered = delivered;
    let planned = |worker: &Worker| 2 * worker.run.plan.posts_total();
    let all = async |worker: Worker| {
        sleep(Duration::from_secs(11)).await;
        set(&worker, planned(&worker));
    };
    // The drain begins after 8 s.
    let at_most =
        |took: Duration, ms: u64| assert!(took.as_millis().abs_diff(u128::from(ms)) < 60, "{took:?}, {ms} ms");
    let steadily = async |worker: Worker| {
        for second in 1..40 {
            sleep(Duration::from_secs(1)).await;
            set(&worker, second.min(planned(&worker) - 1));
        }
    };
    let (sample, took) = slice(PHASES, async |_| ()).await;
    assert!(!sample.drained);
    at_most(took, 10_000);
    let (sample, _) = slice(PHASES, steadily).await;
    assert!(!sample.drained);
    at_most(Duration::from_micros(sample.drain_us), 30_000);
    let patient = PHASES.replace("drain_idle_s = 2.0", "drain_idle_s = 5.0");
    let (sample, took) = slice(&patient, all).await;
    assert!(sample.drained);
    at_most(took, 11_000);
    let [start, end] = sample.edges;
    assert_eq!((end.at - start.at).as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stays_awake_is_idle_while_there_is_no_input() {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let plan = Arc::new(plan(1, 1, ""));
    let sleeping =
        RunConfig { plan, transport: Transport::Tcp, target: target(nowhere), cores: Vec::new(), never_sleeps: false };
    let awake = RunConfig { never_sleeps: true, ..sleeping.clone() };
    let worker_run = |config: &RunConfig| Worker::new(WorkerConfig::alone(config, WorkerIndex::ONLY)).run;
    let asleep = worker_run(&sleeping);
    asleep.stay_awake().await;
    assert_eq!(asleep.idle(), Duration::ZERO);
    let run = worker_run(&awake);
    let slice = async {
        advance(Duration::from_millis(2)).await;
        // The other future has seen it when this one has been polled twice more.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        // What happens between two questions for input is work.
        run.counters.borrow_mut().traffic.socket_reads += 1;
        advance(Duration::from_millis(20)).await;
        tokio::task::yield_now().await;
        run.rest();
    };
    tokio::join!(run.stay_awake(), slice);
    assert_eq!(run.idle(), Duration::from_millis(2));
}
