//! The phases of a run in paused time, with one worker whose counters the test sets: no thread and
//! no socket. A sleep here is the time at which that worker does something, and takes no time.

use std::sync::atomic::Ordering::Relaxed;

use results::{Cpu, TrafficCounts};

use super::*;
use crate::net::tcp_info::SocketCounts;
use crate::worker::events::EdgeSample;

const CLIENTS: u32 = 4;
/// The controller checks every 50 ms, and the runtime's timer has a resolution of 1 ms.
const SLACK: Duration = Duration::from_millis(60);

type Tested<'a> = RunController<'a, Vec<u8>, fn(Progress)>;

/// The worker's side.
struct TestWorker {
    progress: Arc<ProgressCounters>,
    announcements: watch::Receiver<Announcement>,
    _events: mpsc::Sender<WorkerEvent>,
}

impl TestWorker {
    /// Calls `step` with 1, 2 and so on, once per interval, until it returns false.
    fn every(&self, interval: Duration, step: impl Fn(&ProgressCounters, u32) -> bool + Send + 'static) {
        let progress = Arc::clone(&self.progress);
        tokio::spawn(async move {
            for n in 1.. {
                tokio::time::sleep(interval).await;
                if !step(&progress, n) {
                    return;
                }
            }
        });
    }
}

/// Runs `test` on a controller with one worker, and returns how long it took.
async fn with_controller<T>(test: impl AsyncFnOnce(&mut Tested<'_>, TestWorker) -> T) -> (T, Duration) {
    stopped_by(std::future::pending(), test).await
}

async fn stopped_by<T>(
    stop: impl Future<Output = RunEnd>,
    test: impl AsyncFnOnce(&mut Tested<'_>, TestWorker) -> T,
) -> (T, Duration) {
    let begun = Instant::now();
    let (mut log, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let (announcements, announced) = watch::channel(Announcement { phase: Phase::RampUp, t0: None });
    let (event_sender, events) = mpsc::channel(EVENTS_MAX);
    let progress = Arc::new(ProgressCounters::default());
    let mut controller = RunController {
        collector: Collector::new(1, &mut log, &mut serializer).unwrap(),
        announcements,
        events,
        threads: Vec::new(),
        progress: vec![Arc::clone(&progress)],
        posts: Arc::new(PostTable::new(0)),
        clients: CLIENTS,
        poll_interval: Duration::ZERO,
        stop: std::pin::pin!(stop),
        on_progress: (|_| ()) as fn(Progress),
        phase: Phase::RampUp,
        t0: None,
    };
    let worker = TestWorker { progress, announcements: announced, _events: event_sender };
    let outcome = test(&mut controller, worker).await;
    (outcome, begun.elapsed())
}

fn plan() -> Plan {
    let text = "name = \"t\"\nquestion = \"?\"\nclients = 4\nrooms = 1\n[posts]\nper_client_per_s = 2.0\n[phases]\nsettle_s = 1.0\n\
                warm_up_s = 3.0\nwindow_s = 5.0\ndrain_idle_s = 2.0\ndrain_max_s = 30.0\n";
    scenario::parse("t.toml", text, &[]).unwrap().plans.remove(0)
}

fn sample_both_edges(controller: &mut Tested<'_>) {
    for _ in 0..2 {
        let (at, traffic, cpu) = (Instant::now(), TrafficCounts::default(), Cpu::default());
        let sample = EdgeSample { at, traffic, cpu, sockets: SocketCounts::default() };
        controller.collector.add(WorkerEvent::Edge(Box::new(sample)));
    }
}

fn assert_about(found: Duration, expected_ms: u64) {
    let expected = Duration::from_millis(expected_ms);
    assert!(found >= expected && found <= expected + SLACK, "{found:?} instead of {expected:?}");
}

async fn ramp_up(controller: &mut Tested<'_>) -> Result<(), RunEnd> {
    controller.wait_for_all(Phase::RampUp, STALL_MAX, "joined", |worker| &worker.joined).await
}

async fn long_window(controller: &mut Tested<'_>) -> Result<(), RunEnd> {
    controller.stay_in(Phase::Window, Instant::now() + Duration::from_secs(60)).await
}

#[tokio::test(start_paused = true)]
async fn the_ramp_up_ends_when_all_clients_have_joined() {
    let (outcome, took) = with_controller(async |controller, worker| {
        worker.every(Duration::from_secs(10), |progress, n| {
            progress.joined.store(n, Relaxed);
            n < CLIENTS
        });
        ramp_up(controller).await
    })
    .await;
    assert_eq!(outcome, Ok(()));
    assert_about(took, 40_000);
}

#[tokio::test(start_paused = true)]
async fn a_ramp_up_fails_without_progress_and_at_once_if_the_missing_clients_have_stopped() {
    for (stopped, took_ms) in [(0, 15_000), (1, 0)] {
        let (outcome, took) = with_controller(async |controller, worker| {
            worker.progress.joined.store(3, Relaxed);
            worker.progress.stopped.store(stopped, Relaxed);
            ramp_up(controller).await
        })
        .await;
        assert_eq!(outcome, Err(RunEnd::Failed("only 3 of 4 clients joined".to_owned())));
        assert_about(took, took_ms);
    }
}

#[tokio::test(start_paused = true)]
async fn every_phase_takes_as_long_as_planned() {
    let mut checkpoints = Vec::new();
    let (outcome, took) = with_controller(async |controller, worker| {
        worker.progress.joined.store(CLIENTS, Relaxed);
        worker.progress.probed.store(CLIENTS, Relaxed);
        sample_both_edges(controller);
        let begun = Instant::now();
        let note = async |checkpoint| checkpoints.push((checkpoint, begun.elapsed()));
        let outcome = controller.run_phases(&plan(), note).await;
        let announced = *worker.announcements.borrow();
        assert!(announced.phase == Phase::Drain && announced.t0.is_some(), "{announced:?}");
        outcome
    })
    .await;
    assert_eq!(outcome, Ok(()));
    let lead = u64::try_from(T0_LEAD.as_millis()).unwrap();
    let expected =
        [(Checkpoint::Settled, 1_000), (Checkpoint::WindowStart, 4_000 + lead), (Checkpoint::WindowEnd, 9_000 + lead)];
    assert_eq!(checkpoints.len(), expected.len());
    for ((found, at), (checkpoint, at_ms)) in checkpoints.into_iter().zip(expected) {
        assert_eq!(found, checkpoint);
        assert_about(at, at_ms);
    }
    // Nothing was received: the drain ends when it has been idle for 2 s.
    assert_about(took, 11_000 + lead + 50);
}

#[tokio::test(start_paused = true)]
async fn the_drain_ends_with_the_last_message_when_idle_or_at_its_longest() {
    let plan = plan();
    let planned = plan.posts_total() * u64::from(CLIENTS);
    assert!(planned > 50, "{planned}");
    // Deliveries per second, deliveries so far, and how long the drain takes.
    for (per_second, so_far, took_ms) in [(5, planned - 50, 10_000), (1, 0, 30_000), (0, planned, 0), (0, 3, 2_000)] {
        let (outcome, took) = with_controller(async |controller, worker| {
            sample_both_edges(controller);
            worker.progress.delivered.store(so_far, Relaxed);
            worker.every(Duration::from_secs(1), move |progress, _| {
                progress.delivered.fetch_add(per_second, Relaxed);
                true
            });
            controller.drain(&plan).await
        })
        .await;
        assert_eq!(outcome, Ok(()));
        assert_about(took, took_ms);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_can_be_stopped_in_any_phase() {
    let ended = || RunEnd::Failed("the server ended".to_owned());
    let stop = async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        ended()
    };
    let (outcome, took) = stopped_by(stop, async |controller, _worker| long_window(controller).await).await;
    assert_eq!(outcome, Err(ended()));
    assert_about(took, 2_500);
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_when_all_clients_have_stopped() {
    let (outcome, took) = with_controller(async |controller, worker| {
        controller.t0 = Some(Instant::now());
        worker.every(Duration::from_secs(7), |progress, _| {
            progress.stopped.store(CLIENTS, Relaxed);
            false
        });
        long_window(controller).await
    })
    .await;
    let expected = "every client was disconnected and used all its reconnects";
    assert_eq!(outcome, Err(RunEnd::Failed(expected.to_owned())));
    assert_about(took, 7_000);
}

#[tokio::test(start_paused = true)]
async fn progress_is_reported_at_the_start_of_each_second() {
    let (seconds, _) = with_controller(async |controller, _worker| {
        let t0 = Instant::now() + T0_LEAD;
        controller.t0 = Some(t0);
        let mut seconds = vec![controller.second()];
        while seconds.len() < 4 {
            controller.poll_workers(Instant::now() + POLL_EVERY).await.unwrap();
            let second = controller.second();
            if seconds.last() != Some(&second) {
                let late = Instant::now() - (t0 + Duration::from_secs(second.unwrap().into()));
                assert!(late <= POLL_EVERY && (second == Some(0) || late <= Duration::from_millis(1)), "{late:?}");
                seconds.push(second);
            }
        }
        seconds
    })
    .await;
    assert_eq!(seconds, [None, Some(0), Some(1), Some(2)]);
}
