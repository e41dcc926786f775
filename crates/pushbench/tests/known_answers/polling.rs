//! A poll interval that is too short for the machine: polls are late, and posts must still be sent.
//! And a poll interval that is longer than the server keeps a connection.

use wire::Transport;

use crate::bench::{Bench, HTTP_CLIENTS, assert_valid, verdict_on_a_quiet_machine};
use crate::processes::Server;
use results::VerdictKind;

#[tokio::test]
async fn clients_whose_polls_are_always_late_still_post() {
    for client in HTTP_CLIENTS {
        poll_late(client).await;
    }
}

async fn poll_late(client: &str) {
    let set = [
        client,
        "transports=polling",
        "tuning.polling.interval_ms=1",
        "clients=40",
        "phases.window_s=1",
        "phases.warm_up_s=0.2",
    ];
    let bench = Bench::new(&set).await;
    bench.start("run", &[]).end().await.assert_completed();
    let records = bench.records();
    let record = records.iter().find(|record| record.transport == Transport::Polling).unwrap();
    assert!(record.total.empty_answers > 1_000, "{:?}", record.total);
    assert_eq!(record.ledger.received, record.ledger.scheduled, "{:?}", record.ledger);
    assert_eq!(record.planned.posts_sent_in_window, record.planned.posts_in_window);
    let verdict = verdict_on_a_quiet_machine(record);
    assert!(matches!(verdict.kind, VerdictKind::Valid | VerdictKind::Overloaded), "{verdict:?}");
}

#[tokio::test]
async fn a_connection_that_the_server_closes_between_two_polls_is_opened_again() {
    for client in HTTP_CLIENTS {
        close_between_polls(client).await;
    }
}

async fn close_between_polls(client: &str) {
    let set = [
        client,
        "transports=polling",
        "tuning.polling.interval_ms=600",
        "posts.per_client_per_s=0.5",
        "phases.window_s=3",
    ];
    let bench = Bench::new(&set).await;
    let server = Server::start(&["--idle-timeout-ms", "200", "--header-timeout-ms", "100"]).await;
    bench.start("load", &server.target().each_ref().map(String::as_str)).end().await.assert_completed();
    let records = bench.records();
    let record = records.iter().find(|record| record.transport == Transport::Polling).unwrap();
    assert_valid(record);
    // Nearly every poll finds its connection closed. reqwest does not expose its connections, and
    // reports a request that it sends in the instant in which the server closes.
    let (connections, requests) = (record.total.connections, record.total.requests);
    let is_built_in = record.http_client == "built-in";
    let allowed = if is_built_in { 0 } else { 2 };
    assert!(record.faults.total() <= allowed, "{:?}", record.faults);
    assert!(
        !is_built_in || (connections > 20 * 4 && connections <= requests),
        "{connections} connections for {requests} requests"
    );
}
