//! A poll interval that server and machine cannot keep: the questions fall behind, and the posts must not starve behind them.

use wire::Transport;

use crate::bench::{Bench, on_a_quiet_machine};
use results::VerdictKind;

#[tokio::test]
async fn pollers_that_are_always_late_still_post() {
    let set = [
        "transports=polling",
        "tuning.polling.interval_ms=1",
        "clients=40",
        "phases.window_s=1",
        "phases.warm_up_s=0.2",
    ];
    let bench = Bench::new(&set).await;
    bench.start("run", &[]).end().await.ran();
    let records = bench.records();
    let record = records.iter().find(|record| record.transport == Transport::Polling).unwrap();
    assert!(record.total.empty_answers > 1_000, "{:?}", record.total);
    assert_eq!(record.ledger.seen, record.ledger.planned, "{:?}", record.ledger);
    assert_eq!(record.planned.left_in_window, record.planned.posts_in_window);
    let verdict = on_a_quiet_machine(record);
    assert!(matches!(verdict.kind, VerdictKind::Sound | VerdictKind::Overloaded), "{verdict:?}");
}
