//! The phases with time standing still between the events: one worker that is but figures in a table, no thread and no socket.

use std::sync::atomic::Ordering::Relaxed;

use results::{Cpu, TrafficCounts};

use super::*;
use crate::crowd::EdgeSample;
use crate::tcp_info::SocketCounts;

const CLIENTS: u32 = 4;
/// The conductor looks up this often, and the runtime's timer has a millisecond.
const SLACK: Duration = Duration::from_millis(60);

type Tested<'a> = RunController<'a, Vec<u8>, fn(Progress)>;

/// What a worker holds.
struct Hand {
    live: Arc<ProgressCounters>,
    cue: watch::Receiver<Cue>,
    _report: mpsc::Sender<WorkerEvent>,
}

/// Runs `test` on a conductor that has one worker, and says how long it took.
async fn conducting<T>(test: impl AsyncFnOnce(&mut Tested<'_>, Hand) -> T) -> (T, Duration) {
    stopped_by(std::future::pending(), test).await
}

async fn stopped_by<T>(
    stop: impl Future<Output = RunEnd>,
    test: impl AsyncFnOnce(&mut Tested<'_>, Hand) -> T,
) -> (T, Duration) {
    let begun = Instant::now();
    let (mut log, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let (cue, heard) = watch::channel(Cue::RampUp);
    let (report, reports) = mpsc::channel(REPORTS_MAX);
    let live = Arc::new(ProgressCounters::default());
    let mut conductor = RunController {
        collector: Collector::new(1, &mut log, &mut serializer).unwrap(),
        cue,
        events: reports,
        threads: Vec::new(),
        progress: vec![Arc::clone(&live)],
        posts: Arc::new(PostTable::new(0)),
        clients: CLIENTS,
        transport: Transport::Tcp,
        stop: std::pin::pin!(stop),
        on_progress: (|_| ()) as fn(Progress),
        phase: Phase::RampUp,
        t0: None,
    };
    let outcome = test(&mut conductor, Hand { live, cue: heard, _report: report }).await;
    (outcome, begun.elapsed())
}

fn plan() -> Plan {
    let text = "name = \"t\"\nquestion = \"?\"\nclients = 4\nrooms = 1\n[posts]\nper_client_per_s = 2.0\n[phases]\nsettle_s = 1.0\n\
                warm_up_s = 3.0\nwindow_s = 5.0\ndrain_idle_s = 2.0\ndrain_max_s = 30.0\n";
    scenario::parse("t.toml", text, &[]).unwrap().plans.remove(0)
}

fn read_both_edges(conductor: &mut Tested<'_>) {
    for _ in 0..2 {
        let (at, tally, cpu) = (Instant::now(), TrafficCounts::default(), Cpu::default());
        conductor.collector.add(WorkerEvent::Edge(Box::new(EdgeSample {
            at,
            tally,
            cpu,
            sockets: SocketCounts::default(),
        })));
    }
}

fn assert_about(found: Duration, expected_ms: u64) {
    let expected = Duration::from_millis(expected_ms);
    assert!(found >= expected && found <= expected + SLACK, "{found:?} instead of {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_ramp_ends_when_all_are_there() {
    let (outcome, took) = conducting(async |conductor, hand| {
        let live = Arc::clone(&hand.live);
        tokio::spawn(async move {
            for clients in 1..=CLIENTS {
                tokio::time::sleep(Duration::from_secs(10)).await;
                live.joined.store(clients, Relaxed);
            }
        });
        conductor.wait_for_all(Phase::RampUp, STALL_MAX, "joined", |live| &live.joined).await
    })
    .await;
    assert_eq!(outcome, Ok(()));
    assert_about(took, 40_000);
}

#[tokio::test(start_paused = true)]
async fn a_ramp_that_stands_still_fails_after_a_while_and_one_that_is_given_up_at_once() {
    let (outcome, took) = conducting(async |conductor, hand| {
        hand.live.joined.store(3, Relaxed);
        conductor.wait_for_all(Phase::RampUp, STALL_MAX, "joined", |live| &live.joined).await
    })
    .await;
    assert_eq!(outcome, Err(RunEnd::Failed("3 of 4 clients joined, and no more came".to_owned())));
    assert_about(took, 15_000);
    let (outcome, took) = conducting(async |conductor, hand| {
        hand.live.joined.store(3, Relaxed);
        hand.live.stopped.store(1, Relaxed);
        conductor.wait_for_all(Phase::RampUp, STALL_MAX, "joined", |live| &live.joined).await
    })
    .await;
    assert!(outcome.is_err());
    assert_about(took, 0);
}

#[tokio::test(start_paused = true)]
async fn every_phase_is_held_as_long_as_the_plan_says() {
    let mut edges = Vec::new();
    let (outcome, took) = conducting(async |conductor, hand| {
        hand.live.joined.store(CLIENTS, Relaxed);
        hand.live.probed.store(CLIENTS, Relaxed);
        read_both_edges(conductor);
        let begun = Instant::now();
        let outcome = conductor.phases(&plan(), async |edge| edges.push((edge, begun.elapsed()))).await;
        assert!(matches!(*hand.cue.borrow(), Cue::Go { .. }));
        outcome
    })
    .await;
    assert_eq!(outcome, Ok(()));
    let lead = u64::try_from(T0_LEAD.as_millis()).unwrap();
    let expected =
        [(Checkpoint::Settled, 1_000), (Checkpoint::WindowStart, 4_000 + lead), (Checkpoint::WindowEnd, 9_000 + lead)];
    assert_eq!(edges.len(), expected.len());
    for ((found, at), (edge, at_ms)) in edges.into_iter().zip(expected) {
        assert_eq!(found, edge);
        assert_about(at, at_ms);
    }
    // Nothing ever arrived: the drain gives up on silence.
    assert_about(took, 11_000 + lead + 50);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_the_last_message_with_silence_or_at_its_longest() {
    let plan = plan();
    let planned = plan.posts_total() * u64::from(CLIENTS);
    // Deliveries a second, from how many on, and when that is over.
    for (each_second, from, ended_ms) in [(5, planned - 50, 10_000), (1, 0, 30_000), (0, planned, 0), (0, 3, 2_000)] {
        let (outcome, took) = conducting(async |conductor, hand| {
            read_both_edges(conductor);
            let live = Arc::clone(&hand.live);
            live.delivered.store(from, Relaxed);
            let playing = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    live.delivered.fetch_add(each_second, Relaxed);
                }
            });
            let outcome = conductor.drain(&plan).await;
            playing.abort();
            outcome
        })
        .await;
        assert_eq!(outcome, Ok(()));
        assert!(planned > 50, "{planned}");
        assert_about(took, ended_ms);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_stopped_in_any_phase_and_says_why() {
    let stop = async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        RunEnd::Failed("the server ended".to_owned())
    };
    let (outcome, took) = stopped_by(stop, async |conductor, _hand| {
        conductor.stay_in(Phase::Window, Instant::now() + Duration::from_secs(60)).await
    })
    .await;
    assert_eq!(outcome, Err(RunEnd::Failed("the server ended".to_owned())));
    assert_about(took, 2_500);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_clients_have_all_given_up_is_over() {
    let (outcome, took) = conducting(async |conductor, hand| {
        conductor.t0 = Some(Instant::now());
        let live = Arc::clone(&hand.live);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(7)).await;
            live.stopped.store(CLIENTS, Relaxed);
        });
        conductor.stay_in(Phase::Window, Instant::now() + Duration::from_secs(60)).await
    })
    .await;
    assert_eq!(outcome, Err(RunEnd::Failed("every client was cut off and gave up".to_owned())));
    assert_about(took, 7_000);
}

#[tokio::test(start_paused = true)]
async fn seconds_begin_when_they_begin() {
    let (seconds, _) = conducting(async |conductor, _hand| {
        let t0 = Instant::now() + T0_LEAD;
        conductor.t0 = Some(t0);
        let mut seen = vec![conductor.second()];
        while seen.len() < 4 {
            conductor.poll_workers(Instant::now() + POLL_EVERY).await.unwrap();
            let second = conductor.second();
            if seen.last() != Some(&second) {
                let late = Instant::now() - (t0 + Duration::from_secs(second.unwrap().into()));
                assert!(late <= POLL_EVERY && (second == Some(0) || late <= Duration::from_millis(1)), "{late:?}");
                seen.push(second);
            }
        }
        seen
    })
    .await;
    assert_eq!(seconds, [None, Some(0), Some(1), Some(2)]);
}
