//! Memory per connection: known for a new server, and not for a server that had connections before.

use results::MetricId;

use crate::bench::Bench;
use crate::processes::Server;

#[tokio::test]
async fn memory_per_connection_of_a_used_server_is_not_known() {
    let set = ["transports=websocket", "clients=200", "posts.per_client_per_s=0.5", "phases.window_s=0.5"];
    let bench = Bench::new(&set).await;
    let server = Server::start(&[]).await;
    bench.start("load", &server.target().each_ref().map(String::as_str)).end().await.assert_completed();
    let records = bench.records();
    let each = records.iter().map(|record| MetricId::ServerBytesPerConnection.value(record)).collect::<Vec<_>>();
    assert!(
        records.len() >= 2 && each[0].is_some_and(|bytes| bytes > 1_000.0),
        "the first run has a new server: {each:?}"
    );
    assert!(each[1..].iter().all(Option::is_none), "{each:?}");
    let why = "the server may have served connections before the run, and use their memory again";
    assert!(records[1..].iter().all(|record| record.server_memory_bytes() == Some(Err(why))));
}
