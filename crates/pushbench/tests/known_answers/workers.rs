//! Several workers on one plan, rooms split between them: together they see what one would, and no sum shows that they are several.

use std::sync::Arc;
use std::time::Duration;

use loadgen::{RunConfig, Target};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use results::{RunEnd, Series};
use wire::Transport;

use crate::bench::{Bench, smoke};
use crate::processes::Server;

/// Shares no factor with the four rooms: every room has members in every worker.
const WORKERS: usize = 3;

#[tokio::test]
async fn several_workers_add_up_to_one_run() {
    let _turn = Bench::new(&[]).await;
    let server = Server::start(&[]).await;
    let ours = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let core = (0..CpuSet::count()).find(|core| ours.is_set(*core).unwrap()).unwrap();
    let set = ["phases.window_s=1.5", "posts.per_client_per_s=10"].map(|set| set.parse().unwrap());
    let plan = Arc::new(scenario::load(&smoke(), &set).unwrap().decide().unwrap().plans.remove(0));
    for transport in [Transport::Tcp, Transport::LongPolling, Transport::Websocket] {
        let order = RunConfig {
            plan: Arc::clone(&plan),
            transport,
            target: Target {
                http: server.listening.http,
                tcp: server.listening.tcp,
                token: None,
                protocol: scenario::Protocol::Pushbench,
            },
            cores: vec![core; WORKERS],
        };
        let mut log = Vec::new();
        let never = std::future::pending();
        let recording = loadgen::execute(order, never, &mut log, |_| {}, async |_| {}).await.unwrap();
        assert_eq!((&recording.ended, recording.faults.total()), (&RunEnd::Complete, 0), "{transport}");
        let ledger = &recording.ledger;
        assert!(ledger.is_clean() && ledger.scheduled == ledger.received, "{transport} {ledger:?}");
        assert_eq!((recording.total.delivered, recording.total.posted), (ledger.scheduled, plan.posts_total()));
        let rows = |of: fn(&results::Second) -> u64| recording.seconds.iter().map(of).sum::<u64>();
        assert_eq!(rows(|second| second.delivered), recording.total.delivered, "{transport} {:?}", recording.seconds);
        assert_eq!(rows(|second| second.posted), recording.total.posted, "{transport} {:?}", recording.seconds);
        assert_eq!(recording.of(Series::DeliveryLatency).len(), plan.deliveries_in_window(), "{transport}");
        assert_eq!(recording.posts_sent_in_window, plan.posts_in_window(), "{transport}");
        // One post in eight is watched for its spread, whichever worker its receivers are in.
        let in_window = |index: &usize| plan.in_window(Duration::from_micros(plan.due_us(*index).into()));
        let watched = (0..usize::try_from(plan.posts_total()).unwrap()).step_by(8).filter(in_window).count();
        let spread = recording.of(Series::FanoutSpread);
        assert_eq!((spread.len(), recording.negative), (watched as u64, 0), "{transport}");
        assert!(spread.max() <= recording.of(Series::DeliveryLatency).max(), "{transport}: {} µs", spread.max());
    }
}
