//! Several workers with rooms that are split between them: the totals are the same as with one
//! worker.

use std::sync::Arc;

use loadgen::{Node, RunConfig, Target};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use results::{RunEnd, Series};
use wire::Transport;

use crate::bench::{Bench, smoke};
use crate::processes::Server;

/// Coprime to the four rooms, so that each worker has clients in each room.
const WORKERS: usize = 3;

#[tokio::test]
async fn several_workers_add_up_to_one_run() {
    let _measuring = Bench::new(&[]).await;
    let server = Server::start(&[]).await;
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let core = (0..CpuSet::count()).find(|core| allowed.is_set(*core).unwrap()).unwrap();
    let set = ["phases.window_s=1.5", "posts.per_client_per_s=10"].map(|set| set.parse().unwrap());
    let plan = Arc::new(scenario::load(&smoke(), &set).unwrap().decide().unwrap().plans.remove(0));
    for transport in [Transport::Tcp, Transport::LongPolling, Transport::Websocket] {
        let config = RunConfig {
            plan: Arc::clone(&plan),
            transport,
            target: Target::of(Node { http: server.listening.http, tcp: server.listening.tcp }),
            cores: vec![core; WORKERS],
            never_sleeps: false,
        };
        let mut log = Vec::new();
        let (measured, slices) = loadgen::execute(config, &mut log).await.unwrap();
        assert_eq!(slices.len(), 1);
        assert_eq!((&measured.ended, measured.faults.total()), (&RunEnd::Complete, 0), "{transport}");
        let ledger = &measured.ledger;
        assert!(ledger.is_clean() && ledger.scheduled == ledger.received, "{transport} {ledger:?}");
        assert_eq!((measured.total.delivered, measured.total.posted), (ledger.scheduled, plan.posts_total()));
        let rows = |of: fn(&results::Second) -> u64| measured.seconds.iter().map(of).sum::<u64>();
        assert_eq!(rows(|second| second.delivered), measured.total.delivered, "{transport} {:?}", measured.seconds);
        assert_eq!(rows(|second| second.posted), measured.total.posted, "{transport} {:?}", measured.seconds);
        assert_eq!(measured.of(Series::DeliveryLatency).len(), plan.deliveries_in_window(), "{transport}");
        assert_eq!(measured.posts_sent_in_window, plan.posts_in_window(), "{transport}");
        // The spread is measured for one post in eight, over the receivers of all workers.
        let in_window = |index: &usize| plan.slicing.window_of(plan.due_us(*index)).is_some();
        let sampled = (0..usize::try_from(plan.posts_total()).unwrap()).step_by(8).filter(in_window).count();
        let spread = measured.of(Series::FanoutSpread);
        assert_eq!((spread.len(), measured.negative), (sampled as u64, 0), "{transport}");
        assert!(spread.max() <= measured.of(Series::DeliveryLatency).max(), "{transport}: {} µs", spread.max());
    }
}
