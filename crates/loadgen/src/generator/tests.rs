//! Connecting, and the end of a run, in paused time, with one worker whose counters the test sets:
//! no thread and no socket. A sleep here is the time at which that worker does something, and takes
//! no time.

use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::testing::{plan, target};

const CLIENTS: u32 = 4;
/// The runtime's timer has a resolution of 1 ms.
const SLACK: Duration = Duration::from_millis(60);

/// The worker's side.
struct TestWorker {
    progress: Arc<ProgressCounters>,
    _announcements: watch::Receiver<Announcement>,
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

/// Runs `test` on a generator with one worker, and returns how long it took.
async fn with_generator<T>(test: impl AsyncFnOnce(&mut Generator<'_, Vec<u8>>, TestWorker) -> T) -> (T, Duration) {
    let begun = Instant::now();
    let (mut log, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let (announcements, announced) = watch::channel(Announcement::RampUp);
    let (event_sender, events) = mpsc::channel(EVENTS_MAX);
    let progress = Arc::new(ProgressCounters::default());
    let plan = Arc::new(plan(CLIENTS, 1, ""));
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let config = RunConfig {
        plan,
        transport: wire::Transport::Tcp,
        target: target(nowhere),
        cores: Vec::new(),
        never_sleeps: false,
    };
    let mut generator = Generator {
        collector: Collector::new(1, &mut log, &mut serializer).unwrap(),
        announcements,
        events,
        threads: Vec::new(),
        progress: vec![Arc::clone(&progress)],
        posts: Arc::new(PostTable::new(0)),
        config,
        on_progress: Box::new(|_| ()),
        slice_start: None,
    };
    let worker = TestWorker { progress, _announcements: announced, _events: event_sender };
    let outcome = test(&mut generator, worker).await;
    (outcome, begun.elapsed())
}

fn assert_about(found: Duration, expected_ms: u64) {
    let expected = Duration::from_millis(expected_ms);
    assert!(found >= expected && found <= expected + SLACK, "{found:?} instead of {expected:?}");
}

async fn joined(generator: &mut Generator<'_, Vec<u8>>) -> Result<(), RunEnd> {
    generator.wait_for_all(STALL_MAX, "joined", |worker| &worker.joined).await
}

#[tokio::test(start_paused = true)]
async fn connecting_ends_when_all_clients_have_joined() {
    let (outcome, took) = with_generator(async |generator, worker| {
        worker.every(Duration::from_secs(10), |progress, n| {
            progress.joined.store(n, Relaxed);
            n < CLIENTS
        });
        joined(generator).await
    })
    .await;
    assert_eq!(outcome, Ok(()));
    assert_about(took, 40_000);
}

#[tokio::test(start_paused = true)]
async fn connecting_fails_without_progress_and_at_once_if_the_missing_clients_have_stopped() {
    for (stopped, took_ms) in [(0, 15_000), (1, 0)] {
        let (outcome, took) = with_generator(async |generator, worker| {
            worker.progress.joined.store(3, Relaxed);
            worker.progress.stopped.store(stopped, Relaxed);
            joined(generator).await
        })
        .await;
        assert_eq!(outcome, Err(RunEnd::Failed("only 3 of 4 clients joined".to_owned())));
        assert_about(took, took_ms);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_when_all_clients_have_stopped() {
    let (outcome, took) = with_generator(async |generator, worker| {
        worker.every(Duration::from_secs(7), |progress, _| {
            progress.stopped.store(CLIENTS, Relaxed);
            false
        });
        generator.slice(0, None, ServerClocks::default()).await
    })
    .await;
    let expected = "every client was disconnected and used all its reconnects";
    assert_eq!(outcome, Err(RunEnd::Failed(expected.to_owned())));
    assert_about(took, 7_000);
}
