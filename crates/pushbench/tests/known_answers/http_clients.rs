//! The HTTP client reqwest on each transport that has it: every message is delivered once and in
//! order, and the server counts the same requests, posts, messages and text.

use results::{ByteClass, Direction, Series, TrafficKind};
use wire::Transport;

use crate::bench::{Bench, assert_valid};
use crate::processes::Server;

const CLIENTS: u64 = 20;
const ROOMS: u64 = 4;

#[tokio::test]
async fn reqwest_receives_what_the_server_sends() {
    let set = ["http_client=reqwest", "transports=polling,long-polling,http-streaming,sse", "phases.window_s=1"];
    let bench = Bench::new(&set).await;
    let server = Server::start(&[]).await;
    bench.start("load", &server.target().each_ref().map(String::as_str)).end().await.assert_completed();
    let (records, end) = (bench.records(), server.stats().await);
    assert_eq!(records.len(), 5, "four transports and the baseline");
    for record in records.iter().filter(|record| record.transport != Transport::Tcp) {
        let transport = record.transport;
        assert_valid(record);
        assert_eq!(record.faults.total(), 0, "{transport} {:?}", record.faults);
        assert_eq!(record.ledger.received, record.ledger.scheduled, "{transport}");
        assert_eq!(record.latency[&Series::ConnectTime].samples, CLIENTS, "{transport}");
        assert!(
            record.tcp.is_none() && record.total.connections == 0,
            "{transport}: reqwest does not expose its sockets"
        );
        // Before the first run one client has joined over each transport.
        let begin = &record.server.as_ref().unwrap().begin.transports[transport.name()];
        let (begin, end, by_generator) = (begin, &end.transports[transport.name()], &record.total);
        assert_eq!(by_generator.posted + ROOMS, end.posts - begin.posts, "{transport}");
        assert_eq!(by_generator.delivered + CLIENTS, end.messages - begin.messages, "{transport}");
        assert_eq!(end.malformed, begin.malformed, "{transport}");
        // A request that is open at the end is counted by one side only.
        let (requests, by_server) = (by_generator.requests, end.requests - begin.requests);
        assert!(
            requests.abs_diff(by_server) <= CLIENTS,
            "{transport}: {requests} requests, the server counted {by_server}"
        );
        let text = |direction| {
            TrafficKind::ALL.iter().map(|kind| record.total.bytes(direction, *kind, ByteClass::Payload)).sum::<u64>()
        };
        assert_eq!(text(Direction::Down), end.down.payload - begin.down.payload, "{transport}");
        assert_eq!(text(Direction::Up), end.up.payload - begin.up.payload, "{transport}");
    }
}
