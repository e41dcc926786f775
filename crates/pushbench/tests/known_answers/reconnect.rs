//! Streams that the server ends by age, again and again: clients come back with their cursor, and nothing is lost.

use results::Series;
use wire::Transport;

use crate::bench::{Bench, HTTP_CLIENTS, assert_sound};
use crate::processes::Server;

#[tokio::test]
async fn streams_that_are_cut_lose_nothing() {
    for client in HTTP_CLIENTS {
        cut_streams(client).await;
    }
}

async fn cut_streams(client: &str) {
    let set = [
        client,
        "transports=sse,http-streaming",
        "tuning.sse.age_s=0.2",
        "tuning.http-streaming.age_s=0.2",
        // A cut is no fault: it uses up none of these.
        "limits.reconnects_max=2",
        "posts.per_client_per_s=10",
    ];
    let bench = Bench::new(&set).await;
    bench.start("run", &[]).end().await.ran();
    let records = bench.records();
    assert_eq!(records.len(), 3);
    for record in records {
        assert_sound(&record);
        assert_eq!(record.faults.total(), 0, "{} {:?}", record.transport, record.faults);
        let connects = record.latency[&Series::ConnectTime].samples;
        if record.transport == Transport::Tcp {
            assert_eq!((record.total.cuts, connects), (0, 20));
            assert!(!record.latency.contains_key(&Series::ReconnectTime));
        } else {
            // At least 2.3 s of posts, and a cut every 0.2 s and what it takes to come back.
            assert!(record.total.cuts >= 20 * 4, "{}: {} cuts", record.transport, record.total.cuts);
            assert!(connects >= record.total.cuts, "{}: {connects} connects", record.transport);
            let outages = record.latency[&Series::ReconnectTime].samples;
            assert!(outages > 0 && outages <= record.total.cuts, "{}: {outages} outages", record.transport);
        }
    }
}

/// A server that closes the connection for posts while there are none: it is opened again, and that is no fault.
#[tokio::test]
async fn a_connection_for_posts_that_was_closed_is_opened_again() {
    for client in HTTP_CLIENTS {
        close_idle_connections(client).await;
    }
}

async fn close_idle_connections(client: &str) {
    let set = [
        client,
        "transports=sse,long-polling",
        "clients=4",
        "posts.per_client_per_s=1",
        "posts.arrivals=staggered",
        "phases.window_s=3",
    ];
    let bench = Bench::new(&set).await;
    let server = Server::start(&["--idle-timeout-ms", "300", "--header-timeout-ms", "100"]).await;
    bench.start("load", &server.target().each_ref().map(String::as_str)).end().await.ran();
    for record in bench.records() {
        assert_sound(&record);
        assert_eq!(record.faults.total(), 0, "{} {:?}", record.transport, record.faults);
        // reqwest does not show its connections.
        if record.transport != Transport::Tcp && record.http_client == "built-in" {
            assert!(record.total.connections >= 4 * 3, "{}: {:?}", record.transport, record.total);
        }
    }
}
